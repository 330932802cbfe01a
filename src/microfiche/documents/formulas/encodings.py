"""What the characters of mathematics fonts are where a PDF does not say: the encodings of TeX's fonts, and what the
names of fonts tell.

Sources: D. E. Knuth, The TeXbook, appendix F (OML, OMS, OMX); the AMS fonts' user's guide, version 2 (MSAM, MSBM).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Alphabet = Literal["", "mathcal", "mathscr", "mathbb", "mathfrak", "mathbf", "boldsymbol", "mathsf", "mathtt"]

MAPS_TO = 0x37  #: of OMS: the foot of an arrow, which is drawn with the arrow after it
FOOT = "\u27dd"  #: stands for that foot
WIDE_HAT, WIDE_TILDE = "\u2303", "\u2053"  #: accents over several letters
BRACES = "╭╮╰╯"  #: the pieces of braces that lie over or under what they hold: ╭╯╰╮ is over, ╰╮╭╯ under

OML = (
    "ΓΔΘΛΞΠΣΥΦΨΩαβγδϵζηθικλμνξπρστυϕχψωεϑϖϱςφ↼↽⇀⇁⊂⊃▷◁0123456789.,</>⋆"
    "∂ABCDEFGHIJKLMNOPQRSTUVWXYZ♭♮♯⌣⌢ℓabcdefghijklmnopqrstuvwxyzıȷ℘\u20d7\u2040"
)
OMS = (
    "−⋅×∗÷⋄±∓⊕⊖⊗⊘⊙◯∘•≍≡⊆⊇≤≥⪯⪰∼≈⊂⊃≪≫≺≻←→↑↓↔↗↘≃⇐⇒⇑⇓⇔↖↙∝′∞∈∋△▽\u0338" + FOOT + "∀∃¬∅ℜℑ⊤⊥"
    "ℵABCDEFGHIJKLMNOPQRSTUVWXYZ∪∩⊎∧∨⊢⊣⌊⌋⌈⌉{}⟨⟩|∥↕⇕\\≀√⨿∇∫⊔⊓⊑⊒§†‡¶♣♢♡♠"
)
OMX = (
    "()[]⌊⌋⌈⌉{}⟨⟩|∥/\\()()[]⌊⌋⌈⌉{}⟨⟩/\\()[]⌊⌋⌈⌉{}⟨⟩/\\/\\⎛⎞⎡⎤⎣⎦⎢⎥⎧⎫⎩⎭⎨⎬⎪⏐"
    "⎝⎠⎜⎟⟨⟩⨆⨆∮∮⨀⨀⨁⨁⨂⨂∑∏∫⋃⋂⨄⋀⋁∑∏∫⋃⋂⨄⋀⋁∐∐" + 3 * WIDE_HAT + 3 * WIDE_TILDE + "[]⌊⌋⌈⌉{}√√√√⎷⏐⌜∥↑↓" + BRACES + "⇑⇓"
)
MSA = {
    0x00: "⊡", 0x01: "⊞", 0x02: "⊠", 0x03: "□", 0x04: "■", 0x05: "⋅", 0x06: "◇", 0x07: "⧫", 0x0C: "⊩", 0x0D: "⊪",
    0x0F: "⊨", 0x10: "↠", 0x12: "⇇", 0x13: "⇉", 0x16: "↾", 0x1C: "⇌", 0x20: "⇝", 0x26: "≳", 0x27: "⪆", 0x29: "∴",
    0x2A: "∵", 0x2C: "≜", 0x2E: "≲", 0x2F: "⪅", 0x32: "⋞", 0x34: "≼", 0x35: "≦", 0x36: "⩽", 0x37: "≶", 0x3C: "≽",
    0x3D: "≧", 0x3E: "⩾", 0x3F: "≷", 0x42: "⊳", 0x43: "⊲", 0x44: "⊵", 0x45: "⊴", 0x46: "★", 0x49: "▶", 0x4E: "▼",
    0x55: "¥", 0x58: "✓", 0x65: "⋎", 0x66: "⋏", 0x6A: "⫅", 0x6B: "⫆", 0x72: "®", 0x7A: "✠", 0x7B: "∁",
}  # fmt: skip
MSB = {
    0x02: "≰", 0x03: "≱", 0x04: "≮", 0x05: "≯", 0x06: "⊀", 0x07: "⊁", 0x0A: "≰", 0x0B: "≱", 0x1C: "≁", 0x1D: "≇",
    0x28: "⊊", 0x29: "⊋", 0x2A: "⊈", 0x2B: "⊉", 0x2C: "∦", 0x2D: "∤", 0x2E: "∤", 0x2F: "∦", 0x30: "⊬", 0x32: "⊭",
    0x38: "↚", 0x39: "↛", 0x3A: "⇍", 0x3B: "⇏", 0x3C: "⇎", 0x3D: "↮", 0x3F: "∅", 0x40: "∄", 0x66: "℧", 0x67: "ð",
    0x68: "≂", 0x69: "ℶ", 0x6A: "ℷ", 0x6B: "ℸ", 0x6C: "⋖", 0x6D: "⋗", 0x6E: "⋉", 0x6F: "⋊", 0x70: "∣", 0x71: "∥",
    0x72: "∖", 0x73: "∼", 0x74: "≈", 0x75: "≊", 0x7A: "ϝ", 0x7B: "ϰ", 0x7D: "ℏ", 0x7E: "ℏ", 0x7F: "϶",
    **{code: chr(code) for code in range(0x41, 0x5B)},
}  # fmt: skip
TABLES = {
    "letters": dict(enumerate(OML)), "signs": dict(enumerate(OMS)), "extension": dict(enumerate(OMX)), "a": MSA,
    "b": MSB, "c": {0x2C: "≠"},
}  # fmt: skip
#: The names of TeX's fonts, without their sizes, by encoding.
NAMES = (
    ("letters", r"cmmib?|lmmathitalic|r?[tp]xmi\d?|newtxmi|ntxmi|[rz]?tmi|mtmi|euxm|eu[rb]m|fourier-math-letters.*"),
    ("signs", r"cmb?sy|lmmathsymbols|[tp]xb?sys?|ntxsy|mtsy|mtms|fourier-math-symbols"),
    ("extension", r"cmex|lmmathextension|[tp]xexs?|ntxexx?|mtex|euex|fourier-math-extension"),
    ("a", r"msam|[tp]xsya"),
    ("b", r"msbm|[tp]xsyb"),
    ("c", r"[tp]xsyc"),
)
#: Characters of Latin-1 that TeX's fonts of mathematics do not have, but whose numbers they use.
STRANGE = np.array([ord(c) for c in "!\"#$%&'?@^`~"] + [c for c in range(0xA1, 0x100) if chr(c) not in "±×÷·¬§¶µ°"])
SUBSET = re.compile(r"^[A-Z]{6}\+")
SIZED = re.compile(r"(?:[-_]?(?:\d|regular|bold|italic|ps|mt))*$")
#: Fonts that hold mathematics and hardly anything else.
MATHEMATICS = re.compile(
    r"math(?!ilde)|^(?:cm|lm)(?:mi|sy|ex|bsy|mib)|^ms[ab]m|^eu[fsrbe][mbx]|^rsfs|^bbm|^dsrom|^dsss|^esint|^stmary|^wasy"
    r"|^[rtp]?[tp]x(?:mi|sy|ex|b)|^newtxmi|^ntx|^mt(?:mi|sy|ex)\d*$|^mt-?extra|^(?:euclid|opensymbol|starsymbol)"
    r"|^(?:standardsym|symbol)|^stix(?:nonunicode|size)|^yhmath|^bbold|^cmbsy|^rsfso",
    re.IGNORECASE,
)
#: Of these, fonts that also hold the bullets and pictures of plain text.
SIGNS = re.compile(r"^(?:opensymbol|starsymbol|standardsym(?!.*slant)|symbol|euclid)", re.IGNORECASE)
ITALIC = re.compile(r"ital|obliq|slant|-it$|kursiv|^cm(?:ti|sl)|^sfti|cmitt", re.IGNORECASE)
ITALIC_FLAG, FORCED_BOLD = 1 << 6, 1 << 18
ALPHABETS: tuple[tuple[Alphabet, str], ...] = (
    ("boldsymbol", r"^(?:cmmib|lmmathitalic.*bold|r?[tp]xbmi)"),
    ("mathbb", r"^(?:msbm|bbm|bbold|dsrom|[tp]xsyb|.*blackboard)"),
    ("mathfrak", r"^(?:euf[mb]|[tp]xmia|.*frak)"),
    ("mathcal", r"^(?:cmb?sy|lmmathsymbols|[tp]xb?sys?|ntxsy|mtsy|eus[mb]|rsfso|fourier-math-symbols)"),
    ("mathscr", r"^(?:rsfs|mtmscr|.*script)"),
    ("mathsf", r"^(?:cmss|lmsans|sfss)"),
    ("mathtt", r"^(?:cmtt|lmmono|sftt)"),
)


def plain_name(name: str) -> str:
    """The name of a font without the letters that mark a subset."""
    return SUBSET.sub("", name)


@cache
def encoding_of(name: str) -> str:
    """Which of TABLES the codes of a font follow, by its name; "" for none."""
    bare = SIZED.sub("", plain_name(name).lower())
    return next((table for table, names in NAMES if re.fullmatch(names, bare)), "")


@cache
def is_mathematical(name: str) -> bool:
    """Whether a font of this name holds mathematics."""
    return MATHEMATICS.search(plain_name(name)) is not None


@cache
def holds_signs(name: str) -> bool:
    """Whether a font that holds mathematics may serve for the signs of plain text, too."""
    return SIGNS.search(plain_name(name)) is not None


@cache
def alphabet_of(name: str, weight: int, flags: int) -> Alphabet:
    """The alphabet of LaTeX to which the letters of a font belong; "" for common letters."""
    bare = plain_name(name).lower()
    for alphabet, names in ALPHABETS:
        if re.match(names, bare):
            return alphabet
    heavy = weight >= 600 or bool(flags & FORCED_BOLD) or re.match(r"cmbx?\d|sfbx|.*-medi$|.*bold", bare) is not None
    return "" if not heavy else "boldsymbol" if is_italic(name, flags) else "mathbf"


@cache
def is_italic(name: str, flags: int) -> bool:
    """Whether the letters of a font are slanted."""
    return bool(flags & ITALIC_FLAG) or ITALIC.search(plain_name(name)) is not None


def _are_codes(given: NDArray[np.int64], encoding: str) -> bool:
    """Whether the characters that a file gives for a font of mathematics are only the numbers of its signs: they are
    all of Latin-1, and some of them no font of this encoding has."""
    if not len(given) or (given >= 0x100).any():
        return False
    alien = np.isin(given, STRANGE)
    if encoding in ("signs", "extension"):
        letters = (given >= 0x61) & (given <= 0x7A)
        capitals = (given >= 0x41) & (given <= 0x5A) & (encoding == "extension")
        alien |= letters | capitals | ((given >= 0x30) & (given <= 0x39))
    return bool(alien.any())


def decoded(
    codes: NDArray[np.int64],
    unmapped: NDArray[np.bool_],
    font: NDArray[np.int64],
    names: list[str],
    edges: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Gives the `unmapped` (T,) codes of TeX's fonts their characters, in place, and returns which these are.

    `font` (T,) is the number of each character's font, whose `names` are known; -1 for none. `edges` (T, 4) are left,
    right, bottom and top of its shape: a code without a shape is none. What nobody can name becomes 0.
    """
    found = np.zeros(len(codes), bool)
    for number, name in enumerate(names):
        table = TABLES.get(encoding_of(name), {})
        if not is_mathematical(name) or holds_signs(name):
            continue
        own = (font == number) & (edges[:, 1] > edges[:, 0])
        raw = bool(table) and _are_codes(codes[own & ~unmapped], encoding_of(name))
        at = np.flatnonzero(own if raw else own & (unmapped | (codes == 0)))
        for i in at.tolist():
            code = int(codes[i])
            if code > 0x7F:  # the same signs again, where a program avoids control characters
                code -= 0xA1 if code < 0xAD else 0xA3 if code < 0xC4 else 0x45
            found[i] = code in table
            codes[i] = ord(table[code]) if found[i] else codes[i] if raw and not unmapped[i] else 0
    for i in np.flatnonzero(found & (codes == ord(FOOT))).tolist():
        arrow = next((k for k in (i + 1, i + 2) if k < len(codes) and codes[k] == ord("→")), None)
        if arrow is not None:
            codes[i], codes[arrow] = 0x200B, ord("↦")
    return found
