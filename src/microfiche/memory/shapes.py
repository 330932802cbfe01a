"""Texts and pictures as parts of a message, in the shape of each provider, and the message that they make up.

OpenAI's chat completions ("openai") and Responses, Anthropic's Messages, Gemini's contents. This module knows nothing
of pages or memories.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from microfiche.files import plain
from microfiche.memory.billing import Shape

Part = dict[str, Any]


def text_part(shape: Shape, text: str) -> Part:
    """A text as a part of a user's message; lone surrogates are escaped."""
    match shape:
        case "responses":
            return {"type": "input_text", "text": plain(text)}
        case "gemini":
            return {"text": plain(text)}
        case _:
            return {"type": "text", "text": plain(text)}


def picture_part(shape: Shape, picture: bytes, kind: str = "image/png", grade: str | None = None) -> Part:
    """The file of a picture, of a media type, in full detail, or for Gemini in the resolution `grade`, as a part of a
    user's message."""
    data = base64.b64encode(picture).decode()
    match shape:
        case "openai":
            return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}", "detail": "high"}}
        case "responses":
            return {"type": "input_image", "image_url": f"data:{kind};base64,{data}", "detail": "high"}
        case "anthropic":
            return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
        case "gemini":
            seen = {"mediaResolution": {"level": f"MEDIA_RESOLUTION_{grade.upper()}"}} if grade else {}
            return {"inlineData": {"mimeType": kind, "data": data}, **seen}


def marked(shape: Shape, part: Part) -> Part:
    """The part with the mark up to which a prefix is cached, where a provider wants one; others cache by themselves."""
    return {**part, "cache_control": {"type": "ephemeral"}} if shape == "anthropic" else part


def user_message(shape: Shape, parts: list[Part]) -> Part:
    """A user's message of these parts."""
    match shape:
        case "responses":
            return {"type": "message", "role": "user", "content": parts}
        case "gemini":
            return {"role": "user", "parts": parts}
        case _:
            return {"role": "user", "content": parts}


def sent(messages: list[Part]) -> Iterator[str | bytes]:
    """The texts and the pictures, as bytes, in messages of any shape that this module makes, in their order."""
    for message in messages:
        for part in message.get("content") or message.get("parts") or ():
            if isinstance(part.get("text"), str):
                yield part["text"]
                continue
            data: object = part
            for key in ("image_url", "url", "source", "inlineData", "data"):
                data = data[key] if isinstance(data, Mapping) and key in data else data
            yield base64.b64decode(str(data).rpartition(",")[2])
