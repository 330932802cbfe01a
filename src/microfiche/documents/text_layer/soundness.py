"""How far a page's text layer is to be trusted: whether it is what the page shows, and where it leaves something out.

Only cheap signs: they raise doubts, and whoever reads the picture settles them. Knows no engine.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from microfiche.documents.boxes import area, clipped, joined, touch, union
from microfiche.documents.sheet import Sheet, TextLayer
from microfiche.documents.text_layer.digits import misdrawn_digits
from microfiche.documents.text_layer.exchanged import common_to, exchanged, unlikely
from microfiche.documents.text_layer.glyphs import FIXED_PITCH, ICONS, MONOSPACED, NAMED, median, nameless_signs
from microfiche.documents.text_layer.pictured_text import text_in
from microfiche.page import Box

SCAN = 0.5  #: of the page that pictures cover, at least, where text stands behind a scan
SOME = 0.03  #: the share of characters without a Unicode value in a layer that is of use, at most
LOST = 0.01  #: the share of signs without any name in text that spells words, at most
INNER_SIGN = re.compile(r"[^\W\d_][\u00a1-\u00a9\u00ab\u00ac\u00ae-\u00b4\u00b6-\u00b9\u00bb-\u00bf][^\W\d_]")
ENOUGH = 40  #: letters of a font that are needed to tell whether it shows what it claims
TYPES = 6  #: different letters that are needed as well
MISSHAPEN = 0.2  #: the share of letters that have not the height of what they claim to be, in a font that is doubted
RISE, HANG = 1.18, 0.22  #: heights of an x that a tall letter rises and a deep one hangs, at least
LOW = 0.85  #: the height of a letter that is lower than an x, at most
MANY, TWO = 3, 2  #: words of a font, and of one of headings, that are others when two letters are exchanged, at least
HEADINGS, MOST = 60, 3000  #: different words of a font of headings, and of a font that is looked at, at most
FEW = 8  #: different words that are needed to tell from the words of a page
WORDS = 15  #: that are needed to tell whether they are written in any language
CODE = 0.25  #: bits a letter that words of code take beyond those of a language
ACCENTED = 0.35  #: the share of letters with accents in a text that is none, at least
VOWELLESS = 0.25  #: the share of words of four letters or more without a vowel in a text that is none, at least
MIXED = 0.2  #: the share of words that mix scripts in a text that is none, at least
RARE = 0.2  #: the share of Han characters that no national standard has in a text that is none, at least
#: The letters of each script from the commonest on, how many of a thousand in running text each is, over languages that
#: are written in it, and the bits a letter that no such language takes.
ALPHABETS = [
    ("eairtsnoldcumhpgkfbvywzjqx",
     (125, 90, 75, 68, 70, 70, 75, 68, 45, 42, 34, 42, 30, 32, 26, 20, 15, 16, 15, 14, 12, 10, 10, 5, 4, 3), 4.85),
    ("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъ",
     (110, 85, 80, 74, 67, 63, 55, 47, 45, 44, 35, 32, 30, 28, 26, 20, 19, 17, 17, 16, 16, 14, 12, 10, 9, 7, 6, 5, 4, 3,
      3, 1), 5.15),
    ("αοιετσνηυρπκμλςωγδθχφβξζψ",
     (113, 95, 92, 85, 79, 49, 62, 68, 44, 44, 41, 41, 33, 27, 40, 20, 17, 17, 12, 12, 8, 8, 4, 3, 2), 4.7),
]  # fmt: skip
RAREST = 3  #: of a thousand: letters that are not among them
NAMELESS = ("Co", "Cn", "Cc", "Cs", "Cf", "Zl", "Zp")  #: categories of characters that no text is written with, but for
FORMATS = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
VOWEL = re.compile("[aeiouy]")
WORD = re.compile(r"(?<![^\W_])[^\W\d_]{3,}(?![^\W_])")
SHORT_TOO = re.compile(r"[^\W\d_]+")
#: Small letters by what rises over and what hangs below those like x; the others differ from typeface to typeface.
SHORT = frozenset("acemnorsuvwxz" "авгежзиклмнопстхчшъыьэюя" "αεικνοπστυω")
TALL = frozenset("bdhkl" "бй" "δθλ")
DEEP = frozenset("gpqy" "ру" "γμρχηφψ")
SAMPLE = 2000  #: characters in fonts that the file lacks, of which it is looked whether the picture shows them
STANDARDS = "gb2312", "big5", "shift_jis", "euc_kr"


@dataclass(frozen=True)
class Doubts:
    """What speaks against a page's text layer; nothing where all is empty.

    `unusable` says in one line why it is of no use as a whole. Where text stands `behind` a scan, its words may still
    be right: they are to be compared with what is read; so where the names of its signs are `guessed` from a font's
    codes, as of TeX's bitmaps, and make words. `unread` are the parts of the page that show text of which the
    layer has nothing, `perhaps` those that may show a line of it; `compare` are those where the layer has text that may
    be wrong, for the reason `why`. `words` are words that make others, more likely, when two letters are exchanged,
    with their places and these others. `blank` says that text is right as far as one knows, but that the picture does
    not show it.
    """

    unusable: str = ""
    behind: bool = False
    guessed: bool = False
    unread: list[Box] = field(default_factory=list)
    perhaps: list[Box] = field(default_factory=list)
    compare: list[Box] = field(default_factory=list)
    digits: list[int] = field(default_factory=list)
    why: str = ""
    blank: str = ""
    words: list[tuple[Box, str, str]] = field(default_factory=list)


def doubts(sheet: Sheet) -> Doubts:
    """What speaks against the text layer of a sheet."""
    layer = sheet.text
    if layer is None or sheet.picture is None:
        return Doubts("no text layer")
    signs = np.array([not c.isspace() for c in layer.text], bool)
    count = int(signs.sum())
    if not count:
        return Doubts("no text in the text layer")
    size = sheet.picture.size
    shown = signs & layer.seen & ~layer.invisible
    pictured = sum(area(clipped(box, size)) for box in sheet.image_boxes) / (size[0] * size[1])
    behind = signs & (layer.invisible | ~layer.seen)
    if behind.sum() > 0.5 * count and (pictured > SCAN or layer.invisible[signs].mean() > 0.5):
        return Doubts(
            "its text is hidden behind a scan",
            behind=True,
            unread=text_in(sheet, layer.ink[behind])[0],
            compare=_areas(layer, behind, size),
        )
    if not shown.any():
        return Doubts("none of its text can be seen")
    unnamed = _unnamed(layer) & shown
    if unnamed.sum() > SOME * shown.sum():
        said = f"{unnamed.sum() / shown.sum():.0%} of its characters have no Unicode value"
        if _spells(layer, shown) and not _wrong(layer, shown)[1]:
            unread, perhaps = text_in(sheet, layer.ink[shown])
            compare = _areas(layer, unnamed, size)
            return Doubts(said, guessed=True, unread=unread, perhaps=perhaps, compare=compare)
        return Doubts(said)
    wrong, why = _wrong(layer, shown)
    if wrong.sum() > 0.5 * shown.sum():
        return Doubts(why, compare=_areas(layer, wrong, size), why=why)
    named = np.array([bool(font.name) for font in layer.fonts] + [False])[layer.font]
    guessed = shown & named & ~layer.mapped & ~layer.generated & ~nameless_signs(layer)
    if guessed.any():
        wrong, why = wrong | guessed, why or "a font does not name its signs"
    unread, perhaps = text_in(sheet, layer.ink[shown])
    return Doubts(
        unread=unread,
        perhaps=perhaps,
        compare=_areas(layer, wrong, size),
        digits=np.flatnonzero(misdrawn_digits(layer, sheet.picture, shown)).tolist(),
        why=why if wrong.any() else "",
        blank=_blank(sheet, layer, shown),
        words=_unlikely_words(layer, shown),
    )


def _spells(layer: TextLayer, shown: NDArray[np.bool_]) -> bool:
    """Whether the signs that are shown, named or not, are letters, digits and marks that make words."""
    text = "".join(c if mine or c.isspace() else "" for c, mine in zip(layer.text, shown, strict=True))
    lost = sum(unicodedata.category(c) in NAMELESS and c not in FORMATS for c in text if not c.isspace())
    return lost <= LOST * len(text) and not INNER_SIGN.search(text)


def _unnamed(layer: TextLayer) -> NDArray[np.bool_]:
    """(T,) whether a character has no Unicode value, or one that means nothing; not of the pictures in a font of
    icons or notes."""
    out = ~layer.mapped & ~layer.generated
    for i, sign in enumerate(layer.text):
        if sign > "\u007e" or (sign < " " and sign not in "\n\r\t"):
            out[i] |= sign not in FORMATS and unicodedata.category(sign) in NAMELESS and ord(sign) not in NAMED
    for number, font in enumerate(layer.fonts):
        own = layer.font == number
        pictures = out[own].sum() > 0.8 * own.sum() and own.sum() < 0.2 * len(out)
        if ICONS.search(font.name) or pictures:
            out[own] = False
    return out


def _wrong(layer: TextLayer, shown: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], str]:
    """(T,) whether a character belongs to a font whose letters are probably not those that the file claims, and why."""
    out, why = np.zeros(len(layer.text), bool), ""
    for number in range(len(layer.fonts)):
        own = shown & (layer.font == number)
        if own.sum() < ENOUGH:
            continue
        text = "".join(c if mine or c.isspace() else " " for c, mine in zip(layer.text, own, strict=True))
        code = bool(layer.fonts[number].flags & FIXED_PITCH) or MONOSPACED.search(layer.fonts[number].name)
        said = _strange(text, CODE if code else 0.0) or _misshapen(layer, own)
        if said:
            out |= own
            why = why or said
    if not why:
        text = "".join(c if mine or c.isspace() else "" for c, mine in zip(layer.text, shown, strict=True))
        why = _strange(text)
        out = shown if why else out
    return out, why


def _strange(text: str, more: float = 0.0) -> str:
    """Why a text is probably in no language, as its letters take `more` bits than any; "" if it may be."""
    words = [unicodedata.normalize("NFC", word) for word in WORD.findall(text)]
    if len(words) >= WORDS and sum(_scripts(word) > 1 for word in words) > MIXED * len(words):
        return "its words mix scripts"
    plain = {_folded(word) for word in words}
    for letters, weights, most in ALPHABETS:
        low, high = ("a", "z") if letters[0] == "e" else (min(letters), "\u04ff" if letters[0] == "о" else max(letters))
        own = [word for word in plain if all(low <= c <= high for c in word)]
        count = sum(map(len, own))
        if len(own) >= FEW and count >= 4 * FEW:
            weight, total = dict(zip(letters, weights, strict=True)), sum(weights)
            bits = sum(n * math.log2(total / weight.get(c, RAREST)) for c, n in Counter("".join(own)).items()) / count
            if bits > most + more + (0.0 if len(own) >= WORDS else 0.2):
                return "its text is garbled: letters occur as in no language"
    long = [word for word in plain if len(word) > 3 and word.isascii()]
    if not more and len(long) >= WORDS and sum(not VOWEL.search(word) for word in long) > VOWELLESS * len(long):
        return "its text is garbled: words without vowels"
    if not more and (pair := exchanged([word.lower() for word in SHORT_TOO.findall(text)])):
        return f"its text is garbled: {pair[0]} and {pair[1]} seem to be exchanged"
    spelled = "".join(word for word in set(words) if max(word) < "\u0250")
    if len(spelled) >= ENOUGH and sum(c >= "\u00c0" for c in spelled) > ACCENTED * len(spelled):
        return "its text is garbled: most letters have accents"
    han = [c for c in text if "\u4e00" <= c <= "\u9fff"]
    if len(han) >= ENOUGH and sum(map(_rare, han)) > RARE * len(han):
        return "its text is garbled: characters that no one uses"
    return ""


def _unlikely_words(layer: TextLayer, shown: NDArray[np.bool_]) -> list[tuple[Box, str, str]]:
    """The words of a page's fonts that make others, more likely, when two letters of the font are exchanged."""
    found: dict[int, list[re.Match[str]]] = {}
    for number in range(len(layer.fonts)):
        own = shown & (layer.font == number)
        text = "".join(c if mine else " " for c, mine in zip(layer.text, own, strict=True))
        found[number] = list(WORD.finditer(text)) if own.any() else []
    said = {number: {word[0].lower() for word in words} for number, words in found.items()}
    common = common_to(set().union(*said.values()))
    doubtful: dict[int, dict[str, str]] = {}
    for number, words in said.items():
        if len(words) >= HEADINGS:
            doubtful[number] = unlikely(words, common, MANY) if len(words) < MOST else {}
        elif words:
            others = set().union(common, *(its for other, its in said.items() if other != number))
            doubtful[number] = unlikely(words, others, TWO)
    out = []
    for number, meant in doubtful.items():
        for word in (x for x in found[number] if x[0].lower() in meant):
            box = union([(b[0], b[1], b[2], b[3]) for b in layer.boxes[word.start() : word.end()].tolist()])
            out.append((box, word[0].lower(), meant[word[0].lower()]))
    return out


def _folded(word: str) -> str:
    """A word in small letters without accents."""
    return "".join(c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))


def _scripts(word: str) -> int:
    """How many of the scripts Latin, Greek and Cyrillic a word is written with."""
    return len({
        "latin" if c < "\u0250" else "greek" if "\u0370" <= c < "\u0400" else "cyrillic"
        for c in word if c < "\u0530" and not "\u0250" <= c < "\u0370" and c not in "µΩªº"
    })  # fmt: skip


def _rare(sign: str) -> bool:
    for standard in STANDARDS:
        try:
            sign.encode(standard)
        except UnicodeEncodeError:
            continue
        return False
    return True


def _misshapen(layer: TextLayer, own: NDArray[np.bool_]) -> str:
    """Why the letters of a font are probably not what they claim to be: they do not rise and hang as these do."""
    at = np.flatnonzero(own & (np.abs(layer.angles) < 1) & np.array([c.isalpha() for c in layer.text], bool))
    height, depth = layer.origins[at, 1] - layer.ink[at, 1], layer.ink[at, 3] - layer.origins[at, 1]
    size = np.maximum(layer.sizes[at], 1e-6)
    height, depth = height / size, depth / size
    signs = [unicodedata.normalize("NFD", layer.text[i]) for i in at.tolist()]
    short = [k for k, sign in enumerate(signs) if sign in SHORT]
    if len(short) < ENOUGH / 4 or len(signs) < ENOUGH:
        return ""
    middle = median(height[short])
    wrong = _wrong_share(signs, height / middle, depth / middle) if middle > 0 else 0.0
    said = f"{wrong:.0%} of the letters in a font do not have the shape of what they claim to be"
    return said if wrong > MISSHAPEN else ""


def _wrong_share(signs: list[str], height: NDArray[np.floating], depth: NDArray[np.floating]) -> float:
    """The share of letters, taken apart from their accents, that do not rise or hang, in heights of an x, as they
    should; 0 where there are too few, or where all are of one height, as small capitals are."""
    tested = wrong = 0
    types: set[str] = set()
    small = np.array([sign.islower() and len(sign) == 1 for sign in signs], bool)
    if np.percentile(height[small], 95) < 1.12 * np.percentile(height[small], 5):
        return 0.0
    flags = (height > RISE).tolist(), (depth > HANG).tolist(), (height < LOW).tolist()
    for sign, high, deep, low in zip(signs, *flags, strict=True):
        base, above = sign[0], any(unicodedata.combining(c) == 230 for c in sign[1:])
        if base in SHORT and not sign[1:]:
            bad = high or deep or low
        elif base in TALL or base.isupper() or (base in SHORT and above):
            bad = not high
        elif base in DEEP and not sign[1:]:
            bad = not deep
        else:
            continue
        tested, wrong = tested + 1, wrong + bad
        types.add(sign)
    if tested < ENOUGH or len(types) < TYPES:
        return 0.0
    return wrong / tested


def _areas(layer: TextLayer, chosen: NDArray[np.bool_], size: tuple[int, int]) -> list[Box]:
    """The boxes around the parts of the page where the `chosen` characters stand."""
    at = np.flatnonzero(chosen)
    if not len(at):
        return []
    lines: list[Box] = []
    usual = max(1.0, median(layer.sizes[at]))
    for box in layer.boxes[at].tolist():
        near = (box[0], box[1], box[2], box[3])
        if lines and touch(lines[-1], near, usual):
            lines[-1] = union([lines[-1], near])
        else:
            lines.append(near)
    return [clipped(box, size) for box in joined(lines, usual)]


def _blank(sheet: Sheet, layer: TextLayer, shown: NDArray[np.bool_]) -> str:
    """What to say of text in fonts that the file lacks and that are drawn without ink; "" if there is none."""
    lacking = np.array([not font.embedded for font in layer.fonts] + [False])[layer.font] & shown
    if not lacking.any() or sheet.picture is None:
        return ""
    grey = np.asarray(sheet.picture.convert("L"))
    height, width = grey.shape
    blank = 0
    asked = layer.ink[lacking]
    asked = asked[:: -(-len(asked) // SAMPLE)]
    for left, top, right, bottom in asked.tolist():
        part = grey[max(0, int(top)) : min(height, math.ceil(bottom)), max(0, int(left)) : min(width, math.ceil(right))]
        blank += part.size > 0 and int(part.max()) - int(part.min()) < 8
    lost = round(blank / len(asked) * int(lacking.sum()))
    said = f"{lost} characters are in fonts that the file lacks; the picture does not show them"
    return said if blank > 0.5 * len(asked) else ""
