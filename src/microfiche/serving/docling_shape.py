"""Requests and answers in the shape of docling-serve (its API v1, docling.datamodel.service), so that its clients find
here what they look for. What is asked of docling's own models has no meaning here and is passed over.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microfiche.documents.document import Document
from microfiche.documents.writing import names_for
from microfiche.serving.chat import base64_in
from microfiche.serving.docling_document import docling_document, doctags
from microfiche.serving.faults import Fault
from microfiche.serving.forms import Form, shown_name

FORMATS = ("md", "json", "text", "html", "doctags")
SOURCES = 64  #: documents of one request
#: Engines that docling-serve's options name, and who reads in their place.
ENGINES = {"rapidocr": "rapid", "tesseract": "tesseract", "tesserocr": "tesseract"}


@dataclass(frozen=True)
class Conversion:
    """What is to be converted: `sources` with their names, `formats` to give, the `engine` (None: what suits a page),
    the `pages`, whether figures are `embedded` in the Markdown, and whether the answer is a ZIP archive."""

    sources: list[tuple[str, bytes | str | Path]]
    formats: tuple[str, ...]
    engine: str | None
    pages: str | None
    embedded: bool
    zip: bool


def options_of_form(form: Form) -> dict[str, Any]:
    """The options in the fields of a form, each as JSON has it."""
    options: dict[str, Any] = {}
    for name, values in form.fields.items():
        if name in ("to_formats", "from_formats", "ocr_lang", "page_range"):
            options[name] = [one for value in values for one in _listed(value)]
        else:
            options[name] = _plain(values[-1])
    return options


def _listed(value: str) -> list[Any]:
    found = _plain(value)
    return found if isinstance(found, list) else [_plain(part.strip()) for part in str(found).split(",")]


def _plain(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def checked(options: dict[str, Any], target: Any) -> None:
    """Fault 422 for what a request asks that is not done here, before anything is read."""
    _formats(options)
    _pages(options)
    kind = target.get("kind", "inbody") if isinstance(target, dict) else target or "inbody"
    if kind not in ("inbody", "zip"):
        raise Fault(422, "target_not_supported", f"the target {str(kind)[:40]} needs artifact storage to be "
                    "configured, which this server does not have; there are inbody and zip")  # fmt: skip


def conversion(order: dict[str, Any], folder: Path) -> Conversion:
    """What an order asks: of a form, whose files and options are in the order, or of a JSON body in the folder."""
    options, target = order.get("options", {}), order.get("target")
    sources: list[tuple[str, bytes | str | Path]] = [
        (name, folder / f"upload-{number}") for number, name in enumerate(order.get("names", []), 1)
    ]
    if order.get("body"):
        body = body_of((folder / "body").read_bytes())
        options, target = body.get("options") or {}, body.get("target")
        sources = [_source(one) for one in body["sources"]]
    checked(options, target)
    kind = target.get("kind") if isinstance(target, dict) else target
    return Conversion(
        sources, _formats(options), _engine(options), _pages(options),
        options.get("image_export_mode") == "embedded", kind == "zip",
    )  # fmt: skip


def body_of(data: bytes) -> dict[str, Any]:
    """The JSON body of a request; Fault 400 or 422 where it is none."""
    try:
        found = json.loads(data)
    except ValueError as error:
        raise Fault(400, "bad_json", "the body is not JSON") from error
    sources = found.get("sources") if isinstance(found, dict) else None
    if not isinstance(sources, list) or not all(isinstance(one, dict) for one in sources):
        raise Fault(422, "bad_request", "sources: give a list of objects, of the kind file or http")
    if not 1 <= len(sources) <= SOURCES:
        raise Fault(422, "bad_request", f"{len(sources)} sources; give 1 to {SOURCES}")
    if not isinstance(found.get("options") or {}, dict):
        raise Fault(422, "bad_request", "options: give an object")
    return dict(found)


def is_address(source: dict[str, Any]) -> bool:
    """Whether a source is the address of a file, and not the file."""
    return source.get("kind", "http" if "url" in source else "file") == "http"


def _source(one: dict[str, Any]) -> tuple[str, bytes | str]:
    kind = one.get("kind", "file")
    if is_address(one) and isinstance(one.get("url"), str):
        return shown_name(re.split(r"[?#]", one["url"])[0]), one["url"]
    if kind == "file" and isinstance(one.get("base64_string"), str):
        return shown_name(str(one.get("filename") or "document")), base64_in(one["base64_string"])
    raise Fault(
        422, "bad_request", f"a source of the kind {str(kind)[:40]!r} is not understood; there are file and http"
    )


def _formats(options: dict[str, Any]) -> tuple[str, ...]:
    given = options.get("to_formats") or ["md"]
    if not isinstance(given, list) or not all(one in FORMATS for one in given):
        raise Fault(422, "format_not_supported", f"to_formats: {str(given)[:80]}; there are {', '.join(FORMATS)}")
    return tuple(given)


def _pages(options: dict[str, Any]) -> str | None:
    given = options.get("page_range")
    if given is None:
        return None
    whole = isinstance(given, list) and len(given) == 2 and all(type(one) is int for one in given)
    if not whole or not 1 <= given[0] <= given[1]:
        raise Fault(422, "bad_request", f"page_range: give the first and the last page, not {str(given)[:40]}")
    return None if given[0] == 1 and given[1] > 1_000_000 else f"{given[0]}-{given[1]}"


def _engine(options: dict[str, Any]) -> str | None:
    if options.get("do_ocr") is False:
        return "text"
    if options.get("force_ocr") is True:
        return ENGINES.get(str(options.get("ocr_engine")), "rapid")
    return None


# --- answers ---


def answer(
    name: str, document: Document | None, error: str, wanted: Conversion, seconds: float, folder: Path
) -> dict[str, Any]:
    """docling-serve's answer for one document, or for one that could not be read; `folder` holds its figures."""
    content: dict[str, Any] = dict.fromkeys(
        ("md_content", "json_content", "html_content", "text_content", "doctags_content")
    )
    errors = [_error(error)] if error else []
    status = "failure"
    if document is not None:
        for form in wanted.formats:
            content[f"{form}_content"] = _content(document, form, wanted, folder)
        unread = [page for page in document.pages if page.status != "ok"]
        errors += [_error(f"page {page.number} {page.status}: {page.reason}") for page in unread]
        failed = len(document.failed) == len(document.pages)
        status = "failure" if failed else "partial_success" if unread else "success"
    return {"document": {"filename": name, **content}, "status": status, "errors": errors,
            "processing_time": round(seconds, 3), "timings": {}}  # fmt: skip


def _error(message: str) -> dict[str, str]:
    return {"component_type": "document_backend", "module_name": "microfiche", "error_message": message}


def _content(document: Document, form: str, wanted: Conversion, folder: Path) -> Any:
    if form in ("json", "doctags"):
        whole = docling_document(document)
        return whole if form == "json" else doctags(whole)
    text = document.plain() if form == "text" else document.markdown()
    if wanted.embedded and form != "text":
        text = re.sub(r"\]\((figures/[\w.-]+\.png)\)", lambda found: f"]({_embedded(folder, found[1])})", text)
    return _html(text) if form == "html" else text


def _embedded(folder: Path, figure: str) -> str:
    data = (folder / "document" / figure).read_bytes()
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _html(markdown: str) -> str:
    """Markdown of a document, in which nothing of the page is markup, as an HTML page."""
    from markdown_it import MarkdownIt  # rich, which the command line is written with, needs it

    body = MarkdownIt("commonmark").enable("table").render(markdown)
    return f'<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"></head>\n<body>\n{body}</body>\n</html>\n'


def zipped(path: Path, answers: list[dict[str, Any]]) -> None:
    """Writes the contents of answers as the files of a ZIP archive."""
    names = names_for([one["document"]["filename"] for one in answers])
    suffixes = {"md_content": "md", "json_content": "json", "text_content": "txt", "html_content": "html",
                "doctags_content": "doctags.txt"}  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, one in zip(names, answers, strict=True):
            for key, suffix in suffixes.items():
                content = one["document"][key]
                if content is not None:
                    text = content if isinstance(content, str) else json.dumps(content)
                    archive.writestr(f"{name}.{suffix}", text)
            if one["errors"]:
                archive.writestr(f"{name}.errors.json", json.dumps(one["errors"]))
