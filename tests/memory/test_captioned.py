"""Pages as they are sent: pictures at hand, what a caption says, the parts of a message in both shapes."""

from __future__ import annotations

import pytest

from microfiche import typeset
from microfiche.memory.billing import PROVIDERS
from microfiche.memory.captioned import (
    LISTED,
    CaptionedPage,
    Pictures,
    caption_tokens,
    cost_at,
    message_parts,
    undrawn_note,
)
from microfiche.memory.paper import png

PAGE = typeset("It was the best of times. " * 20, "7x13", "tiny")[0]


def test_pictures_are_made_once_and_the_first_go_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(png(PAGE.image))
    monkeypatch.setattr("microfiche.memory.captioned.HELD", 2 * size)
    pictures, made = Pictures(), []
    for name in "aabacab":
        assert pictures.png(name, 512, lambda name=name: made.append(name) or PAGE) == png(PAGE.image)
    assert "".join(made) == "abcab"
    monkeypatch.setattr("microfiche.memory.captioned.HELD", size - 1)
    assert Pictures().png("a", 512, lambda: PAGE) == png(PAGE.image), "one that is too large is not kept"


def test_a_page_costs_its_picture_and_its_caption() -> None:
    by = PROVIDERS["nano"]
    assert cost_at(by, (512, 512), 512, "[page 1]") == 64 + caption_tokens("[page 1]")
    assert cost_at(by, (128, 512), 256, "") == 4


def test_a_caption_lists_what_is_not_drawn_up_to_a_number() -> None:
    assert undrawn_note("plain text", "7x13") == ""
    assert undrawn_note("a ☃ b ¤", "7x13") == "; ¤ stands for ☃ ¤"
    many = "☃" * (LISTED + 1)
    assert undrawn_note(many, "7x13") == "; ¤ stands for " + " ".join(many[1:]) + " …"
    assert undrawn_note(many, "7x13", more="") == undrawn_note(many[1:], "7x13")


def test_the_parts_of_a_message_in_both_shapes() -> None:
    pages = [CaptionedPage(i, f"[page {i}]", b"png", 512, 512, 70) for i in (1, 2)]
    first, *rest = message_parts("Before:", pages)
    assert first == {"type": "text", "text": "Before:"} and [part["type"] for part in rest] == ["text", "image_url"] * 2
    _, *rest = message_parts("Before:", pages, "anthropic", stable=1)
    assert [part.get("cache_control") for part in rest] == [None, {"type": "ephemeral"}, None, None]
    assert rest[1]["source"] == {"type": "base64", "media_type": "image/png", "data": "cG5n"}
