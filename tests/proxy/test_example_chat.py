"""The example: a chat of 300 turns through the proxy, drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from run import CHAT, main


def test_a_long_chat_costs_less_turn_by_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(CHAT.read_text().splitlines()) == 600
    course = main(["-o", str(tmp_path / "saved.png"), "--every", "23"])
    assert (tmp_path / "saved.png").read_bytes().startswith(b"\x89PNG")
    assert course[0][1] == course[0][2] and course[-1][0] > 290
    saved = [1 - charged / text for _, text, charged in course[1:]]
    assert saved[-1] > 0.6 and saved[-1] > saved[1] > 0
    assert "turns: " in capsys.readouterr().out
