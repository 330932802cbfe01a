"""The page at the server itself: the example is read, text is set and packed, the file is opened, a memory searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from doorway import Door, door
from playwright.sync_api import expect

from microfiche.memory import Memory

TOKEN = "long-enough"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    memories = tmp_path_factory.mktemp("memories")
    with Memory(memories / "history.memory") as memory:
        memory.add_text("Dancer made the first one in 1839.\n" * 9, "notes.txt")
    with door(tmp_path_factory.mktemp("jobs"), memories=memories) as made:
        yield made


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_all_three_views(visiting: Callable[..., Any], server: Door, tmp_path: Path, size: str) -> None:
    visit = visiting(size, url=server.url)
    where = visit.open()
    where.locator("#example").click()
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator("#read-sum")).to_have_text("1 page, read whole from the PDF's own text")
    expect(where.locator(".prose h3")).to_have_text("Notes on Small Pages")
    expect(where.locator(".pictures img[src]")).to_be_visible()
    assert visit.script("document.querySelector('.pictures img').decode().then(() => true)")
    where.locator("#tab-pages").click()
    expect(where.locator("#claim-line")).to_have_text("2,014 tokens of text fit into 90 tokens of picture.")
    expect(where.locator(".square")).to_have_count(90)
    expect(where.locator("#loupe-says")).to_contain_text("104 characters are in this one")
    where.locator("#text").fill("Kept as a picture of itself. " * 20)
    expect(where.locator("#readback")).to_contain_text("Kept as a picture of itself.")
    with where.expect_download() as waiting:
        where.locator("#text-pack").click()
    waiting.value.save_as(tmp_path / "text.fiche")
    where.locator("#tab-open").click()
    where.locator("#open-file").set_input_files(tmp_path / "text.fiche")
    expect(where.locator("#one .says")).to_contain_text("Kept as a picture of itself.")
    expect(where.locator("#open-sum")).to_contain_text("every page is read back right")
    expect(where.locator("#one .plate + p")).to_contain_text("Token 1 of 10: 64 × 64 pixels of the page")
    expect(where.locator("#one img[src]")).to_be_visible()
    where.locator("#open-close").click()
    where.locator("#memories button").click()
    where.locator("#query").fill("Dancer")
    where.locator("#query").press("Enter")
    expect(where.locator("#one mark.found").first).to_have_text("Dancer")
    expect(where.locator("#one img[src]")).to_be_visible()


def test_what_is_no_document_is_a_line(visiting: Callable[..., Any], server: Door) -> None:
    where = visiting(url=server.url).open()
    where.locator("#file").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"no PDF at all"})
    expect(where.locator("#read-trouble")).to_contain_text("a.pdf")
    expect(where.locator("#read-start")).to_be_visible()
    where.locator("#tab-open").click()
    where.locator("#open-file").set_input_files({"name": "a.fiche", "mimeType": "", "buffer": b"no ZIP at all"})
    expect(where.locator("#open-trouble")).to_contain_text("not a whole .fiche file")


def test_token(visiting: Callable[..., Any], tmp_path: Path) -> None:
    with door(tmp_path, token=TOKEN) as guarded:
        where = visiting(url=guarded.url).open()
        where.locator("#example").click()
        where.locator("#token").fill(TOKEN)
        where.locator("#token").press("Enter")
        expect(where.locator("#read-copy")).to_be_enabled()
        expect(where.locator(".pictures img[src]")).to_be_visible()
