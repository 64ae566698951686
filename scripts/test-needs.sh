#!/bin/sh
# What the tests want from the system and no wheel brings: chromium, redis-server, libfiu, XFS tools, iproute2. Installed
# where that is possible without asking (root and apt-get); otherwise named, and the tests that need them say so when they
# skip.
set -eu
missing=""
command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || missing="$missing chromium-headless-shell"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v fiu-ctrl >/dev/null || missing="$missing fiu-utils"
command -v mkfs.xfs >/dev/null || missing="$missing xfsprogs"
command -v ip >/dev/null || missing="$missing iproute2"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing fonts-dejavu-core >/dev/null
else
    echo "not here, tests that need them skip:$missing"
fi
