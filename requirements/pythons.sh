#!/bin/sh
# `sh requirements/pythons.sh .venv` tries every other Python that is supported and found: installs by the lock, then goes
# the whole path.
# Where the package index has no CPU build of torch for one, only that the package compiles for it.
set -eu
cd "$(dirname "$0")/.."
own=$("$1/bin/python" -c 'import sys; print("3.%d" % sys.version_info[1])')
torch=$(cat requirements/torch.txt)

find_python() { # $1: 3.12; on the path, or among pyenv's
    for one in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$one" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$one"
            return
        fi
    done
}

for version in 3.11 3.12 3.13; do
    [ "$version" != "$own" ] || continue
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "Python $version: not found here; skipped"
        continue
    fi
    folder=build/python-$version
    rm -rf "$folder"
    mkdir -p build
    PYTHONPYCACHEPREFIX=$folder/compiled "$python" -m compileall -q rfe
    "$python" -m venv "$folder/probe"
    if ! "$folder/probe/bin/python" -m pip --disable-pip-version-check install --quiet --dry-run --no-deps --retries 1 \
        --index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" "$torch+cpu" >/dev/null 2>&1; then
        echo "Python $version: rfe compiles; no CPU build of torch is found for it, so that no more was tried"
        continue
    fi
    PYTHON=$python sh requirements/install.sh "$folder/environment" run
    sh requirements/try.sh "$PWD/$folder/environment/bin/python" "$folder/tried"
    rm -rf "$folder"
    echo "Python $version: installed by the lock; a search of 8 trials, export, verify, predict and report went well"
done
