#!/bin/sh
# `sh requirements/lowest.sh UV PYTHON` tries the lowest versions that pyproject.toml allows of what it names; torch, which
# few indexes have old CPU builds of, stays what it is.
set -eu
uv=$1 python=$2
cd "$(dirname "$0")/.."
folder=build/lowest
rm -rf "$folder"
mkdir -p "$folder"
"$uv" pip compile --quiet --config-file requirements/uv.toml --python "$python" --resolution lowest-direct --generate-hashes \
    --no-emit-index-url --no-emit-package torch --no-emit-package rfe --extra search --extra report pyproject.toml \
    requirements/torch.txt --output-file "$folder/lock.txt"
PYTHON=$python sh requirements/install.sh "$folder/environment" "$folder/lock.txt"
sh requirements/try.sh "$PWD/$folder/environment/bin/python" "$folder/tried"
rm -rf "$folder"
echo "the lowest versions that are allowed: a search of 8 trials, export, verify, predict and report went well"
