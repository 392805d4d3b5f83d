"""The ready files of `jobs/` are what they say: jobs of rfe, a RayJob that KubeRay takes, a script that cleans up."""

import os
import shlex
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from rfe.config.reading import parse_yaml
from rfe.jobs.description import load_job
from tests.docs.blocks import ROOT, read_blocks
from tests.unit.cli.commands import find_fault

JOBS = ROOT / "jobs"
FILES = sorted(path.name for path in JOBS.iterdir() if path.name != "README.md")
RAY_JOB_FIELDS = {
    "activeDeadlineSeconds": int,
    "backoffLimit": int,
    "clusterSelector": dict,
    "entrypoint": str,
    "entrypointNumCpus": float,
    "entrypointNumGpus": float,
    "entrypointResources": str,
    "jobId": str,
    "metadata": dict,
    "rayClusterSpec": dict,
    "runtimeEnvYAML": str,
    "shutdownAfterJobFinishes": bool,
    "submissionMode": str,
    "submitterPodTemplate": dict,
    "suspend": bool,
    "ttlSecondsAfterFinished": int,
}
"""`spec` of a RayJob. Source: KubeRay, ray-operator/apis/ray/v1/rayjob_types.go."""


def test_each_file_says_in_its_first_lines_what_it_is_for_and_is_in_the_readme() -> None:
    readme = (JOBS / "README.md").read_text(encoding="utf-8")
    assert FILES == ["cluster.yaml", "kuberay.yaml", "local.yaml", "slurm.sh"]
    for name in FILES:
        head = (JOBS / name).read_text(encoding="utf-8").splitlines()[:2]
        assert any(line.startswith("# ") and f"jobs/{name}" in line for line in head)
        assert f"({name})" in readme


def test_the_readmes_commands_are_the_programs() -> None:
    commands = [command for block in read_blocks(JOBS / "README.md") for command in block.commands]
    assert len(commands) == 6
    assert [find_fault(command) for command in commands] == [None] * 6


@pytest.mark.parametrize("name", ["local.yaml", "cluster.yaml"])
def test_a_job_file_is_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    job = load_job(JOBS / name)
    assert job.study == job.name
    assert find_fault(shlex.join(["rfe", *job.words])) is None


def test_the_ray_job_has_what_kuberay_requires() -> None:
    given = yaml.safe_load((JOBS / "kuberay.yaml").read_text(encoding="utf-8"))
    assert (given["apiVersion"], given["kind"]) == ("ray.io/v1", "RayJob")
    spec = given["spec"]
    assert not [name for name, value in spec.items() if not isinstance(value, RAY_JOB_FIELDS[name])]
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode")
    cluster = spec["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    groups = cluster["workerGroupSpecs"]
    assert groups
    for group in groups:
        assert {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"} <= set(group)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (cluster["headGroupSpec"], *groups):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 1000  # Containerfile's
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {"name", "image"} <= set(container)
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            assert all(mount["mountPath"].startswith("/") for mount in container["volumeMounts"])
            amounts = [one for kind in container["resources"].values() for one in kind.values()]
            assert all(isinstance(amount, str) for amount in amounts)


def test_the_ray_jobs_command_is_one_of_the_program() -> None:
    spec = yaml.safe_load((JOBS / "kuberay.yaml").read_text(encoding="utf-8"))["spec"]
    program, command = spec["entrypoint"].split(" -m ", 1)
    assert program == "exec python"
    assert find_fault(command) is None
    variables: dict[str, Any] = parse_yaml(spec["runtimeEnvYAML"], "runtimeEnvYAML")["env_vars"]
    assert variables["RFE_WORKSPACE"].startswith("/")
    assert all(isinstance(value, str) for value in variables.values())


SLURM = {
    "scontrol": 'printf "node1\\nnode2\\n"',
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "hostname": "echo 10.0.0.1",
    "ray": 'trap "echo ray ended >> $CALLS; exit" TERM; echo "ray $*" >> "$CALLS"; while :; do sleep 0.1; done',
    "python": """
case "$*" in
    *secrets*) echo 0123456789abcdef0123456789abcdef ;;
    *ray.init*) until [ "$(grep -c "^ray start" "$CALLS")" = 2 ]; do sleep 0.1; done; echo 2 ;;
    *) echo "$RAY_AUTH_MODE $*" >> "$CALLS"; exit 3 ;;
esac""",
}
"""What the script calls, as programs that only say that they were."""


def test_the_slurm_script_starts_submits_and_ends_all(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    for name, body in SLURM.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "RFE_PYTHON": str(tmp_path / "python"),
        "RFE_WORKSPACE": "/shared/w",
        "SLURM_JOB_ID": "42",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "8",
    }
    command = ["bash", str(JOBS / "slurm.sh"), "search", "everything", "--data", "/d"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as script:
        try:
            out, err = script.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):  # nothing is left of it, as should be
                os.killpg(script.pid, signal.SIGKILL)
    said = calls.read_text().splitlines()
    assert script.returncode == 3, err  # the follower's
    [head] = [line for line in said if line.startswith("ray start --head")]
    assert "--node-ip-address=10.0.0.1 --port=20042 --dashboard-host=127.0.0.1 --dashboard-port=30042" in head
    assert [line for line in said if line.startswith("ray start --address=10.0.0.1:20042")]
    [submitted] = [line for line in said if " -m rfe " in line]
    typed = submitted.removeprefix("token -m ")
    assert find_fault(typed) is None
    assert typed.endswith("--address http://127.0.0.1:30042 --name slurm --follow -- search everything --data /d")
    assert said.count("ray ended") == 2
    assert "0123456789abcdef" not in out + err + calls.read_text()
