"""The codec over HTTP: a text set and read back, files packed and opened, tokens that travel; and memories."""

from __future__ import annotations

import base64
import glob
import io
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doorway import Door, Model, door, pdf, png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

import microfiche
from microfiche.errors import FicheError
from microfiche.limits import Limits
from microfiche.memory import Memory
from microfiche.precision import text_tokens
from microfiche.serving.settings import Scans
from microfiche.serving.tokens_file import stored, tokens_in

TEXT = "It was the best of times, it was the worst of times; 1859.\nA second line, with a snowman: \u2603."


def test_a_text_is_set_and_read_back(serve: Door) -> None:
    found = serve.client.post("/v1/typeset", json={"text": TEXT, "density": "7x13"}).json()
    (page,) = found["pages"]
    assert found["density"] == "7x13" and found["pages_in_all"] == 1 and found["undrawn"] == []
    assert found["characters"] == len(TEXT) and found["text_tokens"] == text_tokens(TEXT) == page["text_tokens"]
    assert found["vision_tokens"] == page["vision_tokens"] == len(page["places"]) == len(page["squares"])
    assert found["ratio"] == pytest.approx(found["text_tokens"] / (found["vision_tokens"] + found["kept_tokens"]), 1e-3)
    image = Image.open(io.BytesIO(base64.b64decode(page["png"].partition(",")[2])))
    assert image.size == (page["width"], page["height"]) and page["width"] == 640
    assert "".join(page["squares"]).count("t") == TEXT.count("t"), "every character stands in a square"
    assert page["text"] == TEXT and sum(len(truth) for *_, truth in page["errors"]) + len(page["errors"]) < 9
    read = page["read"]
    for start, end, truth in reversed(page["errors"]):
        read = read[:start] + truth + read[end:]
    assert read == TEXT and page["precision"] == found["precision"] > 0.9


def test_what_cannot_be_drawn_is_named_and_only_the_first_pages_are_shown(serve: Door) -> None:
    text = "many words on many pages \U0001f600 " * 650
    found = serve.client.post("/v1/typeset", json={"text": text, "density": "7x13"}).json()
    assert found["undrawn"] == ["\U0001f600"] and found["pages_in_all"] > len(found["pages"]) == 3
    assert "?" in found["pages"][0]["text"]


@pytest.mark.parametrize(("sent", "status", "code"), [
    (b"{", 400, "bad_json"), (b"[]", 400, "bad_request"), (b'{"text": 5}', 400, "bad_request"),
    (b'{"text": ""}', 422, "unreadable"), (b'{"text": "a", "density": "9x9"}', 400, "bad_request"),
    (b'{"text": "a", "density": 9}', 400, "bad_request"), (b'{"text": "' + b"a" * 100_001 + b'"}', 413, "too_large"),
    (b'{"text": "a\\u0000b"}', 422, "unreadable"), (b"[" * 100_000, 400, "nested_too_deeply"),
])  # fmt: skip
def test_what_cannot_be_set_is_typed(serve: Door, sent: bytes, status: int, code: str) -> None:
    answer = serve.client.post("/v1/typeset", content=sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert serve.client.post("/v1/typeset", content=b'{"text": "a\\ud800b"}').status_code == 200 and serve.empties()


def test_tokens_of_a_text_travel_and_are_read(serve: Door, tmp_path: Path) -> None:
    answer = serve.client.post("/v1/encode", files={"file": ("a.txt", TEXT.encode())}, data={"density": "7x13"})
    (tmp_path / "t").write_bytes(answer.content)
    with safe_open(tmp_path / "t", "np") as file:
        head = json.loads(file.metadata()["microfiche"])
        assert file.get_tensor("tokens.1").dtype == np.int8 and file.get_tensor("tokens.1").shape[1] == 1280
    assert head["checkpoint"] == "nano" and head["pages"][0]["setting"]["density"] == "7x13"
    assert answer.headers["x-pages"] == "1" and int(answer.headers["x-vision-tokens"]) >= 1
    found = serve.client.post("/v1/read", content=answer.content).json()
    assert found["text"] == TEXT and found["pages"][0]["status"] == "ok" and found["pages"][0]["confidence"] > 0.9


def test_tokens_of_a_picture_travel_and_are_read(serve: Door) -> None:
    sent = png("Fiches in a drawer", (640, 200))
    answer = serve.client.post("/v1/encode", files={"file": ("a.png", sent)}, data={"mode": "small"})
    assert "iches" in serve.client.post("/v1/read", content=answer.content).json()["text"]


@pytest.mark.parametrize(("data", "fields", "status", "code"), [
    (png(), {"reader": "nano"}, 400, "bad_request"), (b"words", {"reader": "nano-pages"}, 400, "bad_request"),
    (b"words", {"reader": "deepseek-ocr"}, 400, "bad_request"), (png(), {"mode": "huge"}, 400, "bad_request"),
    (b"\xff\xff words", {}, 422, "unreadable"), (b"", {}, 422, "unreadable"), (b"%PDF-1.4 x", {}, 422, "unreadable"),
    (b"words", {"density": "9x9"}, 400, "bad_request"), ("\U0001f600".encode(), {}, 422, "unreadable_characters"),
    (pdf("x"), {"pages": "7"}, 400, "bad_request"),
])  # fmt: skip
def test_what_cannot_be_encoded_is_typed(
    serve: Door, data: bytes, fields: dict[str, str], status: int, code: str
) -> None:
    answer = serve.client.post("/v1/encode", files={"file": ("a", data)}, data=fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


@pytest.fixture(scope="module")
def tokens() -> bytes:
    nano = microfiche.load()
    return stored(nano.encode(microfiche.typeset(TEXT, "7x13")), nano.checkpoint)


def test_other_tokens_are_typed(serve: Door, tokens: bytes) -> None:
    head = {"format": "microfiche-tokens-1", "checkpoint": "nano", "checkpoint_sha256": "0" * 64,
            "pages": [{"height": 1, "width": 1, "setting": None}]}  # fmt: skip
    parts = {"tokens.1": np.zeros((1, 8), np.int8), "scale.1": np.ones((1, 1), np.float16)}
    for sent, code in (
        (b"", "unreadable_fiche"), (b"x" * 99, "unreadable_fiche"), (tokens[:-5], "unreadable_fiche"),
        (save(parts), "unreadable_fiche"), (save({}, {"microfiche": json.dumps(head)}), "unreadable_fiche"),
        (save(parts, {"microfiche": json.dumps(head)}), "other_checkpoint"),
        (save(parts, {"microfiche": json.dumps(head | {"checkpoint": "mine"})}), "other_checkpoint"),
        (save(parts, {"microfiche": json.dumps(head | {"pages": [{"height": 9, "width": 9, "setting": None}]})}),
         "unreadable_fiche"),
        (save(parts, {"microfiche": json.dumps(head | {"more": 1})}), "unreadable_fiche"),
    ):  # fmt: skip
        answer = serve.client.post("/v1/read", content=sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, code), answer.text
    assert serve.empties()


@settings(max_examples=60)
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.integers(0, 40))
def test_damaged_tokens_are_refused_or_still_tokens(
    tmp_path_factory: pytest.TempPathFactory, tokens: bytes, at: int, byte: int, cut: int
) -> None:
    at %= min(len(tokens), 900)  # in the head, whose every byte means something
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(tokens[:at] + bytes([byte]) + tokens[at + 1 : len(tokens) - cut])
    try:
        found = tokens_in(path, Limits())
    except FicheError as error:
        assert "\n" not in str(error)
        return
    assert len(found) == 1 and cut == 0


def test_a_fiche_is_packed_and_opened(serve: Door) -> None:
    job = serve.begun(TEXT.encode(), "text.txt", do="pack", density="7x13")
    assert serve.job(job)["status"] == "done"
    packed = serve.client.get(f"/v1/jobs/{job}/fiche")
    assert 'filename="text.fiche"' in packed.headers["content-disposition"]
    opened = serve.begun(packed.content, "text.fiche", do="open")
    assert serve.job(opened)["pages_done"] == 1
    for one in (job, opened):
        found = serve.client.get(f"/v1/jobs/{one}/document").json()
        (page,) = found["pages"]
        assert found["kind"] == "fiche" and found["density"] == "7x13" and found["checkpoint"] == "nano"
        assert page["right"] is True and page["status"] == "ok" and page["read"] == TEXT and page["errors"] == []
        assert found["text_tokens"] == text_tokens(TEXT) and found["vision_tokens"] == page["vision_tokens"]
        assert len(page["places"]) == page["vision_tokens"] and found["markdown"] == TEXT
        picture = Image.open(io.BytesIO(serve.client.get(f"/v1/jobs/{one}/pages/1").content))
        assert picture.size == (page["width"], page["height"])
        assert serve.client.get(f"/v1/jobs/{one}/pages/2").status_code == 404
        serve.client.delete(f"/v1/jobs/{one}")


def test_a_picture_is_packed_as_it_is(serve: Door) -> None:
    job = serve.begun(png("Fiches in a drawer", (640, 200)), "a.png", do="pack")
    assert serve.job(job)["status"] == "done"
    found = serve.client.get(f"/v1/jobs/{job}/document").json()
    assert found["density"] is None and found["pages"][0]["right"] is None and "iches" in found["pages"][0]["read"]
    serve.client.delete(f"/v1/jobs/{job}")


def test_the_codec_answers_while_all_that_read_are_busy(serve: Door, model: Model) -> None:
    model.gate.clear()
    job = serve.begun(png(), "s.png")
    model.wait_for(1)
    assert serve.client.post("/v1/typeset", json={"text": "Soon."}).json()["pages"][0]["read"] == "Soon."
    assert serve.job(job, ends=False)["status"] == "running"
    model.gate.set()
    assert serve.job(job)["status"] == "done"
    serve.client.delete(f"/v1/jobs/{job}")


# --- memories ---


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, _model: Model) -> Any:
    folder = tmp_path_factory.mktemp("memories")
    with Memory(folder / "diary.memory") as memory:
        memory.add_text("\n".join(f"note {n}: the giraffe weighs {n * 31337} grams" for n in range(400)), "notes")
        memory.add_messages("chat", [{"role": "user", "content": "Where is the xylophone? Box 17."}])
    (folder / "broken.memory").write_bytes(b"no database" * 100)
    with door(tmp_path_factory.mktemp("jobs"), scans=Scans(endpoint=_model.url), memories=folder) as made:
        yield made


def test_memories_are_listed_with_their_texts_and_pages(shelf: Door) -> None:
    broken, diary = shelf.client.get("/v1/memories").json()["memories"]
    assert broken["name"] == "broken" and broken["pages"] is None and broken["error"]["code"] == "unreadable"
    assert diary["name"] == "diary" and diary["sources"] == 2 and diary["pages"] >= 2 and diary["bytes"] > 0
    found = shelf.client.get("/v1/memories/diary").json()
    notes, chat = found["sources"]
    assert (notes["source"], notes["kind"]) == ("notes", "text") and chat["source"] == "chat" and not found["left_out"]
    assert sum(len(one["pages"]) for one in found["sources"]) == diary["pages"]
    assert shelf.client.get("/v1/about").json()["memories"] == ["broken", "diary"]
    for page in (*notes["pages"], *chat["pages"]):
        picture = shelf.client.get(f"/v1/memories/diary/pages/{page['key']}")
        assert Image.open(io.BytesIO(picture.content)).size == (page["width"], page["height"])
        assert len(shelf.client.get(f"/v1/memories/diary/pages/{page['key']}/text").json()["text"]) > 20


def test_memories_are_searched(shelf: Door) -> None:
    (hit, *_) = shelf.client.get("/v1/memories/diary/search", params={"q": f"giraffe {123 * 31337}"}).json()["hits"]
    assert hit["source"] == "notes" and str(123 * 31337) in hit["text"] and hit["line"] >= 1
    text = shelf.client.get(f"/v1/memories/diary/pages/{hit['key']}/text").json()["text"]
    assert hit["text"] in text
    (hit,) = shelf.client.get("/v1/memories/diary/search", params={"q": "xylophone"}).json()["hits"]
    assert hit["key"] == "open-1"
    for query in ({"q": ""}, {"q": "?!"}, {"q": "x" * 1001}, {"q": "x", "limit": "0"}, {"q": "x", "limit": "a"}):
        assert shelf.client.get("/v1/memories/diary/search", params=query).status_code == 400


def test_a_page_that_has_faded_is_said_to_be_gone(shelf: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    from microfiche.memory.archive import Archive

    record = Archive.record

    def gone(self: Archive, page: int) -> Any:
        found = record(self, page)
        object.__setattr__(found, "level", 0)
        return found

    monkeypatch.setattr(Archive, "record", gone)
    answer = shelf.client.get("/v1/memories/diary/pages/1")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "faded"


HOSTILE = (("page", "since_time", 1e300), ("source", "kind", b"\xff\x00"), ("version", "number", b"\xff"),
           ("page", "height", -1), ("page", "layout", b"\xff"), ("open", "text", b"\xff"),
           ("picture", "png", b"GIF89a"))  # fmt: skip


def test_memories_with_hostile_names_and_values_are_typed_and_hide_no_other(shelf: Door) -> None:
    folder = shelf.server.settings.memories
    odd = [folder / os.fsdecode(name) for name in (b"na\xffme.memory", b"<b>.memory")]
    try:
        odd[0].write_bytes(b"no database")
        shutil.copy(folder / "diary.memory", odd[1])
        listed = {one["name"]: one for one in shelf.client.get("/v1/memories").json()["memories"]}
        assert set(listed) == {"<b>", "broken", "diary", "na\\udcffme"}
        assert listed["diary"]["pages"] == listed["<b>"]["pages"]
        assert shelf.client.get("/v1/memories/na%5Cudcffme").json()["error"]["code"] == "unreadable"
        for table, column, value in HOSTILE:
            shutil.copy(folder / "diary.memory", odd[1])
            with closing(sqlite3.connect(odd[1])) as base, base:
                base.execute(f"UPDATE {table} SET {column} = ?", (value,))
            for path in ("", "/pages/1", "/pages/1/text", "/pages/open-1", "/search?q=giraffe"):
                answer = shelf.client.get(f"/v1/memories/%3Cb%3E{path}")
                assert answer.status_code < 500, (table, column, path, answer.text)
    finally:
        for path in odd:
            for one in path.parent.glob(f"{glob.escape(path.name)}*"):
                one.unlink(missing_ok=True)  # the log of one that is closed is gone


@pytest.mark.parametrize("path", ["none", "..", "%2e%2e%2fdiary", "diary.memory", "diary/pages/0", "diary/pages/x",
                                  "diary/pages/open-0", "diary/pages/open-9", "diary/pages/99999999999", "broken"])
def test_what_is_not_there_is_typed_and_nothing_is_written(shelf: Door, path: str) -> None:
    answer = shelf.client.get(f"/v1/memories/{path}")
    assert answer.status_code == (422 if path == "broken" else 404) and answer.json()["error"]["code"]
    folder = shelf.server.settings.memories
    assert sorted(one.name for one in folder.iterdir() if one.suffix == ".memory") == ["broken.memory", "diary.memory"]
    assert str(folder) not in answer.text
