"""Texts and pictures in the shape of each provider."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from microfiche.memory.billing import Shape
from microfiche.memory.shapes import marked, picture_part, sent, text_part, user_message

SHAPES: tuple[Shape, ...] = get_args(Shape)
PNG = b"\x89PNG\r\n\x1a\n and so on"
PARTS = {
    "openai": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {
        "url": "data:image/png;base64,iVBORw0KGgogYW5kIHNvIG9u", "detail": "high"}}],
    "responses": [{"type": "input_text", "text": "a"}, {
        "type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgogYW5kIHNvIG9u", "detail": "high"}],
    "anthropic": [{"type": "text", "text": "a"}, {"type": "image", "source": {
        "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgogYW5kIHNvIG9u"}}],
    "gemini": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgogYW5kIHNvIG9u"}}],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_are_as_the_providers_document_them(shape: Shape) -> None:
    assert [text_part(shape, "a"), picture_part(shape, PNG)] == PARTS[shape]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_sent_can_be_read_from_a_message(shape: Shape) -> None:
    message = user_message(shape, [text_part(shape, "a lone \ud800"), picture_part(shape, PNG), text_part(shape, "")])
    assert list(sent([message])) == ["a lone \\ud800", PNG, ""]
    assert message["role"] == "user" and json.dumps(message).encode()


def test_only_anthropic_wants_a_mark_for_its_cache() -> None:
    for shape in SHAPES:
        part = text_part(shape, "a")
        assert ("cache_control" in marked(shape, part)) == (shape == "anthropic") and "cache_control" not in part
