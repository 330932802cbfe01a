"""Builds the glyph atlases in src/microfiche/typesetting/atlases from Debian's bitmap fonts.

    apt-get install xfonts-base xfonts-efont-unicode && pip install freetype-py
    python tools/build_atlases.py

xfonts-base has the X11 misc-fixed fonts (public domain), xfonts-efont-unicode the /efont/ fonts (BSD-3). An atlas is an
.npz file. `bits` (glyphs, bytes) are the H×W pixels of each cell, packed row by row, most significant bit first;
`drawn` (glyphs,) says which ids have a glyph. No two characters look the same: of two equal glyphs, the later one gets
a tick in a corner, so that the text of a page can always be read back exactly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import freetype
import numpy as np

from microfiche.typesetting.alphabet import CONTROLS, END, FILL, FULL, HALF, N_FULL, N_HALF
from microfiche.typesetting.density import DENSITIES

FONTS = Path("/usr/share/fonts/X11/misc")
OUT = Path(__file__).parent.parent / "src/microfiche/typesetting/atlases"

MARKS = {  # 3×5 pictures, drawn twice as large where the cell has room
    "\n": ("..#", "..#", ".##", "##.", ".#."),
    "\r": ("#..", "##.", "###", "##.", "#.."),
    "\t": ("#..", ".#.", "..#", ".#.", "#.#"),
    "\f": ("###", "...", "###", "...", "###"),
    END: ("###", "#.#", "#.#", "#.#", "###"),
    FILL: ("...", "#.#", ".#.", "#.#", "..."),
}


def load(face: freetype.Face, char: str, width: int, height: int) -> np.ndarray | None:
    """Returns the (height, width) bool picture of `char`, or None if the font does not have it or draws it at another
    width."""
    if not face.get_char_index(char):
        return None
    face.load_char(char, freetype.FT_LOAD_RENDER | freetype.FT_LOAD_TARGET_MONO)
    slot = face.glyph
    if slot.advance.x >> 6 != width:
        return None
    bitmap = slot.bitmap
    cell = np.zeros((height, width), bool)
    if bitmap.rows and bitmap.width:
        rows = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, abs(bitmap.pitch))
        picture = np.unpackbits(rows, axis=1)[:, : bitmap.width].astype(bool)
        ascent = face.size.ascender >> 6
        top, left = max(0, ascent - slot.bitmap_top), max(0, slot.bitmap_left)
        picture = picture[: height - top, : width - left]
        cell[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return cell


def mark(rows: tuple[str, ...], width: int, height: int) -> np.ndarray:
    picture = np.array([[c == "#" for c in row] for row in rows])
    if width >= 7 and height >= 12:
        picture = picture.repeat(2, 0).repeat(2, 1)
    cell = np.zeros((height, width), bool)
    top = (height - picture.shape[0] + 1) // 2
    cell[top : top + picture.shape[0], : picture.shape[1]] = picture
    return cell


def unlike(cell: np.ndarray, taken: dict[bytes, str], char: str) -> np.ndarray:
    """Returns `cell`, with a tick in one or more corners if a glyph in `taken` looks the same."""
    height, width = cell.shape
    corners = [(height - 1, 0), (height - 1, width - 2), (0, 0), (0, width - 2), (height // 2, 0)]
    for ticks in range(1 << len(corners)):
        changed = cell.copy()
        for i, (y, x) in enumerate(corners):
            if ticks >> i & 1:
                changed[y, x : x + 2] ^= True
        if changed.tobytes() not in taken:
            if ticks:
                print(f"  {char!r} looks like {taken[cell.tobytes()]!r}: ticked")
            taken[changed.tobytes()] = char
            return changed
    raise SystemExit(f"{char!r} looks like other characters whatever ticks it gets")


def build(name: str, width: int, height: int, wide: bool) -> None:
    print(name)
    fonts = (f"b{height}", f"f{height}") if wide else (name,)
    faces = [freetype.Face(str(FONTS / f"{font}.pcf.gz")) for font in fonts]
    cells = np.zeros((N_HALF + 2 * N_FULL * wide, height, width), bool)
    drawn = np.zeros(len(cells), bool)
    taken: dict[bytes, str] = {}
    drawn[0], taken[cells[0].tobytes()] = True, " "
    for i, char in enumerate(HALF[1:], 1):
        if i in (END, FILL) or char in CONTROLS:
            cell = mark(MARKS[i if i in (END, FILL) else char], width, height)
        else:
            found = load(faces[0], char, width, height)
            if found is None:
                print(f"  no {char!r}")
                continue
            cell = found
        cells[i], drawn[i] = unlike(cell, taken, char), True
    taken = {np.zeros((height, 2 * width), bool).tobytes(): "two spaces"}
    for k, char in enumerate(FULL if wide else ""):
        found = next((c for f in faces if (c := load(f, char, 2 * width, height)) is not None), None)
        if found is None:
            print(f"  no {char!r}")
            continue
        both = unlike(found, taken, char)
        i = N_HALF + 2 * k
        cells[i], cells[i + 1] = both[:, :width], both[:, width:]
        drawn[i : i + 2] = True
    bits = np.packbits(cells.reshape(len(cells), -1), axis=1)
    np.savez_compressed(OUT / f"{name}.npz", bits=bits, drawn=drawn)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    OUT.mkdir(exist_ok=True)
    for density in DENSITIES.values():
        build(density.name, density.width, density.height, density.wide)
