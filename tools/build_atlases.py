"""Builds the glyph atlases in src/microfiche/typesetting/atlases from bitmap fonts of Debian packages.

    apt-get install xfonts-base xfonts-efont-unicode unifont && pip install freetype-py
    python tools/build_atlases.py --fonts FOLDER

xfonts-base has the X11 misc-fixed fonts (public domain), xfonts-efont-unicode the /efont/ fonts (BSD-3), and unifont
GNU Unifont as unifont.hex (from 13.0.04 on under the OFL); FOLDER holds their files side by side. No two characters of
one cell look the same: of two equal glyphs, the later one gets a tick in a corner, so that the text of a page can
always be read back exactly.

The atlas of the alphabet, DENSITY.npz, is for the characters that the models know. `bits` (glyphs, bytes) are the H×W
pixels of each cell, packed row by row, most significant bit first; `drawn` (glyphs,) says which ids have a glyph.

more-CELL.npz has what else a cell of that size can hold, by code point: `half`, `wide` and `marks` (n,) are code points
in their order, of characters that take one cell, two, or none because they are drawn upon the one before them, and
`half_bits`, `wide_bits` and `marks_bits` their pictures, packed in the same way.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from unicodedata import bidirectional, category

import freetype
import numpy as np

from microfiche.typesetting.alphabet import CONTROLS, END, FILL, FULL, HALF, N_FULL, N_HALF
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import DENSITIES, LEARNED

Picture = Callable[[int], np.ndarray | None]  # a code point → its (height, width) bool picture, if there is one

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


def build(fonts: Path, name: str, width: int, height: int, wide: bool) -> None:
    """Writes the atlas of the alphabet at one density."""
    print(name)
    faces = [face(fonts, font) for font in ((f"b{height}", f"f{height}") if wide else (name,))]
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


@cache
def face(fonts: Path, name: str) -> freetype.Face:
    """A font of the folder."""
    return freetype.Face(str(fonts / f"{name}.pcf.gz"))


@cache
def unifont(fonts: Path) -> dict[int, np.ndarray]:
    """Each character of Unifont with its (16, 8) or (16, 16) bool picture."""
    found = {}
    for line in (fonts / "unifont.hex").read_text("ascii").splitlines():
        point, digits = line.split(":")
        rows = np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(16, -1)
        found[int(point, 16)] = np.unpackbits(rows, axis=1).astype(bool)
    return found


def of_font(fonts: Path, name: str, at: tuple[int, int], cell: tuple[int, int]) -> Picture:
    """The pictures of a font whose cells measure `at` (height, width), in cells of another size: on the same baseline,
    in the middle where they are narrower, and squeezed where they are larger."""
    own = face(fonts, name)
    below = own.size.height >> 6
    below -= own.size.ascender >> 6

    def picture(point: int) -> np.ndarray | None:
        found = load(own, chr(point), at[1], at[0])
        return None if found is None else placed(found, below, cell)

    return picture


def of_unifont(fonts: Path, columns: int, cell: tuple[int, int]) -> Picture:
    """The pictures of Unifont that are `columns` px wide, in cells of another size."""

    def picture(point: int) -> np.ndarray | None:
        found = unifont(fonts).get(point)
        return None if found is None or found.shape[1] != columns else placed(found, 2, cell)

    return picture


def placed(picture: np.ndarray, below: int, cell: tuple[int, int]) -> np.ndarray:
    """A picture with `below` rows under its baseline in a cell of (height, width); cells of all sizes have 2 such."""
    height, width = cell
    picture = squeezed(squeezed(picture, height).T, width).T
    out = np.zeros(cell, bool)
    top = max(0, height - picture.shape[0] - (2 - below))
    left = (width - picture.shape[1] + 1) // 2
    out[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return out


def squeezed(picture: np.ndarray, rows: int) -> np.ndarray:
    """The picture without the rows that differ least from the one above them, until there are no more than `rows`."""
    while len(picture) > rows:
        above = np.concatenate([np.zeros_like(picture[:1]), picture[:-1]])
        cost = (picture ^ above).sum(1) + 0.5 * picture.any(1)
        picture = np.delete(picture, int(np.argmin(cost)), axis=0)
    return picture


#: Scripts whose letters join, reorder or run from right to left, which cells cannot show: from, to.
SHAPED = (
    (0x0590, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1700, 0x18AF), (0x1900, 0x1C7F), (0x1CD0, 0x1CFF),
    (0xA800, 0xABFF), (0xD800, 0xF8FF), (0xFB1D, 0xFDFF), (0xFE00, 0xFE0F), (0xFE70, 0xFEFF),
)  # fmt: skip


def settable(point: int) -> bool:
    """Whether a character can stand in a cell by itself or upon the one before it."""
    shaped = any(first <= point <= last for first, last in SHAPED)
    char = chr(point)
    return not (
        point == 0 or char in CONTROLS or char == " " or shaped or category(char) in ("Cn", "Cs", "Co", "Mc")
        or bidirectional(char) in ("R", "AL")
    )  # fmt: skip


def upon(point: int) -> bool:
    """Whether a character is drawn upon the one before it."""
    return category(chr(point)) in ("Mn", "Me")


#: Characters of which Unifont alone has a picture that are worth squeezing into 6×12 and 7×13.
SQUEEZED = (
    range(0xA0, 0x530), range(0x1C80, 0x1C90), range(0x1D00, 0x1DC0), range(0x1E00, 0x27C0),
    range(0x2C60, 0x2C80), range(0x2DE0, 0x2E00), range(0xA640, 0xA6A0), range(0xA720, 0xA800),
)  # fmt: skip


def more(fonts: Path, name: str, cell: tuple[int, int]) -> None:
    """Writes what else cells of (height, width) can hold."""
    height, width = cell
    both = (height, 2 * width)
    sizes = {font: (int(font.split("x")[1]), int(font.split("x")[0])) for font in ("6x13", "6x12", name)}
    every = range(1, 0x10000)
    squeezable = {point for points in SQUEEZED for point in points}
    half: list[tuple[Picture, Iterable[int]]] = []
    wide: list[tuple[Picture, Iterable[int]]] = []
    marks: list[tuple[Picture, Iterable[int]]] = []
    if name == "8x16":
        half = [(of_font(fonts, "b16", cell, cell), every), (of_unifont(fonts, 8, cell), every)]
        wide = [(of_font(fonts, "f16", both, both), every), (of_unifont(fonts, 16, both), every)]
        half.append((of_font(fonts, "6x12", sizes["6x12"], cell), every))
        marks = [(of_unifont(fonts, columns, cell), every) for columns in (8, 16)]
    elif name in ("6x12", "7x13"):
        order = dict.fromkeys((name, "6x13", "6x12") if name == "7x13" else (name, "6x13"))
        latin = [point for point in every if not 0x0E00 <= point <= 0x0EFF]
        half = [(of_font(fonts, font, sizes[font], cell), latin) for font in order]
        half.append((of_unifont(fonts, 8, cell), sorted(squeezable)))
        marks = [(of_font(fonts, "6x12", sizes["6x12"], cell), latin)]
        marks += [(of_unifont(fonts, columns, cell), sorted(squeezable)) for columns in (8, 16)]
        if name == "6x12":
            wide = [(of_font(fonts, "f12", both, both), every), (of_unifont(fonts, 16, both), sorted(squeezable))]
    else:
        half = [(of_font(fonts, name, cell, cell), every)]
    alphabet = {"8x16": ("16x16",), "6x12": ("6x12", "12x12")}.get(name, (name,))
    taken = {picture.astype(bool).tobytes(): "the alphabet's" for of in alphabet
             for picture in atlas(DENSITIES[of]).cells[:N_HALF]}
    own = set(HALF)
    kept = {"half": gathered(half, taken, lambda p: chr(p) not in own and not upon(p))}
    marked: dict[bytes, str] = {np.zeros(cell, bool).tobytes(): "nothing"}
    kept["marks"] = gathered(marks, marked, upon)
    full = atlas(DENSITIES[{"8x16": "16x16"}.get(name, "12x12")]).cells[N_HALF:].astype(bool)
    double = {np.concatenate(pair, 1).tobytes(): "the alphabet's" for pair in full.reshape(-1, 2, *full.shape[1:])}
    own |= set(FULL) | set(map(chr, kept["half"]))
    kept["wide"] = gathered(wide, double, lambda p: chr(p) not in own and not upon(p))
    arrays = {}
    for kind, pictures in kept.items():
        points = sorted(pictures)
        arrays[kind] = np.array(points, np.uint16)
        size = both if kind == "wide" else cell
        flat = np.array([pictures[p] for p in points], bool).reshape(len(points), size[0] * size[1])
        arrays[f"{kind}_bits"] = np.packbits(flat, axis=1)
    np.savez_compressed(OUT / f"more-{name}.npz", **arrays)
    print(f"more-{name}: " + ", ".join(f"{len(found)} {kind}" for kind, found in kept.items()))


def gathered(
    chain: list[tuple[Picture, Iterable[int]]], taken: dict[bytes, str], wanted: Callable[[int], bool]
) -> dict[int, np.ndarray]:
    """The pictures of the characters that are `wanted`, each from the first of the chain that has one."""
    found: dict[int, np.ndarray] = {}
    for picture, points in chain:
        for point in points:
            if point not in found and settable(point) and wanted(point) and (seen := picture(point)) is not None:
                found[point] = unlike(seen, taken, chr(point))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", type=Path, default="/usr/share/fonts/X11/misc", help="The folder of the fonts.")
    parser.add_argument("--only-more", action="store_true", help="Leave the atlases of the alphabet as they are.")
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    for density in () if given.only_more else LEARNED:
        build(given.fonts, density.name, density.width, density.height, density.wide)
    for name in ("4x6", "5x8", "6x10", "6x12", "7x13", "8x16"):
        more(given.fonts, name, (int(name.split("x")[1]), int(name.split("x")[0])))
