"""Pictures of messages are sent on as they came, in every shape, counted, and never past the budget."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from microfiche.memory import Memory
from microfiche.memory.context import Context
from microfiche.memory.models import hosted
from microfiche.memory.shapes import sent
from microfiche.precision import text_tokens


def picture(kind: str, side: int) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).save(file, kind)
    return file.getvalue()


PNG, JPEG = picture("PNG", 200), picture("JPEG", 300)
PNG64, JPEG64 = (base64.b64encode(data).decode() for data in (PNG, JPEG))
SAID: dict[str, list[dict[str, Any]]] = {
    "openai": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG64}"}},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{JPEG64}"}},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
        {"type": "file", "file": {"filename": "plan.pdf", "file_data": PNG64}}]}],
    "responses": [
        {"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG64}"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/jpeg;base64,{JPEG64}"},
                                     {"type": "input_image", "file_id": "file-7"}]}],
    "anthropic": [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG64}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": JPEG64}}]}]}],
    "gemini": [{"role": "user", "parts": [
        {"inlineData": {"mimeType": "image/png", "data": PNG64}},
        {"inlineData": {"mimeType": "audio/wav", "data": PNG64}},
        {"inlineData": {"mimeType": "image/jpeg", "data": JPEG64}}]}],
}  # fmt: skip


def recounted(made: Context, name: str) -> int:
    return sum(text_tokens(part) if isinstance(part, str) else hosted(name).tokens(*Image.open(io.BytesIO(part)).size)
               for part in sent(made.messages))  # fmt: skip


@pytest.mark.parametrize("shape", SAID)
@pytest.mark.parametrize("name", ["gpt-4o", "claude-opus-5-5", "gemini-4-neon"])
def test_a_picture_that_came_in_any_shape_goes_out_in_any(memory: Memory, shape: str, name: str) -> None:
    memory.sync_chat("chat", SAID[shape])
    made = memory.context(20_000, "What is it?", name)
    pictures = [part for part in sent(made.messages) if isinstance(part, bytes)][-2:]
    assert pictures == [PNG, JPEG] == [one.data for one in made.attached], "as they came, the newest last"
    assert '"image/jpeg' in str(made.messages).replace("'", '"') or "data:image/jpeg" in str(made.messages)
    assert recounted(made, name) == made.tokens <= 20_000
    assert list(sent(made.messages))[-1] == "What is it?" and not any("by name" in note for note in made.notes)


def test_what_there_is_no_room_for_goes_in_by_name_and_is_said(memory: Memory) -> None:
    memory.sync_chat("chat", SAID["openai"])
    whole = memory.context(20_000, "", "gpt-4o")
    assert len(whole.attached) == 2
    less = memory.context(whole.tokens - 1, "", "gpt-4o")
    assert [one.data for one in less.attached] == [JPEG] and less.tokens <= whole.tokens - 1
    assert "1 of the 2 newest pictures of messages go in by name alone" in less.notes
    none = memory.context(150, "", "gpt-4o")
    assert not none.attached and recounted(none, "gpt-4o") == none.tokens <= 150


@pytest.mark.parametrize("broken", ["no base64 at all", base64.b64encode(b"GIF89a").decode(), PNG64[:40], ""])
def test_what_is_no_picture_is_passed_over(memory: Memory, broken: str) -> None:
    url = {"url": f"data:image/png;base64,{broken}"}
    memory.sync_chat("chat", [{"role": "user", "content": [{"type": "image_url", "image_url": url}]}])
    assert not memory.context(20_000, "", "gpt-4o").attached


def test_what_is_forgotten_or_no_longer_said_is_not_sent(memory: Memory) -> None:
    memory.sync_chat("chat", SAID["openai"])
    memory.sync_chat("chat", [{"role": "user", "content": "Another beginning."}])
    assert not memory.context(20_000, "", "gpt-4o").attached
    memory.sync_chat("other", SAID["gemini"])
    assert len(memory.context(20_000, "", "gpt-4o").attached) == 2
    memory.forget("other")
    assert not memory.context(20_000, "", "gpt-4o").attached
