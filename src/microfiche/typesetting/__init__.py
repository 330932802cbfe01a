"""Text → pages. Its parts are imported when they are first asked for, since the command line needs only `density`."""

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
