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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from unicodedata import combining

import numpy as np
from numpy.typing import NDArray

from microfiche.files import plain
from microfiche.memory.captioned import LEGEND
from microfiche.memory.exact import BETWEEN, Kind, exact_strings
from microfiche.memory.paper import SetPage, png, set_pages, to_bytes
from microfiche.memory.versions import merged
from microfiche.page import Reading, TypesetPage
from microfiche.proxy.numbered import Bare
from microfiche.proxy.protocols import runs
from microfiche.proxy.secret import secrets_in
from microfiche.proxy.sight import Sight
from microfiche.proxy.surroundings import NEAR
from microfiche.proxy.verdict import DrawnBlock, DrawnPage
from microfiche.sources import composed, composed_with_places
from microfiche.typesetting import Typesetter
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import code_points
from microfiche.typesetting.repertoire import repertoire

WAY = 10  #: counts the ways in which pages were drawn; what was drawn in another way is not taken for a new session
MOST = 10  #: pages of a block
TOGETHER = "results"  #: the kind of place whose text has several results, each after a line as of `heading`
UNSURE = 0.5  #: the probability of a character below which nano is not sure of it
ODD = 0.1  #: the share of a text's characters that may be undrawable
SAMPLE = 8  #: lines of each stretch by which a text is sampled
MARGIN = 1.3  #: how many times dearer the text must be than its pages
LAST_OF_ASCII = 0x7F
CHARACTERS = 4  #: bytes of text that are at least a token
EXACT_CHARACTERS = 2.5  #: bytes of exact strings that are at most a token
BANNER = (
    "To save tokens, a tool on my machine shows long texts as pages: pictures of the text, each after a caption with"
    f" its name and the numbers of its lines. {LEGEND} Asterisks stand for what is kept off the picture. Lines that a"
    " caption gives after their numbers, and the strings after «Exactly», are exact. Where another value has to be"
    " exact, do not guess it from the picture: call read_lines with the page's name, or look it up again.\n"
)
#: Characters that nano takes for each other. Where a text has one of them and not the other, a caption can tell which
#: is meant.
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
#: What stands in every line with one of these.
_MAY_BE_WHOLE = re.compile(
    r":[0-9a-fA-F]{0,4}:[0-9a-fA-F]{0,4}:|:(?:[0-9a-fA-F]{2}[:-]){2}|-(?:(?<=[A-Z0-9]-)\d\d|(?:[0-9a-fA-F]{2}[:-]){2})"
    r"| (?<=[0-9a-fA-F] ) ?(?:[0-9a-fA-F]{2}){1,2} "
)
_MAY_TELL = re.compile(r"[\d/\\@]|[^\x00-\x7f]")  #: what stands in every word with a digit or a slash
_SLASHED = re.compile(r"\w/\w|@\w|\w\\\w")
_LONE = re.compile("[\ud800-\udfff]")

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


def block_digest(place: str, text: str, sight: Sight, around: tuple[str, str] = ("", "")) -> bytes:
    """Names what is drawn of a text, between the texts `around` it, at a kind of place for a model that reads so."""
    said = f"{place}\0{sight.print} {WAY}\0{told_by(text, around)}"
    return hashlib.sha256(to_bytes(said + text)).digest()


def told_by(text: str, around: tuple[str, str]) -> str:
    """What of the texts around a text makes something in it a secret that alone would be none: nothing, or all that is
    near."""
    before, after = around[0][-NEAR:], around[1][:NEAR]
    return f"{before}\0{after}\0" if (before or after) and _told(before, text[:NEAR], text[-NEAR:], after) else ""


@lru_cache(4096)
def _told(before: str, head: str, tail: str, after: str) -> bool:
    alone = _secrets(head, ("", "")), _secrets(tail, ("", ""))
    return (_secrets(head, (before, "")), _secrets(tail, ("", after))) != alone


def draft(
    place: str, text: str, sight: Sight, read: Read, taken: Callable[[str], bool] = lambda name: False,
    around: tuple[str, str] = ("", ""), told: Sequence[tuple[int, int]] = (),
) -> Draft:  # fmt: skip
    """Draws a text, which stands between the two texts `around` it, for a model and has every page read back. What is
    `told` of it is kept off its pages like secrets.
    Undrawable, with the reason, where the pages would not be true or cost more than the text, which is known before
    they are read back where what stands beside them anyway is that much, or what a sample says will. A block is called
    by the beginning of its digest that is not `taken` yet."""
    digest = block_digest(place, text, sight, around)
    size = next(n for n in range(8, 65) if not taken(digest.hex()[:n]))
    name, weight = digest.hex()[:size], text_tokens(text)
    bare = Bare(text, place == TOGETHER)
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
    spans = merged([*_secrets(bare.text, around), *(bare.cut(span) for span in told)])
    swapped, meant = _stood_in(_masked(bare.text, spans), sight.density)
    pages = list(set_pages(swapped, setter))
    if len(pages) > MOST:
        raise Undrawable(f"it would take more than {MOST} pages")
    if sum(page.undrawn for page in pages) > ODD * len(text):
        raise Undrawable("too many of its characters cannot be drawn")
    pictures = [_cropped(page.page, sight) for page in pages]
    if len(pages) > 1 and len(to_bytes(pages[-1].text)) < EXACT_CHARACTERS * sight.tokens(len(pictures[-1])):
        pages.pop()  # the little that is on it costs less as text, beside the one before
        pictures.pop()
    ends = np.cumsum([len(page.text) for page in pages]).tolist()
    cuts = list(zip([0, *ends[:-1]], ends, [*ends[:-1], len(bare.text)], strict=True))
    cost = sum(sight.tokens(len(picture)) for picture in pictures)
    asterisks = _marks(len(bare.text), spans)
    telling = [_telling(bare.text[at:end], sight.trusted) for at, end, _ in cuts]

    def captions(doubted: Sequence[int]) -> list[str]:
        made, listed = [], set[str]()
        unsure = asterisks.copy()
        unsure[np.asarray(doubted, np.int64)] = True
        unsure[ends[-1] :] = True
        for number, (at, end, stop) in enumerate(cuts, 1):
            beside = bare.shown(at + np.flatnonzero(unsure[at:stop]))
            exact = [string for string in telling[number - 1] if string not in listed and string not in beside]
            listed.update(exact)
            first, last = bare.number(at), bare.number(max(at, end - 1))
            notes = bare.note + _legend(meant) if number == 1 else ""
            listing = f"\nExactly: {BETWEEN.join(exact)}" if exact else ""
            made.append(f"[page {name}-{number}, lines {first} to {last} of {len(bare)}{notes}]{beside}{listing}")
        return made

    def is_dearer(doubted: Sequence[int]) -> bool:
        return cost + sum(map(caption_tokens, captions(doubted))) > weight

    odd = [] if swapped.isascii() else np.flatnonzero(code_points(swapped) > LAST_OF_ASCII).tolist()
    if is_dearer([]) or (odd and is_dearer(odd) and cost + _sampled(swapped, setter, read) > weight):
        raise Undrawable("its pages would cost more than the text")
    doubted, shown = list[int](), {c: c for c in swapped}
    for (at, *_), page, reading in zip(cuts, pages, read([page.page for page in pages]), strict=True):
        doubted += [at + place for place in unread(page, reading, shown)]
    meant |= {said: meant.get(c, c) for said, c in shown.items() if said != c}
    drawn = list[DrawnPage]()
    for (at, _, stop), picture, caption in zip(cuts, pictures, captions(doubted), strict=True):
        height, width = picture.shape
        first, last = bare.number(at), bare.number(max(at, stop - 1))
        drawn.append(DrawnPage(len(drawn) + 1, first, last, bare.place(at), bare.place(stop), width, height,
                               sight.tokens(height), caption, png(picture)))  # fmt: skip
    return weighed(DrawnBlock(name, digest, place, text, tuple(drawn)))


def _sampled(text: str, setter: Typesetter, read: Read) -> float:
    """The tokens of all lines of a text of which nano does not read some letter, by an eighth of them."""
    size = SAMPLE * setter.columns
    sample = "".join(text[at : at + size] for at in range(0, len(text), 8 * size))
    pages = list(set_pages(sample, setter))
    bare, at, doubted, shown = Bare(sample), 0, list[int](), {c: c for c in text}
    for page, reading in zip(pages, read([page.page for page in pages]), strict=True):
        doubted += [at + place for place in unread(page, reading, shown)]
        at += len(page.text)
    return caption_tokens(bare.shown(np.array(doubted, np.int64))) * len(text) / max(1, len(sample))


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


def without_secrets(text: str) -> str:
    """A text with an asterisk for each character of a secret but for line ends."""
    return _masked(text, secrets_in(text))


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with an asterisk for each character of a span but for line ends."""
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], re.sub(r"[^\n]", "*", text[start:end])]
        done = end
    return "".join([*parts, text[done:]])


def _stood_in(text: str, density: str) -> tuple[str, dict[str, str]]:
    """The text with others in the place of signs that occur often and that nano does not know or nobody sees, and what
    each of those others is meant for."""
    known = repertoire(densities.density(density)).known
    counts = Counter(composed(text))  # a mark that is composed with its letter is not seen as itself
    odd = [c for c, n in counts.most_common() if n >= OFTEN and not c.isalnum() and (
        not c.isprintable() or ord(c) > 0xFFFF or not known[ord(c)])]  # fmt: skip
    free = [c for c in STAND_INS if c not in counts]
    table = dict(zip((c for c in odd if c != "\n"), free, strict=False))
    for c, to in table.items():
        text = text.replace(c, to)
    return text, {to: c for c, to in table.items()}


def _legend(meant: Mapping[str, str]) -> str:
    """What a caption says of characters that are meant for others."""
    return "".join(f", {one} stands for {_named(c)}" for one, c in meant.items())


def _named(c: str) -> str:
    """A character as a caption names it: what would not be seen there, by its code point."""
    return "a tab" if c == "\t" else c if c.isprintable() and not combining(c) else f"U+{ord(c):04X}"


def unread(page: SetPage, reading: Reading, shown: dict[str, str]) -> list[int]:
    """The places in a page's text that nano did not read exactly and surely, and those in lines that it does not know.

    Where a line was read with another number of characters, all of it is doubted. `shown` says what is on the page for
    each character that is read: for those of the whole text, themselves. A dash or quote that was taken for another
    counts as read, and is entered there, unless something else has that other's place.
    """
    setting, wanted = page.setting, page.page
    height = densities.density(setting.density).height
    doubted = np.zeros(len(wanted.text), bool)
    rows = wanted.boxes[:, 1].astype(np.int64) // height
    read = np.flatnonzero(reading.boxes[:, 2] <= wanted.image.shape[1])
    seen = reading.boxes[read, 1].astype(np.int64) // height
    read, seen = (one[np.argsort(seen, kind="stable")] for one in (read, seen))
    unsure, points = reading.confidence[read] < UNSURE, code_points(reading.text)[read]
    every = points.tobytes().decode("utf-32-le")
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    firsts, lasts = (np.searchsorted(seen, rows[starts], side).tolist() for side in ("left", "right"))
    begins = starts.tolist()
    for begin, end, first, last in zip(begins, [*begins, len(rows)][1:], firsts, lasts, strict=True):
        said, should = every[first:last], wanted.text[begin:end]
        if len(said) != len(should):
            doubted[begin:end] = said.rstrip() != should.rstrip()
        else:
            doubted[begin:end] = unsure[first:last]
            if said != should:
                wrong = [a != b and not _alike(a, b, shown) for a, b in zip(should, said, strict=True)]
                doubted[begin:end] |= np.array(wrong)
    _, places = composed_with_places(page.text)  # where letters and marks were composed, each at its letter
    found = np.flatnonzero(doubted)
    return (found if places is None else places[found]).tolist()


def _alike(character: str, said: str, shown: dict[str, str]) -> bool:
    """Whether a character that was taken for another is what that one is."""
    return any(character in kind and said in kind for kind in ALIKE) and shown.setdefault(said, character) == character


def _marks(length: int, spans: Iterable[tuple[int, int]]) -> NDArray[np.bool_]:
    """(T,) which characters of a text of some length stand in spans."""
    found = np.zeros(length, bool)
    for start, end in spans:
        found[start:end] = True
    return found


def _telling(text: str, trusted: frozenset[Kind]) -> list[str]:
    """The strings of a page that must be exact, each once: what has digits, paths, addresses. Names of letters alone
    are read as surely as words, and numbers of lines as others are."""
    found: dict[str, None] = {}
    if not trusted >= {"hex", "numbers", "identifiers"}:
        text = _without_whole(text, found)
    words = (word for word in dict.fromkeys(text.split()) if _MAY_TELL.search(word))
    for string in exact_strings(" ".join(words), trusted | {"code"}):
        for piece in [string] if "://" in string else _CUTS.split(string):
            piece = piece.strip(".-")
            telling = any(map(str.isdigit, piece)) or (_SLASHED.search(piece) and len(piece) > 5)
            if telling and len(piece) > 3:
                found[piece] = None
    return list(found)


def _without_whole(text: str, found: dict[str, None]) -> str:
    """The text without what is one string although it is cut, where some of that has digits, which goes to `found`."""
    parts, done = [], 0
    for hint in _MAY_BE_WHOLE.finditer(text):
        if hint.start() >= done:
            start, end = text.rfind("\n", 0, hint.start()) + 1, text.find("\n", hint.end())
            end = len(text) if end < 0 else end
            found.update((m[0], None) for m in _WHOLE.finditer(text, start, end) if any(map(str.isdigit, m[0])))
            parts += [text[done:start], _WHOLE.sub(" ", text[start:end])]
            done = end
    return "".join([*parts, text[done:]]) if found else text


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
