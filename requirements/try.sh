#!/bin/sh
# `sh requirements/try.sh PYTHON FOLDER`: the whole path, small, by the rfe of an interpreter; the folder is left behind.
set -eu
python=$1
mkdir -p "$2"
cd "$2"
rfe() {
    "$python" -m rfe "$@"
}
rfe data simulate --output sim --actors 8 --test-actors 2 --clips-per-actor 15 --quiet
rfe search demo --data sim --study tried --trials 8 --set confirm.top=0 --quiet
rfe export tried --output bundle
rfe verify bundle --data sim
rfe predict bundle --data sim --output answers
rfe report tried --output report
