"""Text to pages to vision tokens and back: `pack` writes a .fiche file, `unpack` reads it, and `measure` does both in
memory and says what it costs and how much comes back. `pack_pages` takes pages as they are instead of text."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from microfiche.errors import CheckpointError, InputError, UsageError
from microfiche.fiche import Fiche, FicheWriter
from microfiche.files import whole_file
from microfiche.page import (
    Checkpoint,
    Layout,
    Page,
    Setting,
    TokenType,
    TypesetPage,
    VisionTokens,
    dequantise,
    quantise,
)
from microfiche.precision import errors, fox_precision, random_twin, text_tokens
from microfiche.readers import MAKERS, OURS, Reader, load
from microfiche.sources import Source
from microfiche.typesetting import density as densities
from microfiche.typesetting.density import DEFAULT_DENSITY
from microfiche.typesetting.shrink import worn
from microfiche.typesetting.typesetter import Typesetter, replacing

T = TypeVar("T")
AT_ONCE = 8  #: pages that a reader gets at a time; progress is reported after each such batch
MEASURED_AT_ONCE = 32
Progress = Callable[[int], None]  #: called with the number of pages that are done


@dataclass(frozen=True)
class Packed:
    """What was packed into a .fiche file, and how many seconds it took. `kept` characters stand in lines that models
    which read cells do not know, and whose text is in the file."""

    pages: int
    characters: int
    vision_tokens: int
    seconds: float
    kept: int = 0


@dataclass(frozen=True)
class Unpacked:
    """The text that was read from a .fiche file of `pages` pages; `wrong` are the numbers, from 1, of those that were
    read with errors, as far as their text is known."""

    text: str
    pages: int
    wrong: list[int]


class Measurement(BaseModel):
    """What it costs to keep a text as vision tokens, and how well it was read. Errors are summed page by page;
    `precision` follows from the sums. `kept` characters stand in lines that are kept as text: `ratio` counts the tokens
    of that text as a cost, and `precision` leaves it out. `fox_precision` is None for Chinese text without jieba, and
    `ratio` for random strings, which no tokenizer was made for."""

    characters: int
    text_tokens: int
    vision_tokens: int
    ratio: float | None
    precision: float
    fox_precision: float | None
    errors: int
    kept: int
    pages: int
    seconds_typeset: float
    seconds_encode: float
    seconds_read: float
    density: str
    mode: str
    layout: str
    shrunk_to: int | None
    jpeg: int | None
    random: bool
    read_by: str
    token_type: str
    checkpoint: str


def pack(
    text: str | Sequence[Source],
    output: str | Path,
    reader: Reader | None = None,
    density: str = DEFAULT_DENSITY,
    mode: str = "small",
    layout: Layout = "dense",
    *,
    keep_text: bool = False,
    replacement: str | None = None,
    progress: Progress = lambda pages: None,
    say: Callable[[str], None] = lambda line: None,
) -> Packed:
    """Typesets one or several texts, encodes the pages with `reader` (nano by default) and writes the .fiche file
    `output`, whole or not at all. On the pages, letters and the marks that follow them are composed (NFC), and `say` is
    called with a line about it. With `keep_text` the compressed text is stored too, as it was given. Lines with
    characters that models do not know are kept as text, and so are those with characters that cannot be drawn, unless a
    `replacement` is given, which is drawn instead; `say` is called with a line about either.

    Raises UnreadableCharacters for characters that cannot be drawn, if the reader is not nano, which alone reads kept
    lines. Raises UsageError for an unknown name, and CheckpointError if the reader's tokens are not those of its
    checkpoint or if its weights come from no file.
    """
    reader = _checked(reader)
    at = densities.density(density)
    beside = replacement is None and reader.checkpoint.name == "nano"
    typesetter = Typesetter(at, densities.mode(mode), layout, beside)
    sources = [Source("text", _utf8(text))] if isinstance(text, str) else list(text)
    if not sources:
        raise InputError("no text to pack")
    texts = [(source, replacing(source, at, replacement, say, beside)) for source in sources]
    start = time.perf_counter()
    pages = characters = vision_tokens = kept = 0
    with (
        whole_file(Path(output)) as file,
        FicheWriter(file, reader.checkpoint, typesetter.setting, mode, "int8", keep_text) as fiche,
    ):
        for source, replaced in texts:
            fiche.source(source.name)
            given, drawn = 0, characters

            def pieces(source: Source = source, replaced: dict[int, str] = replaced) -> Iterator[str]:
                nonlocal given
                for chunk in source.chunks(composed=False):
                    chunk = chunk.translate(replaced)
                    fiche.keep(chunk)
                    given += len(chunk)
                    yield chunk

            for some in _batches(typesetter.pages(pieces()), AT_ONCE):
                for page, tokens in zip(some, _each(reader.encode(some), len(some), "tokens"), strict=True):
                    fiche.add(page, tokens)
                    characters, vision_tokens = characters + len(page.text), vision_tokens + len(tokens)
                    setting = tokens.setting or page.setting or typesetter.setting
                    kept += len(setting.kept_text)
                pages += len(some)
                progress(pages)
            if marks := given - (characters - drawn):
                say(
                    f"{source.name}: {marks:,} mark{'s' * (marks != 1)} composed with the letters before them (NFC)"
                    + ("; the stored text has them as they were" if keep_text else "")
                )
    return Packed(pages, characters, vision_tokens, time.perf_counter() - start, kept)


def pack_pages(
    sources: Iterable[tuple[str, Iterable[Page]]],
    output: str | Path,
    reader: Reader,
    mode: str,
    *,
    keep_text: bool = False,
    progress: Progress = lambda pages: None,
    empty: Callable[[int], None] = lambda number: None,
) -> Packed:
    """Encodes pages as they are with `reader` and writes the .fiche file `output`, whole or not at all. Each source has
    a name and at least one page. `mode` says in the manifest how large the pages are.

    With `keep_text` the text of the pages is stored too, as far as it is known. `empty` is called with the number, from
    0, of each page for which the reader makes no tokens. Raises CheckpointError as `pack` does.
    """
    start = time.perf_counter()
    pages = characters = vision_tokens = 0
    with (
        whole_file(Path(output)) as beside,
        FicheWriter(beside, reader.checkpoint, None, mode, "int8", keep_text) as fiche,
    ):
        for name, its_pages in sources:
            fiche.source(name)
            for some in _batches(its_pages, AT_ONCE):
                for page, tokens in zip(some, _each(reader.encode(some), len(some), "tokens"), strict=True):
                    fiche.add(page, tokens)
                    characters, vision_tokens = characters + len(page.text or ""), vision_tokens + len(tokens)
                    if not len(tokens):
                        empty(pages)
                    pages += 1
                progress(pages)
    return Packed(pages, characters, vision_tokens, time.perf_counter() - start)


def unpack(
    file: str | Path,
    reader: Reader | None = None,
    progress: Progress = lambda pages: None,
    say: Callable[[str], None] = lambda line: None,
) -> Unpacked:
    """Reads a .fiche file back. Without a `reader`, what ships reads it. It reads the tokens, or, if weights of ours
    made them that no longer ship, the stored pages, which are then encoded anew; `say` is called with a line about it.

    Raises FicheError for a damaged file, and CheckpointError if the tokens were made by other weights than the
    reader's. For weights of your own, give `reader=load(FILE)`.
    """
    with Fiche(Path(file)) as fiche:
        texts, wrong = [], []
        for number, (text, right) in enumerate(read_back(fiche, reader, progress, say), 1):
            texts.append(text)
            if not right:
                wrong.append(number)
        return Unpacked("".join(texts), len(fiche), wrong)


def read_back(
    fiche: Fiche,
    reader: Reader | None = None,
    progress: Progress = lambda pages: None,
    say: Callable[[str], None] = lambda line: None,
    device: str = "cpu",
    doubt: float = 0.0,
) -> Iterator[tuple[str, bool]]:
    """Yields for each page of a .fiche file the text that was read, and whether it is exactly the text that was packed;
    a page whose text is not known counts as read right, and its text ends with a line end. "[?]" is put behind each
    word of a page that was packed as it is if one of its characters was read less surely than `doubt`. See `unpack` for
    the reader and the errors; `device` is where what ships is loaded."""
    anew = False
    if reader is None:
        reader = maker_of(fiche, device)
        anew = reader.checkpoint != made_by(fiche)
        if anew:
            say(
                f"{fiche.path}: its tokens were made by {made_by(fiche)}, which no longer ships; the stored pages are "
                f"encoded anew by {reader.checkpoint}"
            )
    reader = _checked(reader)
    numbers = iter(range(1, len(fiche) + 1))
    while some := list(islice(numbers, AT_ONCE)):
        try:
            tokens = reader.encode([fiche.page(n) for n in some]) if anew else [fiche.tokens(n) for n in some]
            found = reader.read(tokens)
        except CheckpointError as error:
            raise CheckpointError(f"{fiche.path}: {error}") from error
        for number, reading in zip(some, _each(found, len(some), "readings"), strict=True):
            wanted = fiche.manifest.pages[number - 1].text
            if fiche.setting is None:
                yield f"{reading.marked(doubt)}\n", True
            else:
                yield reading.text, hashlib.sha256(reading.text.encode()).hexdigest() == wanted
        progress(some[-1])


def made_by(fiche: Fiche) -> Checkpoint:
    """The checkpoint that made the tokens of a .fiche file."""
    return Checkpoint(fiche.manifest.checkpoint, fiche.manifest.checkpoint_sha256)


def maker_of(fiche: Fiche, device: str = "cpu") -> Reader:
    """Loads the one of our own readers that made the tokens of a .fiche file. If weights of ours made them that no
    longer ship, it loads the reader that can encode the stored pages anew: nano for typeset pages, nano-pages for pages
    as they are. Raises CheckpointError for tokens of any other weights."""
    maker = made_by(fiche)
    if maker.name in MAKERS:
        reader: Reader = load(maker.name, device)
        if reader.checkpoint == maker:
            return reader
    if maker.name not in OURS:
        raise CheckpointError(
            f"{fiche.path}: tokens of checkpoint {maker} cannot be read by what ships; name the weights that "
            "made them: reader=load(FILE) in Python, --checkpoint FILE or --engine deepseek-ocr with --weights"
        )
    return load("nano-pages" if fiche.setting is None else "nano", device)


def measure(
    text: str,
    reader: Reader | None = None,
    density: str = DEFAULT_DENSITY,
    mode: str = "small",
    layout: Layout = "dense",
    *,
    random: bool = False,
    shrunk_to: int | None = None,
    jpeg: int | None = None,
    token_type: TokenType | None = "int8",
    progress: Progress = lambda pages: None,
) -> Measurement:
    """Typesets a text, encodes it, converts the tokens to `token_type` and back (unless that is None), and reads them,
    all in memory. With `random`, the text is replaced by random strings of its own characters. `reader` is nano by
    default. Raises InputError for an empty text, and UsageError for an unknown name.

    Before encoding, each page may be shrunk to `shrunk_to` pixels of width, and saved as a JPEG of quality `jpeg`.
    """
    reader = _checked(reader)
    _utf8(text)
    text = random_twin(text) if random else text
    typesetter = Typesetter(densities.density(density), densities.mode(mode), layout)
    pages = typesetter.pages([text])
    seconds = {"typeset": 0.0, "encode": 0.0, "read": 0.0}
    read: list[str] = []
    beside: list[str] = []
    vision_tokens = wrong = length = count = kept = 0
    while True:
        with _timed(seconds, "typeset"):
            batch = list(islice(pages, MEASURED_AT_ONCE))
        if not batch:
            break
        pictures = [worn(page, shrunk_to, jpeg) for page in batch]
        with _timed(seconds, "encode"):
            tokens = encoded(reader, pictures, token_type)
        with _timed(seconds, "read"):
            readings = _each(reader.read(tokens), len(batch), "readings")
        for page, one, reading in zip(batch, tokens, readings, strict=True):
            distance, longer = errors(reading.text, page.text)
            setting = one.setting or page.setting or typesetter.setting
            kept += len(setting.kept_text)
            wrong, length = wrong + distance, length + longer - len(setting.kept_text)
            beside.append(text_beside(setting))
        read += [reading.text for reading in readings]
        vision_tokens += sum(map(len, tokens))
        count += len(batch)
        progress(count)
    cost, paid = text_tokens(text), vision_tokens + (text_tokens("".join(beside)) if any(beside) else 0)
    return Measurement(
        characters=len(text),
        text_tokens=cost,
        vision_tokens=vision_tokens,
        ratio=None if random else round(cost / paid, 3),
        precision=round(1 - wrong / max(1, length), 5),
        fox_precision=None if (fox := fox_precision("".join(read), text)) is None else round(fox, 5),
        errors=wrong,
        kept=kept,
        pages=count,
        seconds_typeset=round(seconds["typeset"], 3),
        seconds_encode=round(seconds["encode"], 3),
        seconds_read=round(seconds["read"], 3),
        density=density,
        mode=mode,
        layout=layout,
        shrunk_to=shrunk_to,
        jpeg=jpeg,
        random=random,
        read_by=type(reader).__name__,
        token_type=token_type or "as encoded",
        checkpoint=f"{reader.checkpoint.name} {reader.checkpoint.sha256[:12]}",
    )


def text_beside(setting: Setting) -> str:
    """The text that has to be kept beside a page's tokens, and that costs tokens too: lines that are kept as text, and
    row, place and text of characters that are misread."""
    where = (f"{one.row} {one.at} {one.text}\n" for one in setting.corrected)
    return "".join([*(one.text for one in setting.kept), *where])


def _checked(reader: Reader | None) -> Reader:
    """Returns the reader, or nano if it is None. Raises UsageError for anything else, such as a name."""
    if reader is None:
        return load()
    if not hasattr(reader, "checkpoint"):
        raise UsageError(f"reader={reader!r} is no reader; load one first, as by reader=microfiche.load('nano')")
    return reader


def _utf8(text: str) -> bytes:
    """Returns a text as UTF-8. Raises InputError if it is empty or has half a surrogate pair, which is no character."""
    if not text:
        raise InputError("text: empty")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"text: character {error.start + 1} is half of a surrogate pair, which is none") from error


def _each(returned: Iterable[T], pages: int, what: str) -> list[T]:
    """Returns what a reader returned for each of so many pages. Raises UsageError if there are more or fewer."""
    found = list(returned)
    if len(found) != pages:
        raise UsageError(f"the reader returned {what} of {len(found)} pages for {pages}; it must return those of each")
    return found


def _batches(items: Iterable[T], most: int) -> Iterator[list[T]]:
    every = iter(items)
    while some := list(islice(every, most)):
        yield some


def encoded(reader: Reader, pages: Sequence[TypesetPage], token_type: TokenType | None) -> list[VisionTokens]:
    """The tokens of pages as they come back from a file that stores them as `token_type`; None for as they are made."""
    tokens = _each(reader.encode(pages), len(pages), "tokens")
    if token_type is None:
        return tokens
    return [replace(one, values=dequantise(quantise(one.values, token_type))) for one in tokens]


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] += time.perf_counter() - start
