"""Each format of files that hold their own text: their bytes in, pages of blocks out, and what of them is lost.

It opens no other file and no address: pictures, linked or stored, are counted and left. It knows nothing of processes.
"""

from __future__ import annotations

import codecs
import csv
import io
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from microfiche.documents.document import OWN, Block, PageRead
from microfiche.documents.inline import BREAK, NONCHARACTERS, markdown
from microfiche.documents.texts.hypertext import Hypertext, Square, table_of
from microfiche.errors import InputError
from microfiche.files import FREE
from microfiche.limits import Limits

CELLS = 1 << 22  #: of the table of a sheet
DAMAGED = "damaged: it cannot be opened"
ENTITY = re.compile(rb"<!ENTITY", re.IGNORECASE)
FRONT = re.compile(r"---\n(.*?)\n(?:---|\.\.\.)(?:\n|\Z)", re.DOTALL)  #: what some programs write above Markdown
CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE)
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
IGNORED = re.compile(r"An unrecognised element was ignored: (?:\{.*\})?(?:\w+:)?(\w+)")
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LOST_IN_WORD = {"oMath": "formula", "oMathPara": "formula"}  #: what its elements are called that are not read
Lost = Counter[str]
FIRST_ROWS = 50  #: of a table with separators, which say what these are
GUESSED = "encoding"  #: stands among what is lost where an encoding was guessed


def pages_of(kind: str, data: bytes, limits: Limits) -> list[PageRead]:
    """The pages of a file of this kind. Raises InputError, without the file's name, for one that cannot be opened, and
    for more pages, or more in an archive, than the limits allow."""
    reader = READERS[kind]
    if kind in ZIPPED:
        with _archive(data, limits) as archive:
            found = reader(archive if kind == "epub" else data, limits)
    else:
        found = reader(data, limits)
    if len(found) > limits.pages:
        raise InputError(f"{len(found):,} pages; the limit pages is {limits.pages:,}")
    return [_page(number, blocks, lost) for number, (blocks, lost) in enumerate(found, 1)]


def _page(number: int, blocks: list[Block], lost: Lost) -> PageRead:
    plural = {"formula without a stored value": "formulas without a stored value"}
    guessed = lost.pop(GUESSED, 0) * "its encoding is not declared and was taken for Windows-1252"
    said = ", ".join(f"{n} {plural.get(what, what + 's') if n > 1 else what}" for what, n in sorted(lost.items()) if n)
    why = "; ".join(filter(None, (said and f"not read: {said}", guessed)))
    return PageRead(
        number=number, engine="text", chosen=OWN, blocks=blocks,
        status="partial" if why else "ok", reason=why,
    )  # fmt: skip


Found = list[tuple[list[Block], Lost]]


def _archive(data: bytes, limits: Limits) -> zipfile.ZipFile:
    """The archive in some bytes, if it is no larger than allowed and declares no entities, which could grow for ever
    or name other files."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
        size, most = sum(entry.file_size for entry in entries), max(FREE, limits.ratio * len(data))
        if size > most:
            raise InputError(f"unpacks to {size:,} bytes, over {most:,}; the limit ratio is {limits.ratio:,}")
        for entry in entries:
            if entry.flag_bits & 1:
                raise InputError("encrypted: it has a password")
            marked_up = entry.filename.lower().endswith((".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx"))
            if marked_up and ENTITY.search(archive.read(entry).replace(b"\0", b"")):
                raise InputError(f"declares entities in {entry.filename!r}, which are not read")
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(DAMAGED) from error
    return archive


def text_in(data: bytes, declared: str = "") -> tuple[str, Lost]:
    """The text of some bytes: by its byte order mark, in the `declared` encoding, in UTF-8, or in Windows-1252 if it is
    none of these, which then counts among what is lost. Raises InputError for what is no text."""
    names = [name for mark, name in MARKS if data.startswith(mark)] or [declared, "utf-8"]
    for name in filter(None, names):
        try:
            text = data.decode(name)
        except (UnicodeError, LookupError):
            continue
        if "\0" in text:
            raise InputError(f"NUL at character {text.index(chr(0))}; this is not a text file")
        return text.replace("\r\n", "\n").replace("\r", "\n"), Lost()
    if b"\0" in data:
        raise InputError("not a text file")
    return data.decode("cp1252", "replace").replace("\r\n", "\n"), Lost({GUESSED: 1})


def _blocks(source: str, formulas: bool = False) -> tuple[list[Block], Lost]:
    parser = Hypertext(formulas)
    parser.feed(source)
    parser.close()
    return parser.blocks, parser.lost


def _markdown(data: bytes, limits: Limits) -> Found:
    from markdown_it import MarkdownIt

    text, lost = text_in(data)
    front = FRONT.match(text)
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    blocks, lost_in = _blocks(made.render(text[front.end() :] if front else text), True)
    head = [Block(kind="code", box=None, text=front[1])] if front and front[1].strip() else []
    return [(head + blocks, lost + lost_in)]


def _plain(data: bytes, limits: Limits) -> Found:
    """Paragraphs of a text, line by line; one whose columns are aligned by spaces stays as it is, like code."""
    text, lost = text_in(data)
    blocks = []
    for part in re.split(r"\n[ \t]*(?:\n[ \t]*)+", NONCHARACTERS.sub("", text).strip("\n")):
        lines = [line.rstrip() for line in part.split("\n")]
        if any(re.search(r"^[ \t]|\S(?: {2,}|\t)\S", line) for line in lines) and len(lines) > 1:
            blocks.append(Block(kind="code", box=None, text="\n".join(lines).expandtabs()))
        elif shown := markdown(BREAK.join(line.strip() for line in lines)):
            blocks.append(Block(kind="text", box=None, text=shown))
    return [(blocks, lost)]


def _html(data: bytes, limits: Limits) -> Found:
    declared = CHARSET.search(data[:2048])
    text, lost = text_in(data, declared[1].decode() if declared else "")
    blocks, lost_in = _blocks(text)
    return [(blocks, lost + lost_in)]


def _csv(data: bytes, limits: Limits) -> Found:
    text, lost = text_in(data)
    csv.field_size_limit(1 << 27)
    try:
        rows = [[_square(value) for value in row] for row in _rows(text, _separator(text)) if row]
    except csv.Error as error:
        raise InputError(f"not a table with separators: {error}") from error
    return [(_tables(rows), lost)]


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _separator(text: str) -> str:
    """The separator that gives most of the first rows one and the same number of cells, more than one; of several that
    do, the comma last, as it also stands within numbers. A comma if none does."""

    def fit(separator: str) -> float:
        widths = [len(row) for row in islice(_rows(text[: 1 << 16], separator), FIRST_ROWS) if row]
        width, rows = Counter(widths).most_common(1)[0] if widths else (1, 0)
        return rows / len(widths) if width > 1 else 0

    found = max("\t;|,", key=fit)
    return found if fit(found) else ","


def _square(value: str) -> Square:
    return Square(BREAK.join(NONCHARACTERS.sub("", value).splitlines()))


def _tables(rows: list[list[Square]]) -> list[Block]:
    text = table_of(rows)
    return [Block(kind="table", box=None, text=text)] if text else []


def _epub(archive: Any, limits: Limits) -> Found:
    """The parts of a book in the order in which they are read."""
    try:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        package = next(one.get("full-path", "") for one in container.iter() if one.tag.endswith("}rootfile"))
        tree = ElementTree.fromstring(archive.read(package))
        parts = {one.get("id"): one for one in tree.iter() if one.tag.endswith("}item")}
        order = [one.get("idref") for one in tree.iter() if one.tag.endswith("}itemref")]
        found: Found = []
        for part in (parts[name] for name in order if name in parts):
            if "html" not in (part.get("media-type") or ""):
                found.append(([], Lost({"drawing": 1})))
                continue
            place = posixpath.normpath(posixpath.join(posixpath.dirname(package), unquote(part.get("href") or "")))
            found += _html(archive.read(place), limits)
    except (KeyError, StopIteration, ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise InputError(DAMAGED) from error
    return found


def _docx(data: bytes, limits: Limits) -> Found:
    import mammoth

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        above, below = (list(_furniture(archive, kind)) for kind in ("header", "footer"))
        body = archive.read("word/document.xml") if "word/document.xml" in archive.namelist() else b""
    alone = mammoth.images.img_element(lambda image: {"src": "", "alt": image.alt_text or ""})
    made = mammoth.convert_to_html(io.BytesIO(data), convert_image=alone)
    blocks, lost = _blocks(made.value)
    for message in made.messages:
        if ignored := IGNORED.match(message.message):
            lost[LOST_IN_WORD.get(ignored[1], f"element {ignored[1]}")] += 1
    lost["formula"] = len(re.findall(rb"<m:oMath[ >]", body)) or lost["formula"]
    lost["chart"] += len(re.findall(rb"<c:chart[ >]", body))
    lost["diagram"] += len(re.findall(rb"<dgm:relIds[ >]", body))
    return [([*above, *blocks, *below], lost)]


def _furniture(archive: zipfile.ZipFile, kind: str) -> Iterator[Block]:
    """The running heads or feet of a Word document, each once."""
    seen = set()
    for name in sorted(archive.namelist()):
        if re.fullmatch(rf"word/{kind}\d*\.xml", name):
            for paragraph in ElementTree.fromstring(archive.read(name)).iter(f"{WORD}p"):
                words = "".join(one.text or "" for one in paragraph.iter(f"{WORD}t")).strip()
                if words and words not in seen:
                    seen.add(words)
                    yield Block(kind="header" if kind == "header" else "footer", box=None, text=markdown(words))


def _pptx(data: bytes, limits: Limits) -> Found:
    from pptx import Presentation

    found: Found = []
    for slide in Presentation(io.BytesIO(data)).slides:
        lost, blocks = Lost(), []
        for shape in _in_order(slide.shapes):
            blocks += _shape(shape, lost, shape == slide.shapes.title)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            for paragraph in slide.notes_slide.notes_text_frame.paragraphs:
                if words := _run(paragraph):
                    blocks.append(Block(kind="footnote", box=None, text=words))
        if slide._element.get("show") == "0":
            blocks = [block.model_copy(update={"kind": "hidden"}) for block in blocks]
        found.append((blocks, lost))
    return found


def _in_order(shapes: Any) -> Iterator[Any]:
    """The shapes of a slide from the top down, those in a group in its place."""
    for shape in sorted(shapes, key=lambda one: (one.top or 0, one.left or 0)):
        if hasattr(shape, "shapes"):
            yield from _in_order(shape.shapes)
        else:
            yield shape


def _shape(shape: Any, lost: Lost, is_title: bool) -> list[Block]:
    if getattr(shape, "has_table", False) and shape.has_table:
        rows = [[Square(BREAK.join(_raw(p) for p in one.text_frame.paragraphs), one.span_width, one.span_height)
                 for one in row.cells if not one.is_spanned] for row in shape.table.rows]  # fmt: skip
        return _tables(rows)
    if getattr(shape, "has_text_frame", False) and shape.has_text_frame:
        paragraphs = [p for p in shape.text_frame.paragraphs if _run(p)]
        if is_title:
            words = markdown(" ".join(" ".join(_raw(p) for p in paragraphs).replace(BREAK, " ").split()))
            return [Block(kind="title", box=None, text=words, level=1)] if words else []
        if len(paragraphs) > 1 and shape.is_placeholder:
            lines = [f"{'   ' * p.level}- {_run(p)}" for p in paragraphs]
            return [Block(kind="list", box=None, text="\n".join(lines))]
        return [Block(kind="text", box=None, text=_run(p)) for p in paragraphs]
    if getattr(shape, "has_chart", False) and shape.has_chart:
        lost["chart"] += 1
        return []
    element = shape._element.tag.rpartition("}")[2]
    if element == "pic":
        lost["picture"] += 1
        told = shape._element._nvXxPr.cNvPr.get("descr") or ""
        return [Block(kind="figure", box=None, text=markdown(" ".join(NONCHARACTERS.sub("", told).split())))]
    if element == "graphicFrame":
        lost["diagram"] += 1
    return []


def _raw(paragraph: Any) -> str:
    return NONCHARACTERS.sub("", paragraph.text).replace("\v", BREAK).strip()


def _run(paragraph: Any) -> str:
    return markdown(_raw(paragraph))


def _xlsx(data: bytes, limits: Limits) -> Found:
    from openpyxl import load_workbook

    book, with_formulas = load_workbook(io.BytesIO(data), data_only=True), load_workbook(io.BytesIO(data))
    found: Found = []
    for sheet in book.worksheets:
        lost = Lost({"chart": len(sheet._charts), "picture": len(sheet._images)})
        values = {place: words for place, one in sheet._cells.items() if (words := _value(one))}
        formulas = (place for place, one in with_formulas[sheet.title]._cells.items() if one.data_type == "f")
        lost["formula without a stored value"] = sum(place not in values for place in formulas)
        title = Block(kind="title", box=None, text=markdown(sheet.title), level=2)
        blocks = [title, *_tables(_grid(values, sheet.merged_cells.ranges, sheet.title))]
        if sheet.sheet_state != "visible":
            blocks = [block.model_copy(update={"kind": "hidden"}) for block in blocks]
        found.append((blocks, lost))
    for sheet in book.chartsheets:
        found.append(([Block(kind="title", box=None, text=markdown(sheet.title), level=2)], Lost({"chart": 1})))
    return found


def _grid(values: dict[tuple[int, int], str], merged: Sequence[Any], name: str) -> list[list[Square]]:
    """The rows of a sheet without those rows and columns that hold nothing; a merged cell is one square.

    Raises InputError, with the sheet's `name`, for more than CELLS.
    """
    rows, columns = (sorted({place[i] for place in values}) for i in (0, 1))
    if len(rows) * len(columns) > CELLS:
        raise InputError(f"the sheet {name!r} spreads over {len(rows) * len(columns):,} cells; the limit is {CELLS:,}")
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    covered: set[tuple[int, int]] = set()
    for one in merged:
        down = [r for r in rows if one.min_row <= r <= one.max_row]
        across = [c for c in columns if one.min_col <= c <= one.max_col]
        if down and across:
            covered.update((r, c) for r in down for c in across)
            spans[down[0], across[0]] = len(across), len(down)
    grid = []
    for r in rows:
        squares = []
        for c in columns:
            if (r, c) in covered and (r, c) not in spans:
                continue
            square = _square(values.get((r, c), ""))
            square.across, square.down = spans.get((r, c), (1, 1))
            squares.append(square)
        grid.append(squares)
    return grid


def _value(one: Any) -> str:
    """A cell's value as text: a date as ISO 8601 writes it, a share in per cent where it is shown so."""
    value = one.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if hasattr(value, "isoformat"):
        return value.isoformat(" ").removesuffix(" 00:00:00") if hasattr(value, "hour") and hasattr(
            value, "year") else value.isoformat()  # fmt: skip
    if isinstance(value, float | int):
        if percent := re.search(r"0(?:\.(0+))?%", one.number_format or ""):
            return f"{100 * value:.{len(percent[1] or '')}f}%"
        return repr(int(value) if float(value).is_integer() and abs(value) < 1e15 else value)
    return str(value)


READERS: dict[str, Callable[[Any, Limits], Found]] = {
    "markdown": _markdown, "plain": _plain, "html": _html, "csv": _csv, "epub": _epub, "docx": _docx, "pptx": _pptx,
    "xlsx": _xlsx,
}  # fmt: skip
ZIPPED = ("epub", "docx", "pptx", "xlsx")
