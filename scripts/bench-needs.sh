#!/bin/sh
# Peers and the load generator of `make bench`: installed where that is possible without asking (root and apt-get);
# otherwise named, and left out of the tables.
set -eu
missing=""
command -v wrk >/dev/null || missing="$missing wrk"
command -v vips >/dev/null || missing="$missing libvips-tools"
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || missing="$missing nginx-light"
[ -x /usr/lib/iipimage-server/iipsrv.fcgi ] || missing="$missing iipimage-server"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "not here, left out:$missing"
fi
