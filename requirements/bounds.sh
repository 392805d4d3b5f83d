#!/bin/sh
# `sh requirements/bounds.sh lowest|newest UV PYTHON` tries the lowest versions that pyproject.toml allows of what it names,
# or the newest of everything that the index has; torch, which few indexes have CPU builds of, stays what it is.
set -eu
end=$1 uv=$2 python=$3
cd "$(dirname "$0")/.."
case $end in
    lowest) resolution=lowest-direct ;;
    newest) resolution=highest ;;
    *) echo "lowest or newest, not $end" >&2 && exit 1 ;;
esac
folder=build/$end
rm -rf "$folder"
mkdir -p "$folder"
"$uv" pip compile --quiet --config-file requirements/uv.toml --python "$python" --resolution "$resolution" --generate-hashes \
    --no-emit-index-url --no-emit-package torch --no-emit-package rfe --extra search --extra report pyproject.toml \
    requirements/torch.txt --output-file "$folder/lock.txt"
PYTHON=$python sh requirements/install.sh "$folder/environment" "$folder/lock.txt"
sh requirements/try.sh "$PWD/$folder/environment/bin/python" "$folder/tried"
"$folder/environment/bin/python" -m pip list --disable-pip-version-check | grep -E '^(ray|torch|optuna|mlflow|numpy|pandas|pydantic|scikit-learn) '
rm -rf "$folder"
echo "the $end versions that are allowed: a search of 8 trials, export, verify, predict and report went well"
