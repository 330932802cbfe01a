"""The optical memory: texts kept as pages that fade, and as text that does not.

`Memory` and `AsyncMemory` are imported on first use, so that what needs only the bill, as the proxy does, starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microfiche.memory.asynchronous import AsyncMemory as AsyncMemory
    from microfiche.memory.store import Memory as Memory

_HOMES = {"AsyncMemory": "asynchronous", "Memory": "store"}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'microfiche.memory' has no attribute {name!r}")
    return getattr(import_module(f"microfiche.memory.{_HOMES[name]}"), name)
