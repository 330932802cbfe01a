"""The optical memory: texts kept as pages that fade, and as text that does not."""

from microfiche.memory.store import Memory

__all__ = ["Memory"]
