"""Work that is asked to end ends by itself, at once only when it is asked again."""

from __future__ import annotations

import os
import signal

import pytest

from microfiche.cli.console import interrupts


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noticed_and_a_second_one_obeyed(sent: signal.Signals) -> None:
    before = signal.getsignal(sent)
    with interrupts() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), sent)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), sent)
    assert signal.getsignal(sent) is before
