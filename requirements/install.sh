#!/bin/sh
# Sets up an environment by a lock: `sh requirements/install.sh FOLDER run|dev`. `run`: searches and reports; `dev`: tests,
# checks and documentation too; or the path of another lock.
#   PYTHON       the interpreter; else the first of 3.11, 3.12, 3.13 that is found
#   TORCH_INDEX  the package index for torch alone; else its CPU build's where no GPU is found
#   EDITABLE     set and empty: a copy of rfe is installed, not a link to this folder
set -eu
environment=$1 lock=requirements/$2.txt
cpu_index=https://download.pytorch.org/whl/cpu
python=$environment/bin/python log=$environment/install.log
cd "$(dirname "$0")/.."
case $2 in */*) lock=$2 ;; esac

fail() {
    echo "$*" >&2
    exit 1
}

fits() { # whether an interpreter starts, and is one that pyproject.toml allows
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON: is no Python 3.11, 3.12 or 3.13; name another, or none: the first that is found is taken"
        set -- "$PYTHON"
    else
        set -- python3.11 python3.12 python3.13 python3
    fi
    without_venv=
    for one in "$@"; do
        fits "$one" || continue
        if "$one" -c 'import ensurepip, venv' 2>/dev/null; then
            found=$one
            return
        fi
        without_venv=${without_venv:-$one}
    done
    [ -z "$without_venv" ] || fail "$without_venv has no venv and ensurepip; install them (Debian, Ubuntu: apt-get install $(
        "$without_venv" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
    )), or name another interpreter: make PYTHON=/path/to/python3"
    fail "no Python 3.11, 3.12 or 3.13 is found; install one with venv (Debian 12 and 13, Ubuntu 24.04: apt-get install python3-venv;" \
        "macOS: brew install python@3.12), or name one: make PYTHON=/path/to/python3"
}

make_environment() { # a half-made one, or one whose interpreter is gone, is made again
    "$python" -m pip --version >/dev/null 2>&1 && return
    if [ -e "$environment" ] && [ ! -e "$environment/pyvenv.cfg" ]; then
        rmdir "$environment" 2>/dev/null || fail "$environment: is there, and is no environment of Python; move it away, or name another folder: make VENV=..."
    fi
    find_python
    rm -rf "$environment"
    echo "setting up $environment with $("$found" -c 'import sys; print("Python %d.%d.%d (%s)" % (*sys.version_info[:3], sys.executable))') (minutes, once)"
    "$found" -m venv "$environment" || { rm -rf "$environment"; fail "$found -m venv $environment failed; see above"; }
}

# Bytecode is written at the end, by all processors; a package that has no wheel is refused, as its build would run code
# that no hash covers
pip() {
    "$python" -m pip --disable-pip-version-check --no-input install --no-compile --only-binary :all: "$@" >"$log" 2>&1
}

must_pip() {
    pip "$@" || { tail -n 20 "$log"; fail "pip install $* failed; all it said is in $log"; }
}

# uv installs the lock in seconds where pip takes more than a minute. It uses the index that pip is configured with; where
# uv fails, pip installs the same hashes
install_lock() {
    uv=$environment/.uv
    index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null)} || index=
    if [ -z "${PIP_NO_INDEX:-}" ] && pip --no-deps --require-hashes --target "$uv" --requirement requirements/uv.txt &&
        UV_CACHE_DIR=$uv/cache UV_HTTP_TIMEOUT=30 UV_DEFAULT_INDEX=${index:-https://pypi.org/simple} "$uv/bin/uv" pip install \
            --native-tls --no-config --python "$python" --no-deps --require-hashes --no-build --requirement "$lock" >"$log" 2>&1; then
        rm -rf "$uv"
    else
        rm -rf "$uv"
        must_pip --no-deps --require-hashes --requirement "$lock"
    fi
}

install_torch() { # after the lock, which has all that torch needs but CUDA's libraries
    torch=$(cat requirements/torch.txt)
    if [ -n "${TORCH_INDEX:-}" ]; then
        must_pip --index-url "$TORCH_INDEX" "$torch"
    elif [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && ! has_torch; then
        pip --index-url "$cpu_index" --retries 1 --no-deps "$torch+cpu" && return
        echo "no CPU build of torch is found; taking the package index's, which may bring gigabytes of CUDA (make TORCH_INDEX=URL names another index)"
        must_pip "$torch"
    else
        must_pip "$torch"
    fi
}

has_torch() {
    "$python" -c 'import importlib.metadata as m; print("torch==" + m.version("torch").partition("+")[0])' 2>/dev/null |
        grep -qxF "$torch"
}

make_environment
install_lock
install_torch
must_pip --no-deps --no-build-isolation ${EDITABLE-"--editable"} .
# tests, and large packages that few commands import, are compiled when they are first imported
rarely='.*/tests?/|pip/|sympy/|networkx/|plotly/|statsmodels/|fontTools/|databricks/|ray/(rllib|serve|llm)/|torch/(_inductor|_dynamo|testing|onnx)/'
"$python" -m compileall -qq -j 0 -x "site-packages/($rarely)" \
    "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" || true # some files are of other Pythons
