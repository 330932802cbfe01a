"""The maps of a plane that a PDF's matrices write. Knows nothing of PDF beside that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Affine:
    """x' = a·x + c·y + e, y' = b·x + d·y + f, as PDF writes it."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def __call__(self, x: Any, y: Any) -> tuple[Any, Any]:
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def direction(self, x: float, y: float) -> tuple[float, float]:
        """Where a vector points."""
        return self.a * x + self.c * y, self.b * x + self.d * y

    def after(self, first: Affine) -> Affine:
        """`first`, then this."""
        a, b = self.direction(first.a, first.b)
        c, d = self.direction(first.c, first.d)
        e, f = self(first.e, first.f)
        return Affine(a, b, c, d, e, f)
