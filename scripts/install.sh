#!/bin/sh
# Install what a lock file names into .venv: with uv, in a quarter of pip's time, and with pip where uv is not to be had or
# does not reach an index that pip knows of.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
by_pip() {
    $bin/python -m pip install --quiet --disable-pip-version-check --require-virtualenv --require-hashes -r "$1"
}
by_uv() {
    $bin/uv pip install --quiet --python $bin/python --system-certs --compile-bytecode --require-hashes -r "$1"
}
[ -x $bin/uv ] || by_pip requirements/uv.lock || echo "no uv: pip takes a little longer"
{ [ -x $bin/uv ] && by_uv "$1"; } || by_pip "$1"
