"""Text → pages. Parts are imported when they are first used, because the command line starts with `density` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microfiche.typesetting.typesetter import Typesetter, typeset, unreadable

__all__ = ["Typesetter", "typeset", "unreadable"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    from microfiche.typesetting import typesetter

    return getattr(typesetter, name)
