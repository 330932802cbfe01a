"""From the text of a block to its pages: what is kept off them, how they are set, what nano reads of them, and what
stands beside each as text.

Secrets are never on a page, and what nano does not read exactly is not left to it alone: such lines stand beside the
page, and so do the strings that must be exact and that the model is not trusted with. This module knows nothing of
places or sessions.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from unicodedata import combining

import numpy as np
from numpy.typing import NDArray

from microfiche.files import plain
from microfiche.memory.captioned import LEGEND
from microfiche.memory.exact import BETWEEN, Kind, exact_strings
from microfiche.memory.paper import SetPage, png, set_pages, to_bytes
from microfiche.page import Reading, TypesetPage
from microfiche.proxy.protocols import runs
from microfiche.proxy.secret import secrets_in
from microfiche.proxy.sight import Sight
from microfiche.proxy.verdict import DrawnBlock, DrawnPage
from microfiche.typesetting import density as densities
from microfiche.typesetting.repertoire import repertoire

WAY = 6  #: counts the ways in which pages were drawn; what was drawn in another way is not taken for a new session
MOST = 10  #: pages of a block
TOGETHER = "results"  #: the kind of place whose text has several results, each after a line as of `heading`
UNSURE = 0.5  #: the probability of a character below which nano is not sure of it
ODD = 0.1  #: the share of a text's characters that may be undrawable
NEAR = 400  #: characters around a text in which there may be the rest of a secret
AROUND, LONG = 40, 160  #: characters around a place in a line that is longer than LONG
MARGIN = 1.3  #: how many times dearer the text must be than its pages
CHARACTERS = 4  #: bytes of text that are at least a token
EXACT_CHARACTERS = 2.5  #: bytes of exact strings that are at most a token
BANNER = (
    "To save tokens, a tool on my machine shows long texts as pages: pictures of the text, each after a caption with"
    f" its name and the numbers of its lines. {LEGEND} Asterisks stand for what is kept off the picture. Lines that a"
    " caption gives after their numbers, and the strings after «Exactly», are exact. Where another value has to be"
    " exact, do not guess it from the picture: call read_lines with the page's name, or look it up again.\n"
)
#: Characters that nano takes for each other, and that no text has to keep apart which has only one of them.
ALIKE = ("`´‘’'", "-–—―−", "|¦!")
STAND_INS = "\\?#_!$@%<;ФØД"  #: for characters that nano does not read; the first ones it reads surely at any density
OFTEN = 4  #: how often a character that nano does not read well has to occur for another to stand for it
_CUTS = re.compile(r"[:(),=\[\]{}'\"<>|;*`!]+|\.{2,}|→")
#: What is one string although it is cut, or has no word of its own that tells: addresses of hardware and of IPv6, bytes
#: one beside another as in a dump, names of tickets.
_WHOLE = re.compile(
    r"(?<![\w:-])(?:[0-9a-fA-F]{2}[:-]){3,}[0-9a-fA-F]{2}(?![\w:-])|(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])"
    r"|(?<![\w.-])(?:(?:[0-9a-fA-F]{2}|[0-9a-fA-F]{4}) {1,2}){3,}(?:[0-9a-fA-F]{2}){1,2}(?![\w.-])"
    r"|(?<![\w-])[A-Z][A-Z0-9]{1,9}-\d{2,}(?![\w-])"
)
_SLASHED = re.compile(r"\w/\w|@\w|\w\\\w")
_LONE = re.compile("[\ud800-\udfff]")
_NUMBERED = re.compile(r"([ ]*)(\d{1,7})(\t|→|: ?|\| ?)")
_HEADING = re.compile(r"## \d+ of \d+")

Read = Callable[[Sequence[TypesetPage]], Sequence[Reading]]


class Proofreader:
    """Nano, which reads pages back. It is loaded once, when it is first needed or before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nano: object = None

    def load(self) -> None:
        """Loads nano now; a later reading does not have to wait for it."""
        self([])

    def __call__(self, pages: Sequence[TypesetPage]) -> Sequence[Reading]:
        """The readings of pages as they were set, of all lines: characters that nano does not know are read as
        others."""
        with self._lock:
            from microfiche.nano.cells import Nano
            from microfiche.nano.kept import to_try
            from microfiche.readers import load

            if self._nano is None:
                self._nano = load("nano")
            assert isinstance(self._nano, Nano)
            letters = self._nano.letters.config.letters if pages and self._nano.letters else ""
            settings = [replace(to_try(page, letters)[0], kept=()) for page in pages]
            tokens = self._nano.unread(pages)
            return self._nano.read([replace(one, setting=own) for one, own in zip(tokens, settings, strict=True)])


class Undrawable(Exception):
    """Why a text is not drawn. The reason names none of its content."""


@dataclass(frozen=True)
class Draft:
    """A block that was drawn, and what it weighs: the tokens of its pages with all that stands beside them, and those
    of its text, both so that the pages are rather taken for too dear."""

    block: DrawnBlock
    tokens: int
    text_tokens: int

    @property
    def pays(self) -> bool:
        """Whether the pages cost enough less than the text."""
        return self.tokens * MARGIN < self.text_tokens


def block_digest(place: str, text: str, sight: Sight) -> bytes:
    """Names what is drawn of a text at a kind of place for a model that reads so."""
    return hashlib.sha256(f"{place}\0{sight.print} {WAY}\0".encode() + to_bytes(text)).digest()


def draft(
    place: str, text: str, sight: Sight, read: Read, taken: Callable[[str], bool] = lambda name: False,
    around: tuple[str, str] = ("", ""),
) -> Draft:  # fmt: skip
    """Draws a text, which stands between the two texts `around` it, for a model and has every page read back.
    Undrawable, with the reason, where the pages would not pay or would not be true. A block is called by the beginning
    of its digest that is not `taken` yet."""
    digest = block_digest(place, text, sight)
    size = next(n for n in range(8, 65) if not taken(digest.hex()[:n]))
    name, weight = digest.hex()[:size], text_tokens(text)
    bare = _Bare(text, place == TOGETHER)
    setter = sight.typesetter
    full = setter.columns * setter.rows
    if "\0" in text:
        raise Undrawable("binary")
    if _LONE.search(text):
        raise Undrawable("it holds half a character (a lone surrogate)")
    if len(bare.text) > MOST * full:
        raise Undrawable(f"it would take more than {MOST} pages")
    if sight.tokens(sight.height) * len(bare.text) / full * MARGIN > weight:
        raise Undrawable("its pages would cost more than the text")
    spans = _secrets(bare.text, around)
    swapped, legend = _stood_in(_masked(bare.text, spans), sight.density)
    pages = list(set_pages(swapped, setter))
    if len(pages) > MOST:
        raise Undrawable(f"it would take more than {MOST} pages")
    if sum(page.undrawn for page in pages) > ODD * len(text):
        raise Undrawable("too many of its characters cannot be drawn")
    pictures = [_cropped(page.page, sight) for page in pages]
    if len(pages) > 1 and len(to_bytes(pages[-1].text)) < EXACT_CHARACTERS * sight.tokens(len(pictures[-1])):
        pages.pop()  # the little that is on it costs less as text, beside the one before
    drawn, at, listed = list[DrawnPage](), 0, set[str]()
    for number, (page, reading) in enumerate(zip(pages, read([page.page for page in pages]), strict=True), 1):
        end = at + len(page.text)
        stop = end if number < len(pages) else len(bare.text)
        doubted = [at + place for place in unread(page, reading, set(swapped))]
        beside = bare.shown([*doubted, *_within(spans, at, end), *range(end, stop)])
        exact = _exact(bare.text[at:end], beside, sight.trusted, listed)
        first, last = bare.number(at), bare.number(max(at, end - 1))
        notes = bare.note + legend if number == 1 else ""
        caption = f"[page {name}-{number}, lines {first} to {last} of {len(bare)}{notes}]{beside}{exact}"
        picture, last = pictures[number - 1], bare.number(max(at, stop - 1))
        height, width = picture.shape
        drawn.append(DrawnPage(number, first, last, bare.place(at), bare.place(stop), width, height,
                               sight.tokens(height), caption, png(picture)))  # fmt: skip
        at = stop
    return weighed(DrawnBlock(name, digest, place, text, tuple(drawn)))


def weighed(block: DrawnBlock) -> Draft:
    """A block that was drawn before, with what it weighs."""
    tokens = sum(page.tokens + caption_tokens(page.caption) for page in block.pages)
    return Draft(block, tokens, text_tokens(block.text))


def text_tokens(text: str) -> int:
    """The tokens that a text takes, rather too few. A run of blanks or of a rule takes hardly any."""
    return (len(to_bytes(text)) - runs(text)) // CHARACTERS


def caption_tokens(caption: str) -> int:
    """The tokens that a caption takes, rather too many."""
    return round(len(caption.encode("utf-8", "replace")) / EXACT_CHARACTERS)


def _secrets(text: str, around: tuple[str, str]) -> list[tuple[int, int]]:
    """Where secrets stand in a text, also where their names stand before it or their ends after it."""
    before, after = around[0][-NEAR:], around[1][:NEAR]
    found = [(start - len(before), end - len(before)) for start, end in secrets_in(before + text + after)]
    return [(max(start, 0), min(end, len(text))) for start, end in found if end > 0 and start < len(text)]


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with an asterisk for each character of a span but for line ends."""
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], re.sub(r"[^\n]", "*", text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _stood_in(text: str, density: str) -> tuple[str, str]:
    """The text with others in the place of signs that occur often and that nano does not know or nobody sees, and what
    a caption says of that."""
    known = repertoire(densities.density(density)).known
    counts = Counter(text)
    odd = [c for c, n in counts.most_common() if n >= OFTEN and not c.isalnum() and (
        not c.isprintable() or ord(c) > 0xFFFF or not known[ord(c)])]  # fmt: skip
    free = [c for c in STAND_INS if c not in counts]
    table = dict(zip((c for c in odd if c != "\n"), free, strict=False))
    names = [f"{to} stands for {_named(c)}" for c, to in table.items()]
    return text.translate({ord(c): to for c, to in table.items()}), "".join(f", {one}" for one in names)


def _named(c: str) -> str:
    """A character as a caption names it: what would not be seen there, by its code point."""
    return "a tab" if c == "\t" else c if c.isprintable() and not combining(c) else f"U+{ord(c):04X}"


def unread(page: SetPage, reading: Reading, alphabet: Collection[str]) -> list[int]:
    """The places in a page's text that nano did not read exactly and surely, and those in lines that it does not know.

    Where a line was read with another number of characters, all of it is doubted. A dash or quote that was taken for
    another is read where the text's `alphabet` does not have that.
    """
    setting, wanted = page.setting, page.page
    height = densities.density(setting.density).height
    doubted = np.zeros(len(wanted.text), bool)
    rows = wanted.boxes[:, 1].astype(np.int64) // height
    inside = reading.boxes[:, 2] <= wanted.image.shape[1]
    seen = reading.boxes[:, 1].astype(np.int64) // height
    read = np.flatnonzero(inside)
    for row in np.unique(rows).tolist():
        own = np.flatnonzero(rows == row)
        at = read[seen[read] == row]
        said = "".join(reading.text[i] for i in at.tolist())
        should = wanted.text[own[0] : own[-1] + 1]
        if len(said) != len(should):
            doubted[own] = said.rstrip() != should.rstrip()
        else:
            doubted[own] = reading.confidence[at] < UNSURE
            if said != should:
                wrong = [a != b and not _alike(a, b, alphabet) for a, b in zip(should, said, strict=True)]
                doubted[own] |= np.array(wrong)
    if len(wanted.text) != len(page.text):  # letters and marks were composed: places are by their share
        scale = len(page.text) / max(1, len(wanted.text))
        return sorted({min(round(i * scale), len(page.text) - 1) for i in np.flatnonzero(doubted).tolist()})
    return np.flatnonzero(doubted).tolist()


def _alike(character: str, said: str, alphabet: Collection[str]) -> bool:
    """Whether a character that was taken for another cannot be that one."""
    return said not in alphabet and any(character in kind and said in kind for kind in ALIKE)


def _within(spans: Iterable[tuple[int, int]], start: int, stop: int) -> Iterable[int]:
    """The characters of spans that stand on a page."""
    for a, b in spans:
        yield from range(max(a, start), min(b, stop))


def heading(number: int, of: int) -> str:
    """The line before one of several results that share pages."""
    return f"## {number} of {of}"


class _Bare:
    """A text by its lines, without the numbers that a tool has put before all of them, or before all of one of several
    results that stand `together`."""

    def __init__(self, text: str, together: bool = False) -> None:
        lines = text.split("\n")
        heads = [n for n, line in enumerate(lines) if _HEADING.fullmatch(line)] if together else []
        prefixes, self.note = [0] * len(lines), ""
        for start, stop in zip([0, *(n + 1 for n in heads)], [*heads, len(lines)], strict=True):
            first = _NUMBERED.match(lines[start]) if stop - start > 2 else None
            found = _prefixes(lines[start:stop], int(first[2])) if first else None
            if first and found is not None:
                prefixes[start:stop] = found
                which = f" lines {start + 1} to {stop}" if together else ""
                self.note += f",{which} numbered from {first[2]} on by {first[3]!r}"
        bare = [line[cut:] for line, cut in zip(lines, prefixes, strict=True)]
        self.text = "\n".join(bare)
        self.starts = np.cumsum([0, *(len(line) + 1 for line in bare[:-1])])
        self._cut = np.cumsum(prefixes)

    def __len__(self) -> int:
        return len(self.starts)

    def place(self, at: int) -> int:
        """Where a character stands in the text as it came; that before the number of a line, at its beginning."""
        number = self.number(at)
        begins = number > 1 and at == int(self.starts[number - 1])
        return at + int(self._cut[number - 1 - begins]) if at else 0

    def number(self, at: int) -> int:
        """The number of the line in which a character stands, from 1."""
        return int(np.searchsorted(self.starts, at, "right"))

    def shown(self, places: Sequence[int]) -> str:
        """The lines in which some characters stand, each after its number; of a long line, what is around them."""
        if not places:
            return ""
        found = np.unique(np.asarray(places, np.int64))
        numbers = np.searchsorted(self.starts, found, "right")
        parts = []
        for number in np.unique(numbers).tolist():
            start = int(self.starts[number - 1])
            stop = int(self.starts[number]) - 1 if number < len(self) else len(self.text)
            parts.append(f"\n{number}: {self._excerpts(start, stop, found[numbers == number])}")
        return "".join(parts)

    def _excerpts(self, start: int, stop: int, places: NDArray[np.int64]) -> str:
        if stop - start <= LONG:
            return self.text[start:stop]
        cuts: list[list[int]] = []
        for place in places.tolist():
            a, b = max(start, place - AROUND), min(stop, place + AROUND + 1)
            if cuts and a <= cuts[-1][1]:
                cuts[-1][1] = b
            else:
                cuts.append([a, b])
        before, after = "…" * (cuts[0][0] > start), "…" * (cuts[-1][1] < stop)
        return before + " … ".join(self.text[a:b] for a, b in cuts) + after


def _prefixes(lines: Sequence[str], number: int) -> list[int] | None:
    """How long the number before each line is, if every line has its own, one more than that before it; those at the
    end may be empty."""
    found: list[int] = []
    for line in lines:
        match = _NUMBERED.match(line)
        if match is None or int(match[2]) != number:
            if any(lines[len(found) :]):
                return None
            return found + [0] * (len(lines) - len(found))
        found.append(match.end())
        number += 1
    return found


def _exact(text: str, beside: str, trusted: frozenset[Kind], listed: set[str]) -> str:
    """The strings of a page that must be exact and do not stand beside it yet, each once for the whole block: what has
    digits, paths, addresses. Names of letters alone are read as surely as words, and numbers of lines as others are."""
    found = []
    if not trusted >= {"hex", "numbers", "identifiers"}:
        whole = dict.fromkeys(match[0] for match in _WHOLE.finditer(text) if any(map(str.isdigit, match[0])))
        found = [string for string in whole if string not in listed and string not in beside]
        listed.update(found)
        text = _WHOLE.sub(" ", text) if whole else text
    for string in exact_strings(" ".join(dict.fromkeys(text.split())), trusted | {"code"}):
        for piece in [string] if "://" in string else _CUTS.split(string):
            piece = piece.strip(".-")
            telling = any(map(str.isdigit, piece)) or (_SLASHED.search(piece) and len(piece) > 5)
            if telling and len(piece) > 3 and piece not in listed and piece not in beside:
                listed.add(piece)
                found.append(piece)
    return f"\nExactly: {BETWEEN.join(found)}" if found else ""


def _cropped(page: TypesetPage, sight: Sight) -> NDArray[np.uint8]:
    """The picture without the paper below its last line, as far as that makes it cheaper: nano reads it with that."""
    image = page.image
    inked = np.flatnonzero((image < 255).any(axis=1))
    height = sight.cheapest(int(inked[-1]) + 1 if len(inked) else 1)
    if sight.tokens(height) == sight.tokens(len(image)):
        return image
    return np.pad(image[:height], ((0, max(0, height - len(image))), (0, 0)), constant_values=255)


def escaped(text: str) -> str:
    """A text as it goes into a body, lone surrogates escaped."""
    return plain(text)
