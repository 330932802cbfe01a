"""Text → pages."""

from microfiche.typesetting.shrink import shrink
from microfiche.typesetting.typesetter import Typesetter, typeset, unreadable

__all__ = ["Typesetter", "shrink", "typeset", "unreadable"]
