"""The end of the program while a thread of it is still at work."""

import os
import subprocess
import sys

import pytest

from rfe.threads import BackgroundThread, join_background_threads

BUSY = """
import atexit, os, sys, threading, time
from rfe import threads
from rfe.cli import program

threads.LAST_S = 0.5

def end() -> None:  # stands for what a thread that draws or imports does to an interpreter that ends
    if any(one.name == "tuner" for one in threading.enumerate()):
        os.abort()

def command() -> None:
    threads.BackgroundThread(target=time.sleep, args=(600,), name="tuner").start()
    print("the result")
    sys.exit(CODE)

atexit.register(end)
program.app = command
program.main()
"""


@pytest.mark.parametrize("code", [0, 2])
def test_a_thread_that_outlives_the_command_does_not_abort_it(code: int) -> None:
    """Before, the interpreter ended beside the thread, which may abort it (exit 134) after the result was printed."""
    script = BUSY.replace("CODE", str(code))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240)
    assert (ended.returncode, ended.stdout) == (code, "the result\n"), ended.stderr


def test_threads_are_waited_for_together() -> None:
    reads, writes = os.pipe()
    thread = BackgroundThread(target=lambda: os.read(reads, 1), name="apprise")
    thread.start()
    # earlier tests of this process may have left threads of theirs
    assert "apprise" in join_background_threads(0.05)
    os.write(writes, b"x")
    thread.join(60)
    assert "apprise" not in join_background_threads(0.05)
    os.close(reads)
    os.close(writes)


IMPORTS = """
import threading, time
from rfe.search import driver

begun = threading.Event()

def import_module(name: str) -> None:
    print("begins", name, flush=True)
    begun.set()
    time.sleep(0.5)
    print("ends", name, flush=True)

driver.import_module = import_module
driver.load_dataset = lambda *_: 1 / 0
driver.check_reachable = driver.refuse_impossible = lambda *_: None
try:
    driver.run_search(driver.SearchSpace(study="s"), "data", driver.Workspace(driver.Path("w"), "", driver.Path("c")))
except Exception as error:
    begun.wait()
    print("refused", type(error).__name__, flush=True)
"""


def test_the_imports_of_a_refused_search_end_before_the_program() -> None:
    """Before, the interpreter ended while the thread imported."""
    ended = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert [line for line in lines if line.startswith("refused")] != []
    assert lines[-1].startswith("ends ")
    assert "begins rfe.search.study_run" not in lines
