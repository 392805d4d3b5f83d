"""An end is asked for by a signal or by other means, and once asked for it stays so."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from rfe.search.interrupt import LEFT_AT_ONCE, WARNINGS, catch_interrupts, keep_handlers


def test_a_wish_from_elsewhere_is_an_interrupt_and_stays_one() -> None:
    wishes = [False]
    with catch_interrupts(lambda: wishes[0]) as interrupt:
        assert not interrupt.asked
        wishes[0] = True
        assert interrupt.asked
        wishes[0] = False
        assert interrupt.asked


@pytest.mark.parametrize("number", [signal.SIGTERM, *WARNINGS], ids=lambda number: number.name)
def test_a_signal_is_caught_within_the_block_only(number: signal.Signals) -> None:
    """Before: SIGHUP, SIGUSR1 and SIGUSR2 ended the process at once."""
    former = signal.getsignal(number)
    with catch_interrupts() as interrupt:
        os.kill(os.getpid(), number)
        assert interrupt.asked
    assert signal.getsignal(number) == former


def run(signals: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    """A process that gets `signals` one after the other within the block, and then says that it is still here."""
    code = (
        f"import os, signal\n{before}\n"
        "from rfe.search.interrupt import catch_interrupts\n"
        "with catch_interrupts() as interrupt:\n"
        f"    for name in {signals.split()!r}:\n"
        "        os.kill(os.getpid(), getattr(signal, name))\n"
        "    print('still here', interrupt.asked)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "signals",
    [
        "SIGHUP SIGHUP",  # a closed terminal's: of the kernel and of the shell
        "SIGUSR1 SIGTERM",  # Slurm's warning, and what follows it
        "SIGHUP SIGUSR2 SIGTERM",
    ],
)
def test_a_batch_systems_signals_do_not_add_up_to_leaving_at_once(signals: str) -> None:
    ended = run(signals)
    assert (ended.returncode, ended.stdout) == (0, "still here True\n"), ended.stderr


@pytest.mark.parametrize("signals", ["SIGINT SIGTERM", "SIGTERM SIGINT", "SIGHUP SIGINT", "SIGUSR1 SIGTERM SIGTERM"])
def test_who_insists_leaves_at_once_and_is_told_what_is_kept(signals: str) -> None:
    """Before: not a word."""
    ended = run(signals)
    assert (ended.returncode, ended.stdout) == (LEFT_AT_ONCE, "")
    assert "what finished is kept, and the same command goes on" in ended.stderr


def test_with_nohup_a_closed_terminal_changes_nothing() -> None:
    ended = run("SIGHUP", before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    assert (ended.returncode, ended.stdout) == (0, "still here False\n"), ended.stderr


def test_a_terminal_that_was_closed_can_be_written_to() -> None:
    """Before: OSError 5 at the next line of progress, before anything was saved."""
    reader, terminal = pty.openpty()
    code = (
        "import os, signal, sys\n"
        "from rfe.search.interrupt import catch_interrupts\n"
        "with catch_interrupts() as interrupt:\n"
        "    os.write(1, b'ready')\n"
        "    while not interrupt.asked: signal.pause()\n"
        "    print('no longer seen', flush=True)\n"
        "    print('no longer seen', file=sys.stderr, flush=True)\n"
        "sys.exit(17)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    assert os.read(reader, 5) == b"ready"
    os.close(reader)
    child.send_signal(signal.SIGHUP)
    assert child.wait(timeout=60) == 17


def test_output_in_a_file_is_kept_when_the_terminal_is_closed() -> None:
    ended = run("SIGHUP")
    assert ended.stdout == "still here True\n"


def test_what_a_library_does_to_handlers_is_undone_and_its_processes_do_not_get_the_jobs_signals() -> None:
    """Before: a closed terminal ended Ray's processes, and the search could not stop in order."""
    got: list[int] = []
    former = {number: signal.signal(number, lambda number, frame: got.append(number)) for number in WARNINGS}
    mine = signal.getsignal(signal.SIGTERM)
    child = None
    try:
        with keep_handlers():
            signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
            child = subprocess.Popen(
                [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"], stdout=-1
            )
            assert child.stdout is not None
            child.stdout.readline()
            for number in WARNINGS:
                child.send_signal(number)
                os.kill(os.getpid(), number)  # taken at once where another thread has it unblocked, else afterwards
            assert child.poll() is None
        assert sorted(got) == sorted(WARNINGS)  # this process does get them
        assert signal.getsignal(signal.SIGTERM) == mine
        child.terminate()
        assert child.wait(timeout=60) == -signal.SIGTERM  # neither one of the warnings, nor never
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if child is not None and child.poll() is None:
            child.kill()
