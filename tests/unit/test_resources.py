"""What a container or a batch job leaves of the machine; on made-up trees of control groups."""

import os
from pathlib import Path

import pytest

from rfe import resources

GB = 2**30
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `/sys/fs/cgroup`, on a machine of 16 CPUs with 8 GB free."""
    (tmp_path / "meminfo").write_text(f"MemTotal: 16 kB\nMemAvailable: {8 * GB // 1024} kB\n")
    monkeypatch.setattr(resources, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(resources, "OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    return tmp_path


def lay_out(place: Path, own: str, files: dict[str, object]) -> None:
    """`own` is what /proc/self/cgroup says; `files` lie below /sys/fs/cgroup."""
    (place / "cgroup").write_text(own)
    for name, content in files.items():
        path = place / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


JOB = "system.slice/slurmstepd.scope/job_7"
STEP = f"{JOB}/step_0/user/task_0"


def test_without_limits_it_is_the_machine(groups: Path) -> None:
    """Before: the same. Numbers so large that they mean no limit must not become one."""
    lay_out(
        groups,
        "4:memory:/a\n3:cpu,cpuacct:/a\n0::/a\n",
        {
            "memory/a/memory.limit_in_bytes": 9223372036854771712,
            "memory/a/memory.usage_in_bytes": 5,
            "cpu,cpuacct/a/cpu.cfs_quota_us": -1,
            "cpu,cpuacct/a/cpu.cfs_period_us": 100000,
            "unified/a/memory.max": "max",
            "unified/a/cpu.max": "max 100000",
            "unified/a/pids.max": "max",
        },
    )
    assert (resources.available_cpus(), resources.machine_memory(), resources.free_memory()) == (16, MACHINE, 8 * GB)
    assert resources.process_limit() is None


def test_a_system_without_control_groups_is_the_machine(groups: Path) -> None:
    assert (resources.available_cpus(), resources.machine_memory(), resources.free_memory()) == (16, MACHINE, 8 * GB)


@pytest.mark.parametrize("root", ["", "unified/"])
def test_limits_of_a_batch_job_stand_groups_above_the_process(groups: Path, root: str) -> None:
    """Before: 16 CPUs and 8 GB free; only /sys/fs/cgroup/memory.max itself was read."""
    lay_out(
        groups,
        f"0::/{STEP}\n",
        {
            f"{root}{STEP}/memory.max": "max",
            f"{root}{STEP}/memory.current": 1,
            f"{root}{JOB}/memory.max": 4 * GB,
            f"{root}{JOB}/memory.current": 1 * GB,
            f"{root}{JOB}/cpu.max": "350000 100000",
            f"{root}{JOB}/step_0/pids.max": 90,
            f"{root}system.slice/pids.max": 900,
            f"{root}cpu.max": "max 100000",
        },
    )
    assert resources.available_cpus() == 3
    assert (resources.machine_memory(), resources.free_memory()) == (4 * GB, 3 * GB)
    assert resources.process_limit() == 90


def test_the_narrowest_of_several_limits_counts(groups: Path) -> None:
    """A group may be full although it is not the smallest; above memory.high its processes nearly stand still."""
    lay_out(
        groups,
        "0::/job/step\n",
        {
            "job/memory.max": 6 * GB,
            "job/memory.high": 5 * GB,
            "job/memory.current": 4 * GB,
            "job/step/memory.max": 3 * GB,
            "job/step/memory.current": GB,
            "job/cpu.max": "400000 100000",
            "job/step/cpu.max": "800000 100000",
        },
    )
    assert resources.available_cpus() == 4
    assert (resources.machine_memory(), resources.free_memory()) == (3 * GB, GB)


def test_limits_of_version_1_are_read(groups: Path) -> None:
    """A container without a namespace of its own: /proc tells the host's path, /sys the container's end of it.

    Before: 16 CPUs and 8 GB free.
    """
    lay_out(
        groups,
        "9:cpu,cpuacct:/docker/abc\n8:pids:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n",
        {
            "memory/memory.limit_in_bytes": 2 * GB,
            "memory/memory.usage_in_bytes": GB,
            "cpu,cpuacct/cpu.cfs_quota_us": 50000,
            "cpu,cpuacct/cpu.cfs_period_us": 100000,
            "pids/pids.max": 100,
        },
    )
    assert resources.available_cpus() == 1  # half of one
    assert (resources.machine_memory(), resources.free_memory()) == (2 * GB, GB)
    assert resources.process_limit() == 100


@pytest.mark.parametrize(
    ("own", "folder", "name"), [("0::/", "", "inactive_file"), ("4:memory:/", "memory/", "total_inactive_file")]
)
def test_files_in_the_cache_are_memory_that_can_be_had(groups: Path, own: str, folder: str, name: str) -> None:
    """Before: a container that had read 3 GB of files had 0.5 of 4 GB free."""
    files = {
        "memory.stat": f"anon 1\n{name} {3 * GB}\nactive_file 2",
        "memory.max": 4 * GB,
        "memory.current": 7 * GB // 2,
    }
    if folder:
        files = {
            "memory.limit_in_bytes": 4 * GB,
            "memory.usage_in_bytes": 7 * GB // 2,
            "memory.stat": files["memory.stat"],
        }
    lay_out(groups, own, {folder + name: content for name, content in files.items()})
    assert resources.free_memory() == 7 * GB // 2


def test_an_affinity_mask_below_the_quota_counts(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    lay_out(groups, "0::/\n", {"cpu.max": "800000 100000"})
    assert resources.available_cpus() == 2


@pytest.mark.parametrize(("quota", "threads"), [("200000 100000", "2"), ("max 100000", None), ("1600000 100000", None)])
def test_threads_of_numerical_libraries_keep_to_a_quota(
    groups: Path, quota: str, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: 16 threads on the time of 2 CPUs."""
    monkeypatch.setattr(os, "environ", {})
    lay_out(groups, "0::/\n", {"cpu.max": quota})
    resources.limit_threads()
    assert os.environ.get("OMP_NUM_THREADS") == threads
    os.environ["OMP_NUM_THREADS"] = "7"
    resources.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_files_that_make_no_sense_are_no_limit(groups: Path) -> None:
    lay_out(groups, "0::/\n", {"cpu.max": "soon", "memory.max": "", "memory.current": "x", "pids.max": "many"})
    assert (resources.available_cpus(), resources.machine_memory()) == (16, MACHINE)
    assert resources.process_limit() is None
