"""Text → pages."""

from microfiche.typesetting.typesetter import Typesetter, typeset, unreadable

__all__ = ["Typesetter", "typeset", "unreadable"]
