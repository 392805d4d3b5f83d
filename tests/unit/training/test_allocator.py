import os
import subprocess
import sys

import pytest

from rfe.training.allocator import ONE_HEAP

PROGRAM = """
import resource, sys, threading, torch
from rfe.training.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        several = [torch.ones(n) for n in (2_000_000, 20_000_000)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def measure():
    handed_back = faults()
    keep_freed_memory()
    faults()  # fills the heap
    print(handed_back, faults())

torch.set_num_threads(1)
if "thread" in sys.argv:
    threading.Thread(target=measure).start()
else:
    measure()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc's allocator")
@pytest.mark.parametrize(("place", "environment"), [("first", {}), ("thread", ONE_HEAP)])
def test_memory_that_is_freed_is_used_again_without_asking_the_system(place: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", PROGRAM, place]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    handed_back, kept = map(int, done.stdout.split())
    assert handed_back > 10_000
    assert kept < 100
