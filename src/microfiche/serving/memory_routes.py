"""Memories in the folder that was named at the start, to be looked at: nothing is written, and nothing is uploaded.

A page is named by its number in the memory, and the page of a chat that may still grow by `open-` and its place among
those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from microfiche.errors import MicroficheError, UsageError
from microfiche.files import plain
from microfiche.memory import Memory
from microfiche.memory.archive import OpenPage
from microfiche.memory.messages import as_read, legible
from microfiche.memory.paper import faded_height, png
from microfiche.memory.records import PageRecord, Place
from microfiche.memory.words import words_of
from microfiche.serving.faults import Fault

LISTED = 5_000  #: pages of a memory that are listed, the newest
QUERY, HITS = 1_000, 100  #: characters of a query, and passages that are found
BUSY = 2.0  #: seconds that a memory is waited for which somebody writes to
router = APIRouter(tags=["memories"])


def memories_in(folder: Path | None) -> dict[str, Path]:
    """The memories in a folder, by their names; bytes of a name that are not UTF-8 are escaped."""
    if folder is None:
        return {}
    return {plain(path.stem): path for path in sorted(folder.glob("*.memory")) if path.is_file()}


@contextmanager
def _memory(request: Request, name: str) -> Iterator[Memory]:
    """The memory of a name, open for reading alone. Fault 404 where there is none."""
    found = memories_in(request.app.state.server.settings.memories)
    if name not in found:
        raise Fault(404, "not_found", "there is no memory of this name")
    try:
        with Memory(found[name], read_only=True, timeout=BUSY) as memory:
            yield memory
    except MicroficheError as error:
        raise Fault.of(error, str(found[name].parent)) from error
    except Exception as error:  # a file that is a memory but for what stands in it
        raise Fault(422, "unreadable", f"{name}.memory: damaged ({type(error).__name__})") from error


@router.get("/v1/memories", summary="The memories")
def listed(request: Request) -> dict[str, Any]:
    """Their names, how large they are, and how many texts and pages they hold."""
    folder = request.app.state.server.settings.memories
    every = []
    for name, path in memories_in(folder).items():
        one: dict[str, Any] = {"name": name, "bytes": None}
        try:
            one["bytes"] = path.stat().st_size
            with Memory(path, read_only=True, timeout=BUSY) as memory, memory.reading():
                one |= {"sources": len(memory.names()), "pages": len(memory.records()) + len(memory.open_pages())}
        except Exception as error:  # one that is damaged hides no other
            one |= {"sources": None, "pages": None, "error": Fault.of(error, str(folder)).body["error"]}
        every.append(one)
    return {"memories": every}


@router.get("/v1/memories/{name}", response_model=None, summary="What a memory holds, text by text and page by page")
def held(request: Request, name: str) -> JSONResponse:
    """`level` is the width in px to which a page has faded; of one that is 0, nothing is left to be seen."""
    with _memory(request, name) as memory, memory.reading():
        records, opened = memory.records(), memory.open_pages()
        shown = records[-LISTED:]
        places = memory.places([record.id for record in shown])
        sources: dict[tuple[str, int], dict[str, Any]] = {}
        for record in shown:
            if (place := places.get(record.id)) is not None:
                source = _source(sources, place.source, place.kind, place.version)
                source["characters"] += record.characters
                source["added"] = source["added"] or _date(record.since_time)
                source["pages"].append(_page(record, place))
        for number, page in enumerate(opened, 1):
            source = _source(sources, page.source, "chat", 1)
            source["characters"] += len(page.text)
            image = memory.set_open(page).page.image
            source["pages"].append({
                "key": f"open-{number}", "number": page.number, "of": page.number, "width": image.shape[1],
                "height": image.shape[0], "level": image.shape[1], "characters": len(page.text),
            })  # fmt: skip
        return JSONResponse({"name": name, "sources": list(sources.values()), "left_out": len(records) - len(shown)})


def _source(sources: dict[tuple[str, int], dict[str, Any]], name: str, kind: str, version: int) -> dict[str, Any]:
    newest = next((one for key, one in sources.items() if key[0] == name and kind == "chat"), None)
    return newest or sources.setdefault((name, version), {
        "source": name, "kind": kind, "version": version, "characters": 0, "added": None, "pages": []})  # fmt: skip


def _page(record: PageRecord, place: Place) -> dict[str, Any]:
    return {
        "key": str(record.id), "number": place.number, "of": place.of, "width": record.level or record.side,
        "height": faded_height(record.height, record.side, record.level or record.side), "level": record.level,
        "characters": record.characters,
    }  # fmt: skip


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@router.get("/v1/memories/{name}/pages/{key}", summary="The picture of a page as it is now")
def picture(request: Request, name: str, key: str) -> Response:
    """PNG; 404 where the page has faded away."""
    with _memory(request, name) as memory:
        page = _found(memory, key)
        if isinstance(page, OpenPage):
            return Response(png(memory.set_open(page).page.image), media_type="image/png")
        if not page.level:
            raise Fault(404, "faded", "the page has faded away; its text is kept")
        return Response(memory.png(page, page.level), media_type="image/png")


@router.get("/v1/memories/{name}/pages/{key}/text", response_model=None, summary="The exact text of a page")
def text(request: Request, name: str, key: str) -> JSONResponse:
    """The text as it was added."""
    with _memory(request, name) as memory:
        page = _found(memory, key)
        if isinstance(page, OpenPage):
            return JSONResponse({"text": legible(page.text)})
        return JSONResponse({"text": as_read(memory.text(page), page.layout)})


@router.get("/v1/memories/{name}/search", response_model=None,
            summary="The passages of a memory that say most of a query's words")  # fmt: skip
def search(request: Request, name: str, q: str = "", limit: int = 20) -> JSONResponse:
    """Exactly as they were added, with page and line."""
    if not words_of(q) or len(q) > QUERY or not 1 <= limit <= HITS:
        raise Fault(400, "bad_request", f"q: 1 to {QUERY:,} characters with at least one word; limit: 1 to {HITS}")
    with _memory(request, name) as memory:
        opened = {page.source: f"open-{number}" for number, page in enumerate(memory.open_pages(), 1)}
        return JSONResponse({"hits": [
            {"source": hit.source, "key": opened.get(hit.source, "") if hit.page is None else str(hit.page),
             "page": hit.number, "line": hit.line, "text": hit.text}
            for hit in memory.search(q, limit)
        ]})  # fmt: skip


def _found(memory: Memory, key: str) -> PageRecord | OpenPage:
    """The page of a key; Fault 404 where there is none."""
    try:
        if found := re.fullmatch(r"open-([0-9]{1,6})", key):
            return memory.open_pages()[int(found[1]) - 1] if int(found[1]) else _none()
        if re.fullmatch(r"[0-9]{1,9}", key):
            return memory.record(int(key))
    except (IndexError, UsageError):
        pass
    return _none()


def _none() -> PageRecord:
    raise Fault(404, "not_found", "there is no such page in this memory")
