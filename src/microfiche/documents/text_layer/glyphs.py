"""The glyphs of a text layer as they are to be read: without doubles, with accents on their letters, ligatures as
letters, and signs of symbol fonts as Unicode; on a plane in which their baselines run to the right.

Knows nothing of lines.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.sheet import TextLayer

#: Signs without a shape of their own, and what Unicode keeps free for marks within a program.
NOTHING = frozenset(map(chr, [
    *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), *range(0xFDD0, 0xFDF0),
    *range(0xFE00, 0xFE0E), 0xFEFF, 0xFFFF,
]))  # fmt: skip
REPLACEMENT = "\ufffd"
STROKE = "\u0338"  #: goes through a sign and negates it
MOST = 3000  #: accents on a page that are joined with their letters
TOUCHING = 0.01  #: of its size, by which the parts of one glyph stand apart, at most
DOUBLE = 0.1  #: of its size, by which the shadow of a sign stands beside it, at most
NO_SPACE, MADE, TYPED = 0, 1, 2  #: what comes after a glyph: nothing, a space that PDFium made, one of the file
LIGATURES = {ord(c): unicodedata.normalize("NFKC", c) for c in "ﬀﬁﬂﬃﬄﬅﬆ"}
#: Accents that are glyphs of their own → the combining accents.
ACCENTS = {
    0x60: 0x300, 0xB4: 0x301, 0x2CA: 0x301, 0x2CB: 0x300, 0x5E: 0x302, 0x2C6: 0x302, 0x7E: 0x303, 0x2DC: 0x303,
    0xAF: 0x304, 0x2C9: 0x304, 0x2D8: 0x306, 0x2D9: 0x307, 0xA8: 0x308, 0x2DA: 0x30A, 0x2DD: 0x30B, 0x2C7: 0x30C,
    0xB8: 0x327, 0x2DB: 0x328, **{mark: mark for mark in range(0x300, 0x345)},
}  # fmt: skip
ACCENT = 0.7  #: of the size of a letter, that of its accent, at least
HORN, HORN_AWAY = "\u031b", 0.3  #: of Vietnamese letters; ems by which it stands beside the end of its letter, at most
CODED_WORD = re.compile("[a-z]{3}")  #: in the codes of a font that may be ASCII
DOTLESS = {"ı": "i", "ȷ": "j"}
FIXED_PITCH = 1  #: a flag of fonts
MONOSPACED = re.compile(
    r"mono|courier|typewriter|consol|menlo|code|cmtt|cmsltt|ectt|sftt|lmtt|terminal|fixed", re.IGNORECASE
)
ICONS = re.compile(
    r"awesome|icon|material|webdings|emoji|glyphs?$|emmentaler|feta|bravura|leland|maestro|petaluma|gonville|musix",
    re.IGNORECASE,
)
#: Signs for private use that Adobe names: small capitals and old-style digits by what they are (Glyph List, 1.2), and
#: those that stand high or low.
NAMED = dict(zip(
    [*range(0xF6E1, 0xF6F4), 0xF6F9, 0xF6FA, 0xF6FD, 0xF6FF, 0xF7FF, 0xF6BE, 0xF6DC, 0xF6DE],
    ",,$$--..abdeilmorstłœšžÿȷ1—", strict=True,
)) | {code: chr(code & 0xFF) for code in (
    0xF721, 0xF724, 0xF726, *range(0xF730, 0xF73A), 0xF73F, *range(0xF761, 0xF77B), 0xF7A1, 0xF7A2, 0xF7BF,
    *range(0xF7E0, 0xF7F7), *range(0xF7F8, 0xF7FF),
)}  # fmt: skip
#: Adobe's pieces of large brackets, from U+F8E5 (Adobe, Unicode values of the Symbol font).
PIECES = "‾⏐⎯®©™⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪⎮⎞⎟⎠⎤⎥⎦⎫⎬⎭"
#: The Symbol font from 0x20 to 0x7E and from 0xA1 to 0xFE (PDF 32000-1, D.5).
SYMBOL = dict(zip(
    [*range(0x20, 0x7F), *range(0xA1, 0xF0), *range(0xF1, 0xFF)],
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧ∆ΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλµνοπθρστυϖωξψζ{|}∼"
    "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪"
    "〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭", strict=True,
))  # fmt: skip
WINGDINGS = {
    0x22: "✂", 0x28: "☎", 0x2A: "✉", 0x4A: "☺", 0x4C: "☹", 0x6C: "●", 0x6D: "❍", 0x6E: "■", 0x6F: "□", 0x70: "□",
    0x71: "❑", 0x72: "❒", 0x73: "⬧", 0x74: "⧫", 0x75: "◆", 0x76: "❖", 0x77: "⬥", 0x78: "☒", 0x9F: "•", 0xA1: "○",
    0xA2: "○", 0xA3: "○", 0xA4: "◉", 0xA7: "▪", 0xA8: "☐", 0xB2: "✧", 0xAB: "★", 0xD8: "➢", 0xDC: "➲", 0xDF: "←",
    0xE0: "→", 0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip


def median(values: NDArray[Any]) -> float:
    """The middle one of some values, of which there is at least one; the upper of two."""
    return float(np.sort(values)[len(values) // 2])


@dataclass
class Glyphs:
    """T glyphs in the order of the content, as columns. `x`, `end`, `y` and `ink` are on a plane in which baselines run
    to the right; `box` is on the page."""

    text: list[str]  # one character or more
    x: NDArray[np.floating]  # (T,) where it begins on the baseline
    end: NDArray[np.floating]  # (T,) where the next one would begin
    y: NDArray[np.floating]  # (T,) the baseline
    size: NDArray[np.floating]  # (T,) the height of its type
    ink: NDArray[np.floating]  # (T, 4)
    box: NDArray[np.floating]  # (T, 4)
    font: NDArray[np.int16]  # (T,)
    run: NDArray[np.int32]  # (T,)
    space: NDArray[np.int8]  # (T,) NO_SPACE, MADE or TYPED: what comes after it

    def __len__(self) -> int:
        return len(self.text)

    def take(self, which: NDArray[Any]) -> Glyphs:
        """Some of the glyphs, by a mask; a space after one that is left out follows the one before it."""
        at = np.flatnonzero(which)
        space = self.space.copy()
        if len(at):
            after = np.searchsorted(at, np.flatnonzero(~which), "left") - 1
            gone = np.flatnonzero(~which)[after >= 0]
            np.maximum.at(space, at[after[after >= 0]], self.space[gone])
        columns = {name: column[at] for name, column in vars(self).items() if name not in ("text", "space")}
        return Glyphs(text=[self.text[i] for i in at.tolist()], space=space[at], **columns)


def glyphs_of(layer: TextLayer, chosen: NDArray[np.bool_], angle: float = 0.0, vertical: bool = False) -> Glyphs:
    """The glyphs of the `chosen` (T,) characters, whose baselines run at `angle` degrees clockwise; `vertical` where
    upright characters stand one below another."""
    spaces = np.array([c.isspace() for c in layer.text], bool)
    at = np.flatnonzero(chosen & ~spaces & np.array([c not in NOTHING for c in layer.text], bool))
    x, y, end, ink = _turned(layer, at, 90.0 if vertical else angle, vertical)
    glyphs = Glyphs(
        text=_signs(layer, at), x=x, end=end, y=y, size=layer.sizes[at].astype(float), ink=ink,
        box=layer.boxes[at].astype(float), font=layer.font[at], run=layer.run[at], space=_spaces(layer, at, spaces),
    )  # fmt: skip
    if not len(glyphs):
        return glyphs
    glyphs = _ligatures(_negated(glyphs))
    glyphs = glyphs.take(~_doubled(glyphs) & np.array([bool(sign) for sign in glyphs.text]))
    return _accents(glyphs)


def _turned(
    layer: TextLayer, at: NDArray[np.int64], angle: float, vertical: bool
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    ink, boxes = layer.ink[at].astype(float), layer.boxes[at].astype(float)
    x, y = layer.origins[at].astype(float).T
    advance = layer.advances[at].astype(float)
    if vertical:
        x, y, advance = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1], boxes[:, 3] - boxes[:, 1]
    if angle == 0:
        return x, y, x + advance, ink
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = ink[:, [0, 2, 0, 2]], ink[:, [1, 1, 3, 3]]
    across, down = corners[0] * cos + corners[1] * sin, corners[1] * cos - corners[0] * sin
    turned = np.stack([across.min(1), down.min(1), across.max(1), down.max(1)], axis=1)
    x, y = x * cos + y * sin, y * cos - x * sin
    if abs(math.sin(math.radians(2 * angle))) > 0.02:  # neither along rows nor along columns: advances are not known
        step = np.append(np.diff(x), 0.0)
        advance = np.where((step > 0) & (step < 1.2 * advance * 2), np.minimum(step, 1.1 * layer.sizes[at]), advance)
    return x, y, x + advance, turned


def _spaces(layer: TextLayer, at: NDArray[np.int64], spaces: NDArray[np.bool_]) -> NDArray[np.int8]:
    """What comes after each of the characters `at`."""
    kind = np.where(spaces, np.where(layer.generated, MADE, TYPED), NO_SPACE)
    out = np.zeros(len(at), np.int8)
    if len(at):
        # The largest kind between each character and the next.
        np.maximum.at(out, (np.searchsorted(at, np.arange(len(spaces)), "right") - 1).clip(0), kind.astype(np.int8))
        if at[0] > 0 and spaces[: at[0]].any():
            out[0] = kind[at[0] : at[1] if len(at) > 1 else None].max()
    return out


def _signs(layer: TextLayer, at: NDArray[np.int64]) -> list[str]:
    """The text of each of the characters `at`; "" for an icon, U+FFFD for what nobody can name."""
    names = [font.name.lower() for font in layer.fonts]
    tables = [
        WINGDINGS if "wingdings" in name and "2" not in name and "3" not in name
        else SYMBOL if re.fullmatch(r"([a-z]{6}\+)?symbol(mt)?(,.*)?", name) else None
        for name in names
    ] + [None]  # fmt: skip
    icons = [bool(ICONS.search(name)) for name in names] + [False]
    nameless = nameless_signs(layer)
    out = []
    for i in at.tolist():
        sign, code, font = layer.text[i], ord(layer.text[i]), int(layer.font[i])
        if nameless[i] and tables[font] is None:
            sign = "" if icons[font] else REPLACEMENT
        elif 0x20 <= code < 0x7F and tables[font] is not WINGDINGS:
            pass
        elif code in LIGATURES:
            sign = LIGATURES[code]
        elif code in NAMED and not icons[font]:
            sign = NAMED[code]
        elif 0xF020 <= code <= 0xF0FF or (tables[font] is WINGDINGS and code < 0x100):
            table = tables[font] or (SYMBOL if code == 0xF0B7 else WINGDINGS if not icons[font] else {})
            sign = table.get(code & 0xFF, "" if icons[font] else REPLACEMENT)
        elif 0xF8E5 <= code <= 0xF8FE:
            sign = PIECES[code - 0xF8E5]
        elif 0xFB50 <= code <= 0xFDCF or 0xFDF0 <= code <= 0xFDFF or 0xFE70 <= code <= 0xFEFF:
            sign = unicodedata.normalize("NFKC", sign).strip()
        elif unicodedata.category(sign) in ("Co", "Cc", "Cn", "Cs"):
            inked = layer.ink[i, 2] > layer.ink[i, 0] and layer.ink[i, 3] > layer.ink[i, 1]
            sign = REPLACEMENT if inked and not icons[font] else ""
        out.append(sign)
    return out


def nameless_signs(layer: TextLayer) -> NDArray[np.bool_]:
    """(T,) whether nobody can say what a character is: the file gives it a code and no Unicode value, and the codes of
    its font make no words."""
    out = ~layer.mapped & ~layer.generated
    if not out.any():
        return out
    makes_words = [
        CODED_WORD.search("".join(c if mine else " " for c, mine in zip(layer.text, own, strict=True))) is not None
        for own in (out & (layer.font == number) for number in range(len(layer.fonts)))
    ]
    if any(words and not font.name for words, font in zip(makes_words, layer.fonts, strict=True)):
        makes_words = [words or not font.name for words, font in zip(makes_words, layer.fonts, strict=True)]
    return out & ~np.array([*makes_words, False])[layer.font]


def _ligatures(glyphs: Glyphs) -> Glyphs:
    """Cuts the place of a glyph evenly among its characters, which begin in one place: PDFium reports them with one and
    the same box, or with that of the ink in as many parts."""
    ink = glyphs.ink
    begin = (np.diff(glyphs.x) == 0) & (np.diff(glyphs.y) == 0) & (np.diff(glyphs.run) == 0)
    whole = begin & (ink[1:] == ink[:-1]).all(axis=1)
    parts = begin & ~whole & (ink[1:, [1, 3]] == ink[:-1, [1, 3]]).all(axis=1)
    parts &= np.abs(ink[1:, 0] - ink[:-1, 2]) < TOUCHING * glyphs.size[1:]
    same = whole | parts
    if not same.any():
        return glyphs
    starts = np.append(True, ~same)
    first, run = np.flatnonzero(starts), np.cumsum(starts) - 1
    place, length = np.arange(len(starts)) - first[run], np.bincount(run)[run]
    left, right = np.minimum.reduceat(ink[:, 0], first)[run], np.maximum.reduceat(ink[:, 2], first)[run]
    end = np.where(np.logical_or.reduceat(np.append(parts, False), first)[run], right, glyphs.end)
    width, part = (end - glyphs.x) / length, (right - left) / length
    glyphs.end = np.where(length > 1, glyphs.x + (place + 1) * width, glyphs.end)
    glyphs.x = np.where(length > 1, glyphs.x + place * width, glyphs.x)
    ink[:, 0] = np.where(length > 1, left + place * part, ink[:, 0])
    ink[:, 2] = np.where(length > 1, left + (place + 1) * part, ink[:, 2])
    return glyphs


def _negated(glyphs: Glyphs) -> Glyphs:
    """Joins a stroke that is a glyph of its own to the sign that is drawn over it."""
    kept = np.ones(len(glyphs), bool)
    for i, sign in enumerate(glyphs.text):
        if sign != STROKE:
            continue
        near = [j for j in (i + 1, i - 1) if 0 <= j < len(glyphs) and glyphs.text[j] != STROKE]
        left, right = glyphs.ink[i, 0], glyphs.ink[i, 2]
        over = [float(min(right, glyphs.ink[j, 2]) - max(left, glyphs.ink[j, 0])) for j in near]
        if near and max(over) > 0.25 * glyphs.size[i]:
            j = near[over.index(max(over))]
            glyphs.text[j] = unicodedata.normalize("NFC", glyphs.text[j] + STROKE)
            kept[i] = False
    return glyphs if kept.all() else glyphs.take(kept)


def _doubled(glyphs: Glyphs) -> NDArray[np.bool_]:
    """(T,) whether each glyph stands on another of the same text, as a shadow or in place of bold type."""
    out = np.zeros(len(glyphs), bool)
    _, sign = np.unique(np.array(glyphs.text), return_inverse=True)
    reach = DOUBLE * glyphs.size
    for shift in (0.0, 0.5):  # two grids of rows, so that every pair shares a row of one of them
        row = np.floor(glyphs.y / np.maximum(4 * reach, 1) + shift)
        order = np.lexsort((np.arange(len(out)), glyphs.x, row, sign))
        for step in (1, 2):
            a, b = order[:-step], order[step:]
            near = (sign[a] == sign[b]) & (np.abs(glyphs.x[a] - glyphs.x[b]) < reach[b])
            near &= np.abs(glyphs.y[a] - glyphs.y[b]) < reach[b]
            near &= np.abs(glyphs.size[a] - glyphs.size[b]) < reach[b]
            near &= (np.abs(glyphs.ink[a] - glyphs.ink[b]) < np.maximum(reach[b], 1)[:, None] * 1.5).all(axis=1)
            out[np.maximum(a, b)[near]] = True
    return out


def _accents(glyphs: Glyphs) -> Glyphs:
    """Joins accents that are glyphs of their own to the letters over or under which they stand."""
    accents = [i for i, sign in enumerate(glyphs.text) if len(sign) == 1 and _is_accent(sign)][:MOST]
    if not accents:
        return glyphs
    kept = np.ones(len(glyphs), bool)
    letters = np.array([sign[:1].isalpha() or sign == "\u25cc" for sign in glyphs.text])
    letters[accents] = False
    horned = np.array([unicodedata.normalize("NFD", sign)[:1] in ("o", "u", "O", "U") for sign in glyphs.text])
    for i in accents:
        code = ord(glyphs.text[i])
        mark = chr(ACCENTS.get(code, code))
        left, right = float(glyphs.ink[i, 0]), float(glyphs.ink[i, 2])
        over = np.minimum(right, glyphs.ink[:, 2]) - np.maximum(left, glyphs.ink[:, 0])
        near = (np.abs(glyphs.y - glyphs.y[i]) < 0.6 * glyphs.size) & (glyphs.size[i] > ACCENT * glyphs.size)
        least = 0.6 * np.minimum(right - left, glyphs.ink[:, 2] - glyphs.ink[:, 0])
        found = np.flatnonzero(letters & near & (over > 0) & (over >= least))
        if mark == HORN:  # it begins where its letter ends
            apart = np.where(horned & near, np.abs(left - glyphs.ink[:, 2]) / np.maximum(glyphs.size, 1e-6), np.inf)
            found = np.flatnonzero(apart < HORN_AWAY)
            over = -apart
        if len(found):
            j = int(found[over[found].argmax()])
        elif unicodedata.combining(glyphs.text[i]) and i > 0 and near[i - 1] and kept[i - 1]:
            j = i - 1
        else:
            continue
        base = DOTLESS.get(glyphs.text[j], glyphs.text[j])
        glyphs.text[j] = unicodedata.normalize("NFC", base + mark)
        glyphs.box[j, :2] = np.minimum(glyphs.box[j, :2], glyphs.box[i, :2])
        glyphs.box[j, 2:] = np.maximum(glyphs.box[j, 2:], glyphs.box[i, 2:])
        if j < i:
            glyphs.space[j] = max(glyphs.space[j], glyphs.space[i]) if i == j + 1 else glyphs.space[j]
        kept[i] = False
        # The space after an accent that comes before its letter is no space between words.
        glyphs.space[i] = NO_SPACE
    return glyphs.take(kept)


def _is_accent(sign: str) -> bool:
    return sign > "Z" and (ord(sign) in ACCENTS or unicodedata.combining(sign) > 0)
