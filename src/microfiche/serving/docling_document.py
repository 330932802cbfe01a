"""A Document as docling_core's DoclingDocument in JSON (its schema 1.x), which docling's clients and loaders take, and
that as DocTags, the tagged text in which docling's own models write pages."""

from __future__ import annotations

import re
from typing import Any

from microfiche.documents.document import Block, Document, PageRead
from microfiche.documents.table_markup import words

VERSION = "1.3.0"  #: of the schema; what came after it is not used
#: docling's labels of texts, by kinds of blocks.
LABELS = {"title": "section_header", "text": "text", "code": "code", "formula": "formula", "caption": "caption",
          "footnote": "footnote", "header": "page_header", "footer": "page_footer"}  # fmt: skip
ITEM = re.compile(r"\s*([-*+]|\d{1,9}[.)])[ \t]+")
BODY = {"$ref": "#/body"}
FULL = 500  #: DocTags' places on a page, across and down
TAG = re.compile(r"<(?=/?[a-z_]+(?:_\d+)?/?>)")


def docling_document(document: Document) -> dict[str, Any]:
    """The DoclingDocument of a document, with the place of each block; what is hidden on a page is left out."""
    made = _Made(document)
    for page in document.pages:
        for block in page.blocks:
            if block.kind != "hidden" and (block.text or block.kind == "figure"):
                made.add(block, page)
    return made.whole


class _Made:
    def __init__(self, document: Document) -> None:
        self.body: dict[str, Any] = {
            "self_ref": "#/body",
            "children": [],
            "content_layer": "body",
            "name": "_root_",
            "label": "unspecified",
        }
        self.whole: dict[str, Any] = {
            "schema_name": "DoclingDocument", "version": VERSION,
            "name": document.name.rpartition(".")[0] or "document",
            "origin": {
                "mimetype": "application/pdf", "binary_hash": int(document.sha256[:16], 16), "filename": document.name},
            "furniture": {"self_ref": "#/furniture", "children": [], "content_layer": "furniture", "name": "_root_",
                          "label": "unspecified"},
            "body": self.body, "groups": [], "texts": [], "pictures": [], "tables": [], "key_value_items": [],
            "form_items": [],
            "pages": {
                str(page.number): {"size": {"width": float(page.width), "height": float(page.height)},
                                   "page_no": page.number}
                for page in document.pages},
        }  # fmt: skip

    def add(self, block: Block, page: PageRead) -> None:
        text = block.plain()
        if block.kind == "table":
            self._put(
                "tables",
                block,
                page,
                text,
                {
                    "label": "table",
                    "captions": [],
                    "references": [],
                    "footnotes": [],
                    "data": _grid(block),
                    "annotations": [],
                },
            )
        elif block.kind == "figure":
            self._put(
                "pictures",
                block,
                page,
                text,
                {"label": "picture", "captions": [], "references": [], "footnotes": [], "annotations": []},
            )
        elif block.kind == "list":
            self._list(block, page)
        else:
            more: dict[str, Any] = {"label": LABELS[block.kind], "orig": text, "text": text}
            if block.kind == "title":
                more |= {"label": "title"} if (block.level or 2) == 1 else {"level": max(1, (block.level or 2) - 1)}
            if block.kind == "code":
                more |= {"captions": [], "references": [], "footnotes": [], "code_language": "unknown"}
            if block.kind in ("header", "footer"):
                more["content_layer"] = "furniture"
            self._put("texts", block, page, text, more)

    def _list(self, block: Block, page: PageRead) -> None:
        reference = f"#/groups/{len(self.whole['groups'])}"
        group: dict[str, Any] = {"self_ref": reference, "parent": BODY, "children": [], "content_layer": "body",
                                 "name": "list", "label": "list"}  # fmt: skip
        self.whole["groups"].append(group)
        self.body["children"].append({"$ref": reference})
        for line in block.text.split("\n"):
            mark = ITEM.match(line)
            text = Block(kind="text", box=None, text=line[mark.end() :] if mark else line).plain()
            marker = mark[1] if mark else "-"
            self._put("texts", block, page, text, {"label": "list_item", "orig": text, "text": text, "marker": marker,
                                                   "enumerated": marker[0].isdigit()}, group)  # fmt: skip

    def _put(
        self, where: str, block: Block, page: PageRead, text: str, more: dict[str, Any],
        parent: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        parent = parent or self.body
        reference = f"#/{where}/{len(self.whole[where])}"
        prov = []
        if block.box is not None:
            left, top, right, bottom = block.box
            box = {"l": left, "t": top, "r": right, "b": bottom, "coord_origin": "TOPLEFT"}
            prov = [{"page_no": page.number, "bbox": box, "charspan": [0, len(text)]}]
        self.whole[where].append({
            "self_ref": reference, "parent": {"$ref": parent["self_ref"]}, "children": [], "content_layer": "body",
            "prov": prov, **more,
        })  # fmt: skip
        parent["children"].append({"$ref": reference})


def _grid(block: Block) -> dict[str, Any]:
    """The cells of a table; one that spans several stands in its first."""
    rows = words(block.text)
    width = max(map(len, rows), default=0)
    cells = [
        {"row_span": 1, "col_span": 1, "start_row_offset_idx": r, "end_row_offset_idx": r + 1,
         "start_col_offset_idx": c, "end_col_offset_idx": c + 1, "text": row[c] if c < len(row) else "",
         "column_header": r == 0, "row_header": False, "row_section": False}
        for r, row in enumerate(rows) for c in range(width)
    ]  # fmt: skip
    return {"table_cells": cells, "num_rows": len(rows), "num_cols": width}


def doctags(whole: dict[str, Any]) -> str:
    """The DocTags of a DoclingDocument that `docling_document` made, as docling_core exports them. What stands on a
    page and would be a tag gets a space after its bracket."""
    parts: list[str] = []
    page = None
    for child in whole["body"]["children"]:
        node = _node(whole, child)
        its = [_node(whole, one) for one in node["children"]] if child["$ref"].startswith("#/groups/") else [node]
        on = next((one["prov"][0]["page_no"] for one in its if one["prov"]), page)
        if page is not None and on != page:
            parts.append("<page_break>")
        page = on
        if its == [node]:
            parts.append(_tagged(whole, node))
            continue
        items = "\n".join(f"<list_item>{_place(whole, one)}{_untagged(one['text'].strip())}</list_item>" for one in its)
        kind = "ordered_list" if its and its[0]["enumerated"] else "unordered_list"
        parts.append(f"<{kind}>{items}\n</{kind}>" if its else "")
    text = "\n".join(filter(None, parts))
    return f"<doctag>{text}\n</doctag>"


def _node(whole: dict[str, Any], reference: dict[str, str]) -> dict[str, Any]:
    _, where, number = reference["$ref"].split("/")
    found: dict[str, Any] = whole[where][int(number)]
    return found


def _tagged(whole: dict[str, Any], node: dict[str, Any]) -> str:
    tag, place = node["label"], _place(whole, node)
    if tag == "table":
        return f"<otsl>{place}{_cells(node['data'])}</otsl>"
    if tag == "picture":
        return f"<picture>{place}</picture>" if place else ""
    text = _untagged(node["text"] if tag == "code" else node["text"].strip())
    if tag == "code":
        text = f"<_{node['code_language']}_>{text}"
    if tag == "section_header":
        tag = f"section_header_level_{node['level']}"
    return f"<{tag}>{place}{text}</{tag}>"


def _cells(table: dict[str, Any]) -> str:
    """The rows of a table in OTSL."""
    said = []
    for cell in table["table_cells"]:
        kind = "ecel" if not cell["text"] else "ched" if cell["column_header"] else "fcel"
        ends = cell["end_col_offset_idx"] == table["num_cols"]
        said.append(f"<{kind}>{_untagged(cell['text'].strip())}{'<nl>' if ends else ''}")
    return "".join(said)


def _place(whole: dict[str, Any], node: dict[str, Any]) -> str:
    """The tags of a node's place, in FULL parts of its page."""
    said = []
    for prov in node["prov"]:
        size, box = whole["pages"][str(prov["page_no"])]["size"], prov["bbox"]
        for side, of in (("l", "width"), ("t", "height"), ("r", "width"), ("b", "height")):
            said.append(f"<loc_{min(FULL - 1, max(0, round(FULL * (box[side] / max(1.0, size[of])))))}>")
    return "".join(said)


def _untagged(text: str) -> str:
    return TAG.sub("< ", text)
