from __future__ import annotations

import signal

import pytest

from necomimi.gui.ending import told_to_end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_are_heard_inside_and_left_alone_outside(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with told_to_end() as told:
        assert not told.is_set()
        signal.raise_signal(number)
        assert told.is_set()
    assert signal.getsignal(number) is before
