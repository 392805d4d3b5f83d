#!/usr/bin/env bash
# Hands `rfe search "$@"` to the Ray cluster whose dashboard is at RAY_API_SERVER_ADDRESS.
set -euo pipefail
: "${RAY_API_SERVER_ADDRESS:?say where the cluster is, e.g. http://127.0.0.1:8265}"
: "${RFE_WORKSPACE:?name an absolute folder that stays when the job has ended}"
python="${RFE_PYTHON:-$(command -v python3)}"  # the interpreter that has rfe, on the cluster's nodes
environment="{\"env_vars\": {\"RFE_WORKSPACE\": \"$RFE_WORKSPACE\", \"MLFLOW_TRACKING_URI\": \"${MLFLOW_TRACKING_URI:-}\"}}"
exec "$(dirname "$python")/ray" job submit --runtime-env-json "$environment" -- "$python" -m rfe search "$@"
