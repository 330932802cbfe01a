"""Work that is asked to end ends by itself, at once only when it is asked again."""

from __future__ import annotations

import os
import signal

import pytest
import typer

from microfiche.cli.console import closed_output, fail, interrupts, reported


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


def test_a_message_is_one_line_and_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        fail("a\x1b[2J\nb\u2028é\udce9", 1)
    assert capsys.readouterr().err == "microfiche: a\\x1b[2J\\nb\\u2028é\\udce9\n"


def test_what_is_written_to_a_closed_output_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, reported():
        print("x", file=closed_output())
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "microfiche: standard output: it is closed\n"
