"""Pages of a few lines for the tests of glancing and zooming."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microfiche.typesetting.fonts import BUNDLED, TYPEFACES
from microfiche.typesetting.outline import face

Picture = NDArray[np.uint8]
FACE = next(t for t in TYPEFACES.values() if t.package == BUNDLED)
WORDS = "what the weather was and who came by"


def written(sizes: list[int], wide: int = 1000) -> Picture:
    """A page with WORDS in type of several sizes, px an em, one line below another."""
    picture = np.full((sum(3 * size for size in sizes) + 40, wide), 255, np.uint8)
    y = 10
    for size in sizes:
        one = face(FACE.file("regular"), size, True)
        points = np.array([ord(c) for c in WORDS])
        pens = np.cumsum(np.append(0.0, one.advances(points)))[:-1]
        y += 2 * size
        one.draw(picture, points, pens + 20, np.full(len(points), y))
        y += size
    return picture
