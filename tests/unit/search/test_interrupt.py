"""An end is asked for by a signal or by other means, and once asked for it stays so."""

import os
import signal

from rfe.search.interrupt import catch_interrupts


def test_a_wish_from_elsewhere_is_an_interrupt_and_stays_one() -> None:
    wishes = [False]
    with catch_interrupts(lambda: wishes[0]) as interrupt:
        assert not interrupt.asked
        wishes[0] = True
        assert interrupt.asked
        wishes[0] = False
        assert interrupt.asked


def test_a_signal_is_caught_within_the_block_only() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with catch_interrupts() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.asked
    assert signal.getsignal(signal.SIGTERM) == former
