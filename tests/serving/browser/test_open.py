"""What was kept: a .fiche from disk, a memory of the server's folder, and search in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from page_server import StandIn
from playwright.sync_api import expect

FICHE = {"name": "book.fiche", "mimeType": "application/octet-stream", "buffer": b"PK"}


def fiche() -> dict[str, Any]:
    """What a .fiche of two texts is opened as: a page that is right, one with an error, one that is damaged."""
    return {
        "kind": "fiche", "name": "book.fiche", "density": "5x8", "layout": "dense", "mode": "small",
        "sources": [{"name": "one.txt", "pages": 2}, {"name": "two.txt", "pages": 1}], "text_tokens": 1800,
        "vision_tokens": 90, "ratio": 20.0, "pages": [
            {"number": 1, "width": 640, "height": 512, "read": "The white rabbit ran.", "right": True, "errors": [],
             "characters": 21, "vision_tokens": 40, "status": "ok", "reason": "", "square": 64, "origin": [0, 0],
             "places": [[n // 10, n % 10] for n in range(40)]},
            {"number": 2, "width": 640, "height": 512, "read": "Alice feil down.", "right": False,
             "errors": [[8, 9, "l"]], "characters": 16, "vision_tokens": 40, "status": "ok", "reason": ""},
            {"number": 3, "width": 640, "height": 64, "read": "", "right": None, "errors": [], "characters": 0,
             "vision_tokens": 10, "status": "failed", "reason": "its SHA-256 differs"}]}  # fmt: skip


def memory() -> dict[str, Any]:
    """A memory of two texts, one of which has faded."""
    return {"sources": [
        {"source": "notes.txt", "kind": "text", "version": 1, "characters": 40, "pages": [
            {"key": "1", "number": 1, "of": 2, "width": 640, "height": 512, "level": 640, "characters": 20},
            {"key": "2", "number": 2, "of": 2, "width": 640, "height": 512, "level": 320, "characters": 20}]},
        {"source": "old.txt", "kind": "text", "version": 1, "characters": 9, "pages": [
            {"key": "3", "number": 1, "of": 1, "width": 640, "height": 64, "level": 0, "characters": 9}]}],
        "texts": {"1": "A refund was promised.", "2": "Nothing more.", "3": "Long ago."}}  # fmt: skip


@pytest.fixture
def stand_in(stand_in: StandIn) -> StandIn:
    stand_in.opened = fiche()
    stand_in.memories = {"history": memory()}
    stand_in.about["memories"] = ["history"]
    return stand_in


def opened(visit: Any) -> Any:
    where = visit.open("#open")
    where.locator("#open-file").set_input_files(FICHE)
    expect(where.locator("#one img[src]")).to_be_visible()
    return where


def test_fiche_shows_its_pages_and_what_they_say(visit: Any, stand_in: StandIn) -> None:
    where = opened(visit)
    assert [(job["do"], job["name"], job["bytes"]) for job in stand_in.jobs] == [("open", "book.fiche", b"PK")]
    expect(where.locator("#open-sum")).to_have_text(
        "3 pages, 90 vision tokens; for 1,800 tokens of text, 20.0 times as many; "
        "1 page is read with errors; set at 5 × 8"
    )
    expect(where.locator("#contents h2")).to_have_text(["one.txt", "two.txt"])
    expect(where.locator("#contents [data-key]")).to_have_count(3)
    expect(where.locator('#contents [data-key="2"]')).to_contain_text("1 error")
    expect(where.locator('#contents [data-key="3"]')).to_contain_text("could not be read: its SHA-256 differs")
    expect(where.locator("#one .sum")).to_have_text("21 characters, 40 vision tokens, read back exactly")
    where.locator('#contents [data-key="2"]').click()
    expect(where.locator("#one mark")).to_have_attribute("title", "should be “l”")
    expect(where.locator('#contents [aria-current="true"]')).to_contain_text("Page 2")


def test_fiche_shows_the_grid_of_its_tokens(visit: Any) -> None:
    where = opened(visit)
    expect(where.locator("#one .square")).to_have_count(40)
    says = where.locator("#one .plate + p")
    expect(says).to_have_text("Token 1 of 40: 64 × 64 pixels of the page, 0 from the left and 0 from the top.")
    where.locator("#one .square").nth(12).click()
    expect(says).to_have_text("Token 13 of 40: 64 × 64 pixels of the page, 128 from the left and 64 from the top.")
    visit.tab_to("square")
    where.keyboard.press("ArrowDown")
    assert visit.script("document.activeElement.getAttribute('aria-label')") == "Token 23, row 3, column 3"
    box = "document.querySelector('#one %s').getBoundingClientRect()"
    square, image = box % ".square", box % ".plate img"
    assert visit.script(f"Math.abs({square}.width - {image}.width / 10) < 1 && {square}.left - {image}.left < 1")
    where.locator('#contents [data-key="2"]').click()
    expect(where.locator("#one .sum")).to_contain_text("1 error")
    expect(where.locator("#one .square")).to_have_count(0)


def test_fiche_is_searched(visit: Any) -> None:
    where = opened(visit)
    where.locator("#query").fill("RABBIT")
    where.locator("#query").press("Enter")
    expect(where.locator("#contents [data-key]")).to_have_count(1)
    expect(where.locator("#said")).to_have_text("1 place found")
    expect(where.locator("#one mark.found")).to_have_text("rabbit")
    where.locator("#query").fill("no such words")
    where.locator("#query").press("Enter")
    expect(where.locator("#contents")).to_have_text("Nothing says “no such words”.")
    where.locator("#query").fill("")
    where.locator("#query").press("Enter")
    expect(where.locator("#contents [data-key]")).to_have_count(3)


def test_memory_is_looked_at_and_searched(visit: Any, stand_in: StandIn) -> None:
    where = visit.open("#open")
    expect(where.locator("#memories-none")).to_be_hidden()
    where.locator("#memories button").click()
    expect(where.locator("#open-sum")).to_contain_text("2 texts on 3 pages; it is only looked at")
    where.locator("summary", has_text="notes.txt").click()
    where.locator('[data-key="2"]').click()
    expect(where.locator("#one .sum")).to_have_text("13 characters, faded to 320 of 640 pixels")
    expect(where.locator("#one .says")).to_have_text("Nothing more.")
    expect(where.locator("#one img[src]")).to_be_visible()
    where.locator("summary", has_text="old.txt").click()
    where.locator('[data-key="3"]').click()
    expect(where.locator("#one")).to_contain_text("Its picture has faded away.")
    expect(where.locator("#one .says")).to_have_text("Long ago.")
    where.locator("#query").fill("refund")
    where.locator("#query").press("Enter")
    expect(where.locator("#said")).to_have_text("1 place found")
    expect(where.locator("#contents [data-key]")).to_contain_text("notes.txt, page 1, line 2")
    expect(where.locator("#one mark.found")).to_have_text("refund")
    assert {method for method, _ in stand_in.asked} == {"GET"}, "nothing is changed, nothing goes up"


def test_keyboard_alone_suffices(visit: Any) -> None:
    where = visit.open("#open")
    expect(where.locator("#memories button")).to_be_visible()
    visit.tab_to("tab-open")
    for _ in range(9):
        where.keyboard.press("Tab")
        if visit.script("document.activeElement.textContent").startswith("history"):
            break
    where.keyboard.press("Enter")
    expect(where.locator("#seek")).to_be_visible()
    visit.tab_to("query")
    where.keyboard.type("refund")
    where.keyboard.press("Enter")
    expect(where.locator("#said")).to_have_text("1 place found")
    visit.tab_to("contents")
    where.keyboard.press("Tab")
    where.keyboard.press("Enter")
    expect(where.locator("#said")).to_have_text("notes.txt, page 1: 22 characters")
    visit.tab_to("one")
    for _ in range(20):
        where.keyboard.press("Shift+Tab")
        if visit.focused() == "open-close":
            break
    where.keyboard.press("Enter")
    expect(where.locator("#open-start")).to_be_visible()
    assert visit.focused() == "open-choose"


def test_fiche_that_was_dropped_elsewhere_comes_here(visiting: Callable[..., Any]) -> None:
    where = visiting().open()
    where.locator("#file").set_input_files(FICHE)
    expect(where.locator("#view-open")).to_be_visible()
    expect(where.locator("#open-name")).to_have_text("book.fiche")


def test_damaged_fiche_is_a_line(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    stand_in.failure = "book.fiche: not a whole .fiche file (File is not a zip file)"
    where = visiting().open("#open")
    where.locator("#open-file").set_input_files(FICHE)
    expect(where.locator("#open-trouble")).to_have_text(stand_in.failure)
    expect(where.locator("#open-start")).to_be_visible()
    expect(where.locator("#open-choose")).to_be_focused()


def test_memory_that_fails_is_a_line(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    stand_in.refusals.append(("/v1/memories/history", 422, "history: written by a newer version", {}))
    where = visiting().open("#open")
    where.locator("#memories button").click()
    expect(where.locator("#open-trouble")).to_have_text("history: written by a newer version")


def test_memories_of_a_server_with_a_token_are_listed_by_it(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    stand_in.token = "a-secret"
    stand_in.about |= {"memories": [], "token_needed": True}
    where = visiting().open()
    expect(where.locator("#ask")).to_be_hidden()
    where.locator("#tab-open").click()
    where.locator("#token").fill("a-secret")
    where.locator("#token").press("Enter")
    expect(where.locator("#memories b")).to_have_text("history")


def test_long_lists_grow_by_a_button(visiting: Callable[..., Any], stand_in: StandIn) -> None:
    pages = [{"key": str(n), "number": n, "of": 450, "width": 640, "height": 64, "level": 640} for n in range(1, 451)]
    stand_in.memories["history"] = {"sources": [{"source": "long", "pages": pages}],
                                    "texts": {str(n): f"Text {n}" for n in range(1, 451)}}  # fmt: skip
    where = visiting().open("#open")
    where.locator("#memories button").click()
    expect(where.locator("#contents [data-key]")).to_have_count(200)
    where.get_by_text("Show more; 250 are left").press("Enter")
    expect(where.locator("#contents [data-key]")).to_have_count(400)
    expect(where.locator('#contents [data-key="201"]')).to_be_focused()
