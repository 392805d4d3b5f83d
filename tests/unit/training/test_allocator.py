import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from rfe.training.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        several = [torch.ones(2_000_000) for _ in range(4)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
handed_back = faults()
keep_freed_memory()
faults()  # fills the heap
print(handed_back, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is glibc's allocator")
def test_memory_that_is_freed_is_used_again_without_asking_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    handed_back, kept = map(int, done.stdout.split())
    assert handed_back > 10_000
    assert kept < 100
