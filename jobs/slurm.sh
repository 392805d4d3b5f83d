#!/usr/bin/env bash
# A Slurm allocation: starts a Ray cluster in it, submits, follows, ends it all: `sbatch jobs/slurm.sh search fusion --data /shared/my-data`.
#SBATCH --job-name=rfe
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@180
# Three minutes before the end the search is stopped cleanly; submitting the same script again resumes it.
set -euo pipefail
: "${RFE_WORKSPACE:?name an absolute folder that all nodes see}"
python="${RFE_PYTHON:-$(command -v python3)}"  # the interpreter that has rfe, under the same path on all nodes
ray="$(dirname "$python")/ray"
port=$((20000 + SLURM_JOB_ID % 10000))
dashboard="http://127.0.0.1:$((port + 10000))"
# Other users of the nodes reach the ports; without the token they could run anything
RAY_AUTH_TOKEN="$("$python" -c 'import secrets; print(secrets.token_hex(32))')"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
# exec: only ever in a subshell, which then is srun itself and can be ended
on() { exec srun --nodes=1 --ntasks=1 --overlap --nodelist="$1" "${@:2}"; }
address="$(on "${nodes[0]}" hostname --ip-address | awk '{print $1}'):$port"
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait || true' EXIT
on "${nodes[0]}" "$ray" start --head --block --disable-usage-stats --node-ip-address="${address%:*}" --port="$port" \
    --dashboard-host=127.0.0.1 --dashboard-port="${dashboard##*:}" --num-cpus="$SLURM_CPUS_PER_TASK" &
started+=($!)
for node in "${nodes[@]:1}"; do
    on "$node" "$ray" start --address="$address" --block --disable-usage-stats --num-cpus="$SLURM_CPUS_PER_TASK" &
    started+=($!)
done

count='import ray, sys; ray.init(sys.argv[1], log_to_driver=False); print(sum(n["Alive"] for n in ray.nodes()))'
for attempt in $(seq 60); do
    here="$("$python" -c "$count" "$address" 2>/dev/null || true)"
    [ "$here" = "${#nodes[@]}" ] && break
    [ "$attempt" = 60 ] && { echo "${here:-none} of ${#nodes[@]} nodes joined the Ray cluster" >&2; exit 1; }
    sleep 5
done

stopped=
trap 'stopped=1; "$python" -m rfe jobs stop slurm --address "$dashboard"' TERM
"$python" -m rfe submit --address "$dashboard" --name slurm --follow -- "$@" &
follower=$!
code=0
wait "$follower" || code=$?
if [ "$stopped" ]; then  # TERM ended that wait; the follower ends with the job
    code=0
    wait "$follower" || code=$?
fi
exit "$code"
