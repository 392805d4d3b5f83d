#!/bin/sh
# Writes the locks: every package's version and hashes, for each Python and system that pyproject.toml allows.
# `make lock` keeps the versions of the locks that are there, as far as the bounds let it; UPGRADE=--upgrade takes the newest.
set -eu
uv=$1
cd "$(dirname "$0")/.."
compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
        --custom-compile-command "make lock" ${UPGRADE:-} "$@"
}
# torch is in none: its CPU and CUDA builds share a version but no hash, and which one is right depends on the machine
project="--config-file requirements/uv.toml --no-emit-package torch --no-emit-package rfe"
compile $project pyproject.toml requirements/torch.txt --extra dev --output-file requirements/dev.txt
UPGRADE= compile $project pyproject.toml requirements/torch.txt --extra search --extra report --constraints requirements/dev.txt \
    --output-file requirements/run.txt
compile requirements/tools.in --output-file requirements/tools.txt
# what `make` installs the others with
echo uv | compile - --constraints requirements/tools.txt --output-file requirements/uv.txt
