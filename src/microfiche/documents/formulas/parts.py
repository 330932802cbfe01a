"""The parts of formulas: characters, numbers and words with their places, as the text layer gives them.

Large brackets that are drawn in pieces become whole here. Knows nothing of how parts stand to each other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.formulas.encodings import (
    BRACES,
    WIDE_HAT,
    WIDE_TILDE,
    Alphabet,
    alphabet_of,
    encoding_of,
    holds_signs,
    is_italic,
    is_mathematical,
)
from microfiche.documents.formulas.symbols import (
    BARS,
    FUNCTIONS,
    GREEK,
    TEXTUAL,
    latex_of,
    letter_style,
    parted,
    role_of,
)
from microfiche.documents.sheet import Font
from microfiche.documents.text_layer.glyphs import Glyphs

AXIS = 0.25  #: ems over the baseline at which bars of fractions stand
LEVEL = 0.06  #: ems that the baselines of one word differ, at most
CLOSE = 0.14  #: ems between two letters of one word, at most
FEW = 3  #: letters of a font for formulas from which the page's other italics are those of its text
ITALICS = 3  #: letters of an italic word that may be a product, at most
ASCENDER = 0.55  #: ems that the straight phi rises over the baseline, at least
OPERATORS = frozenset("·∗−→⇒<>")  #: signs of plain text that mean something else in a font of mathematics
JOINING = frozenset("’'-\u00ad")  #: what stands between the letters of a word
NAMES = ("", "mathsf", "mathtt")  #: alphabets in which words are set, too
SIZES = ("mathcal", "mathscr", "mathbb", "mathfrak")
WHOLE = {
    "⎛⎜⎝": "(", "⎞⎟⎠": ")", "⎡⎢⎣": "[", "⎤⎥⎦": "]", "⎧⎨⎩": "{", "⎫⎬⎭": "}", "⎢⎣": "⌊", "⎡⎢": "⌈", "⎥⎦": "⌋", "⎤⎥": "⌉",
    "⎛⎝": "(", "⎞⎠": ")", "⎡⎣": "[", "⎤⎦": "]", "|": "|", "∥": "∥", "⎢": "|", "⎥": "|", "⎷": "√",
}  # fmt: skip
ROWS_OF_SIGNS = (
    ("...", "…", 0.35), ("⋅⋅⋅", "⋯", 0.35), ("···", "⋯", 0.35), ("∫∫∫", "∭", 0.3), ("∫∫", "∬", 0.3),
)  #: what stands in a row, the sign that it makes, and the ems between its signs at most
PIECES = frozenset("⎛⎜⎝⎞⎟⎠⎡⎢⎣⎤⎥⎦⎧⎨⎩⎫⎬⎭⎪|∥⎷⌜⏐")


@dataclass(eq=False)
class Part:
    """A piece of a formula: what was drawn from `start` to `end` along its baseline, with its ink in a box.

    `base` is the baseline, None for what stands about the axis, as large signs and fractions do. `role` is one of
    symbols.Role, or "word", "function", "whole" (a fraction, a root, a matrix), "wide" (an accent over several letters)
    or "bad" (what cannot be written). `sure` says that it belongs to mathematics by itself; `glyphs` are the indices of
    what it was drawn with; `bar` is where the bar of a fraction stands. The four lists hold what stands about it.
    """

    start: float
    end: float
    box: tuple[float, float, float, float]
    size: float
    base: float | None
    latex: str
    role: str
    glyphs: list[int]
    sign: str = ""
    sure: bool = False
    italic: bool = False
    raised: list[Part] = field(default_factory=list)
    lowered: list[Part] = field(default_factory=list)
    over: list[Part] = field(default_factory=list)
    under: list[Part] = field(default_factory=list)
    bar: float | None = None

    @property
    def axis(self) -> float:
        """Where the bar of a fraction in its row would stand, px."""
        if self.bar is not None:
            return self.bar
        return (self.box[1] + self.box[3]) / 2 if self.base is None else self.base - AXIS * self.size

    @property
    def height(self) -> float:
        """The height of its ink, px."""
        return self.box[3] - self.box[1]

    @property
    def middle(self) -> float:
        """The middle of its ink from left to right."""
        return (self.box[0] + self.box[2]) / 2

    def held(self) -> Iterable[Part]:
        """The parts that stand about this one, and those about them."""
        for near in (self.raised, self.lowered, self.over, self.under):
            for part in near:
                yield part
                yield from part.held()

    def whole(self) -> tuple[float, float, float, float]:
        """The box around it and all that stands about it."""
        boxes = [self.box, *(part.box for part in self.held())]
        left, top, right, bottom = zip(*boxes, strict=True)
        return min(left), min(top), max(right), max(bottom)


@dataclass(frozen=True)
class Types:
    """What the fonts of a page are, as columns by the number of a font; the last entry is for what no font drew."""

    mathematical: NDArray[np.bool_]  # (F + 1,)
    signs: NDArray[np.bool_]  # it holds signs of plain text, too
    italic: NDArray[np.bool_]
    variables: NDArray[np.bool_]  # its slanted letters may be variables
    large: NDArray[np.bool_]  # large signs, which hang from their origin
    fixed: NDArray[np.bool_]
    alphabets: list[Alphabet]
    apart: bool  # the page has a font for the letters of formulas alone


def types_of(fonts: Sequence[Font], fixed: NDArray[np.bool_], glyphs: Glyphs) -> Types:
    """What the `fonts` of a page are, on which `glyphs` stand; those of code are known to be `fixed` (F + 1,)."""
    mathematical = np.array([is_mathematical(font.name) for font in fonts] + [False])
    letters = np.array([encoding_of(font.name) == "letters" for font in fonts] + [False])
    own = letters[glyphs.font].nonzero()[0].tolist() if letters.any() else []
    apart = sum(glyphs.text[i].isascii() and glyphs.text[i].isalpha() for i in own) >= FEW
    italic = np.array([is_italic(font.name, font.flags) for font in fonts] + [False])
    return Types(
        mathematical,
        np.array([holds_signs(font.name) for font in fonts] + [False]),
        italic,
        italic & (mathematical | (not apart)),
        np.array([encoding_of(font.name) == "extension" for font in fonts] + [False]),
        fixed & ~mathematical,
        [_alphabet(font, apart) for font in fonts] + [""],
        apart,
    )


def _alphabet(font: Font, apart: bool) -> Alphabet:
    """The alphabet of a font; where formulas have no letters of their own, sans serif is the type of the page."""
    alphabet = alphabet_of(font.name, font.weight, font.flags)
    return "" if alphabet in ("mathsf", "mathtt") and not apart else alphabet


def parts_of(glyphs: Glyphs, at: Sequence[int], types: Types) -> list[Part]:
    """The parts that the glyphs `at` make, in their order."""
    out: list[Part] = []
    k = 0
    columns = glyphs.x.tolist(), glyphs.end.tolist(), glyphs.y.tolist(), glyphs.size.tolist(), glyphs.font.tolist()
    while k < len(at):
        run = [at[k]]
        kind = _kind(glyphs.text[run[0]], columns[4][run[0]], types)
        while kind and k + len(run) < len(at) and _continues(glyphs, run[-1], at[k + len(run)], kind, types, columns):
            run.append(at[k + len(run)])
        k += len(run)
        out += _parts(glyphs, run, kind, types)
    return _with_rows_of_signs(_united(_without_logos(out)))


def _kind(text: str, font: int, types: Types) -> str:
    """Whether a glyph may be one of several that make a "word" or a "number"."""
    if types.fixed[font]:
        return "word"
    if (len(text) > 1 and unicodedata.combining(text[-1])) or (text == "ħ" and types.variables[font]):
        return ""
    if text[0].isalpha() and not types.mathematical[font]:
        return "word" if not "\U0001d400" <= text[0] <= "\U0001d7ff" else ""
    return "number" if text.isdigit() and text.isascii() else ""


def _continues(glyphs: Glyphs, i: int, j: int, kind: str, types: Types, columns: tuple[list[float], ...]) -> bool:
    x, end, y, size, font = columns
    em = size[i]
    if abs(size[j] - em) > 0.04 * em or abs(y[j] - y[i]) > LEVEL * em or not -0.3 * em < x[j] - end[i] < CLOSE * em:
        return False
    text = glyphs.text[j]
    if kind == "number":
        if text in ".," and j + 1 < len(x) and glyphs.text[i].isdigit():
            after = glyphs.text[j + 1]
            return after.isdigit() and abs(y[j + 1] - y[j]) < LEVEL * em and x[j + 1] - end[j] < 0.1 * em
        return text.isdigit() and text.isascii()
    fixed = bool(types.fixed[int(font[i])])
    if fixed or types.fixed[int(font[j])]:
        return fixed and bool(types.fixed[int(font[j])])
    same = types.italic[int(font[i])] == types.italic[int(font[j])]
    return same and (text in JOINING or _kind(text, int(font[j]), types) == "word")


def _parts(glyphs: Glyphs, run: list[int], kind: str, types: Types) -> list[Part]:
    texts = [glyphs.text[i] for i in run]
    font = int(glyphs.font[run[0]])
    ink = glyphs.ink[run]
    box = float(ink[:, 0].min()), float(ink[:, 1].min()), float(ink[:, 2].max()), float(ink[:, 3].max())
    start, end = float(glyphs.x[run[0]]), float(glyphs.end[run[-1]])
    size, base = float(glyphs.size[run[0]]), float(glyphs.y[run[0]])
    italic, slanted = bool(types.variables[font]), bool(types.italic[font])
    word = "".join(texts)
    if kind == "number" or (kind == "word" and len(run) > 1 and word.isalpha() and types.alphabets[font] in NAMES):
        role = "digit" if kind == "number" else "function" if word in FUNCTIONS and not slanted else "word"
        latex = word if role != "function" else f"\\{word}"
        alphabet = types.alphabets[font]
        if kind == "number" and alphabet in ("mathbf", "mathbb"):
            latex = f"\\{alphabet}{{{word}}}"
        return [Part(start, end, box, size, base, latex, role, run, word, False, italic)]
    if kind == "word" and (len(run) > 1 or types.fixed[font]):
        return [Part(start, end, box, size, base, word, "word", run, word, False, italic)]
    return [_single(glyphs, run[0], box, types)]


def _single(glyphs: Glyphs, i: int, box: tuple[float, float, float, float], types: Types) -> Part:
    """The part that one glyph makes."""
    text, font = glyphs.text[i], int(glyphs.font[i])
    start, end, size = float(glyphs.x[i]), float(glyphs.end[i]), float(glyphs.size[i])
    base: float | None = float(glyphs.y[i])
    mathematical = bool(types.mathematical[font])
    letter, accents = parted(text)
    if text.endswith("\u0338") and len(text) == 2:
        letter, accents = text[0], ("\\not",)
    plain, style = letter_style(letter) if letter else ("", "")
    italic = bool(types.variables[font]) or mathematical or plain != letter
    role: str = role_of(plain or text) or "bad"
    if text in (WIDE_HAT, WIDE_TILDE, *BRACES) and types.large[font]:
        role = "wide"
    if plain in ("φ", "ϕ") and base is not None:
        plain = "ϕ" if base - box[1] > ASCENDER * size else "φ"
    latex = latex_of(plain) or ""
    if role == "letter" and plain:
        style = style or types.alphabets[font]
        if style in SIZES and not (plain.isascii() and (plain.isupper() or style != "mathcal")):
            style = "mathbf" if "bold" in style else ""
        if not style and not italic and plain.isascii():
            style = "mathrm"
        latex = f"\\{style}{{{latex}}}" if style else latex
    elif style:
        latex = f"\\{style}{{{latex}}}"
    if plain == "h" and accents == ("\\bar",):
        latex, accents = "\\hbar", ()
    for accent in accents:
        latex = f"{accent}{latex}" if accent == "\\not" else f"{accent}{{{latex}}}"
    if role in ("bad", "accent") or not latex:
        role, latex = "wide" if role == "wide" else "bad", ""
    if role == "large" or text == "√" or text in PIECES - set(BARS) or types.large[font]:
        base = None
    own = mathematical and not (types.signs[font] and plain in GREEK)
    sure = plain != letter or (types.apart and plain in GREEK) or (italic and len(accents) > 0 and len(text) > 1)
    sure = sure or (own and (text not in TEXTUAL or role == "mark" or text in OPERATORS))
    return Part(start, end, box, size, base, latex, role, [i], plain or text, sure and role != "bad", italic)


def _united(parts: list[Part]) -> list[Part]:
    """The parts, with the pieces of large brackets made whole: pieces that stand one upon the other."""
    out: list[Part] = []
    for part in parts:
        last = out[-1] if out else None
        if (
            last is not None and part.sign in PIECES and set(last.sign) <= PIECES and part.base is None
            and last.base is None and abs(part.start - last.start) < 0.1 * part.size
            and part.box[1] < last.box[3] + 0.3 * part.size and last.box[1] < part.box[3] + 0.3 * part.size
        ):
            box = (
                min(last.box[0], part.box[0]), min(last.box[1], part.box[1]),
                max(last.box[2], part.box[2]), max(last.box[3], part.box[3]),
            )
            signs = "".join(sorted({*last.sign, part.sign}))
            out[-1] = replace(last, box=box, glyphs=last.glyphs + part.glyphs, sign=signs)
        else:
            out.append(part)
    return [_named(part) if set(part.sign) <= PIECES and part.base is None else part for part in out]


def _with_rows_of_signs(parts: list[Part]) -> list[Part]:
    """The parts, with three dots made one sign, and integrals that stand close together, too."""
    out: list[Part] = []
    for part in parts:
        out.append(part)
        for signs, whole, reach in ROWS_OF_SIGNS:
            last = out[-len(signs) :]
            if "".join(p.sign for p in last) != signs or len(last) < len(signs):
                continue
            level = max(p.box[3] for p in last) - min(p.box[3] for p in last) < 0.1 * part.size
            if level and all(-0.8 < (b.start - a.end) / part.size < reach for a, b in pairwise(last)):
                box = last[0].box[0], min(p.box[1] for p in last), last[-1].box[2], max(p.box[3] for p in last)
                glyphs = [i for p in last for i in p.glyphs]
                sure = any(p.sure for p in last)
                out[-len(signs) :] = [
                    Part(
                        last[0].start, part.end, box, part.size, last[0].base, latex_of(whole) or "",
                        "large" if signs[0] == "∫" else "sign", glyphs, whole, sure, part.italic,
                    )
                ]  # fmt: skip
                break
    return out


def _without_logos(parts: list[Part]) -> list[Part]:
    """The parts, with the letters of the logo of the AMS, whose M is lowered, taken for words."""
    for a, m, s in zip(parts, parts[1:], parts[2:], strict=False):
        if (a.sign, m.sign, s.sign) == ("A", "M", "S") and a.base == s.base and a.latex == "\\mathcal{A}":
            for part in (a, m, s):
                part.role, part.latex, part.sure = "word", part.sign, False
    return parts


def _named(part: Part) -> Part:
    """A large bracket that pieces made, as the sign that it is."""
    sign = "".join(sorted(set(part.sign)))
    whole = next((name for pieces, name in WHOLE.items() if set(sign) == set(pieces)), "")
    if not whole and set(sign) <= set("⎧⎨⎩⎫⎬⎭⎪"):
        whole = "{" if set(sign) & set("⎧⎨⎩") else "}" if set(sign) & set("⎫⎬⎭") else ""
    if "⎷" in sign:
        whole = "√"
    role = "sign" if whole == "√" else role_of(whole) if whole else None
    return replace(part, sign=whole, latex=latex_of(whole) or "", role=role or "bad", sure=bool(whole))


def letters_of(part: Part) -> bool:
    """Whether a part may be one factor or several: a short word in italics."""
    return part.role == "word" and part.italic and len(part.sign) <= ITALICS and part.sign.isalpha()
