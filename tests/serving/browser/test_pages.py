"""Text as pages: the claim, the grid of tokens, the loupe, what is read back, the slider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from page_server import typeset
from playwright.sync_api import expect


def shown(visit: Any) -> Any:
    """Opens the view and waits for the example, and for its picture, with which a token comes under the loupe."""
    where = visit.open("#pages")
    expect(where.locator("#loupe-says")).to_contain_text("number 1 of")
    expect(where.locator("#steps")).to_have_attribute("aria-busy", "false")
    return where


def write(where: Any, text: str) -> Any:
    """Writes a text in place of the one that stands there, and waits until it is set."""
    with where.expect_response("**/v1/typeset") as waiting:
        where.locator("#text").fill(text)
    expect(where.locator("#steps")).to_have_attribute("aria-busy", "false")
    return waiting.value.request.post_data_json


def test_example_makes_the_idea_plain(visit: Any) -> None:
    where = shown(visit)
    expect(where.locator("#claim-line")).to_have_text("2,123 tokens of text fit into 100 tokens of picture.")
    expect(where.locator("#claim-line")).to_be_in_viewport()
    expect(where.locator("#claim-more")).to_have_text(
        "Counted in tokens, the picture is 21 times shorter than the text, "
        "and all but 1 of its 8,492 characters are read back right from it."
    )
    expect(where.locator(".square")).to_have_count(100)
    expect(where.locator("#loupe-says")).to_contain_text("40 characters are in this one: number 1 of 100.")
    area = "[...document.querySelectorAll('#%s div')].reduce((sum, d) => sum + d.offsetWidth * d.offsetHeight / 36, 0)"
    assert visit.script(area % "dots-text") == 2123 and visit.script(area % "dots-vision") == 100


@pytest.mark.parametrize("width", [768, 1024, 1440])
def test_fields_of_tokens_stand_apart(visiting: Callable[..., Any], width: int) -> None:
    visit = visiting(viewport={"width": width, "height": 800})
    shown(visit)
    side = "document.querySelector('#%s div').getBoundingClientRect().%s"
    assert visit.script(f"{side % ('dots-text', 'right')} < {side % ('dots-vision', 'left')}")


def test_loupe_shows_the_square_that_is_pointed_at(visiting: Callable[..., Any]) -> None:
    visit = visiting()
    where = shown(visit)
    ink = "document.getElementById('loupe').toDataURL()"
    seen = {visit.script(ink)}
    for number in (12, 95):
        where.locator(".square").nth(number).hover()
        expect(where.locator("#loupe-says")).to_contain_text(f"number {number + 1} of 100")
        expect(where.locator(".square").nth(number)).to_have_attribute("aria-pressed", "true")
        seen.add(visit.script(ink))
    assert len(seen) == 3


def test_keyboard_alone_suffices(visit: Any) -> None:
    where = shown(visit)
    visit.tab_to("square")
    for key, number in (("ArrowRight", 2), ("ArrowDown", 12), ("ArrowLeft", 11), ("ArrowLeft", 11), ("ArrowUp", 1)):
        where.keyboard.press(key)
        expect(where.locator("#loupe-says")).to_contain_text(f"number {number} of 100")
        assert visit.script("document.activeElement.getAttribute('aria-label')").startswith(f"Token {number}, row ")
    assert visit.script("document.querySelectorAll('.square[tabindex=\"0\"]').length") == 1
    visit.tab_to("error-after")
    where.keyboard.press("Enter")
    expect(where.locator("#readback mark.on")).to_be_in_viewport()
    expect(where.locator("#said")).to_have_text("Error 1 of 1: “#” should be “P”")
    where.locator("#text").focus()
    with where.expect_response("**/v1/typeset"):
        where.keyboard.press("Control+a")
        where.keyboard.type("Typed by hand, and then some more.")
    expect(where.locator("#readback")).to_contain_text("by hand")


def test_slider_chooses_the_density(visit: Any) -> None:
    where = shown(visit)
    slider = where.locator("#density")
    expect(where.locator("#density-says")).to_have_text("5 × 8 pixels")
    with where.expect_response("**/v1/typeset") as waiting:
        slider.press("ArrowRight")
    assert waiting.value.request.post_data_json["density"] == "4x6"
    expect(slider).to_have_attribute("aria-valuetext", "4 × 6 pixels for a letter")
    with where.expect_response("**/v1/typeset") as waiting:
        slider.press("Home")
    assert waiting.value.request.post_data_json["density"] == "7x13"


def test_of_two_densities_of_a_size_the_text_decides(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.about |= {"default_density": "8x16", "densities": [
        {"name": "16x16", "width": 8, "height": 16}, {"name": "8x16", "width": 8, "height": 16}]}  # fmt: skip
    visit = visiting()
    visit.page.goto(f"{visit.url}/#pages")
    where = visit.page
    expect(where.locator(".square").first).to_be_visible()
    assert write(where, "Latin letters")["density"] == "8x16"
    assert write(where, "缩微胶片 is Chinese")["density"] == "16x16"


def test_errors_are_marked_by_characters_and_not_by_their_halves(visiting: Callable[..., Any]) -> None:
    where = shown(visiting())
    write(where, "𝔸𝔹𝕊x <b>bold</b>")
    mark = where.locator("#readback mark")
    expect(mark).to_have_count(1)
    expect(mark).to_have_attribute("title", "should be “x”")
    assert where.locator("#readback").text_content() == "𝔸𝔹𝕊# (should be “x”)  <b>bold</b>"
    expect(where.locator("#readback b")).to_have_count(0)


def test_text_that_is_read_exactly_has_no_errors_to_walk(visiting: Callable[..., Any]) -> None:
    where = shown(visiting())
    write(where, "abc")
    expect(where.locator("#back-sum")).to_have_text("Every character right")
    expect(where.locator("#walk")).to_be_hidden()
    expect(where.locator("#claim-more")).to_contain_text("takes as many tokens as a picture as it does as text")


def test_several_pages_are_turned(visiting: Callable[..., Any], stand_in: Any, monkeypatch: Any) -> None:
    def two(text: str, density: str) -> dict[str, Any]:
        one = typeset(text, density)
        return {**one, "pages_in_all": 7, "pages": [one["pages"][0], typeset("The second page", density)["pages"][0]]}

    monkeypatch.setattr("page_server.typeset", two)
    where = shown(visiting())
    expect(where.locator("#page-at")).to_have_text("Page 1 of 7; the first 2 are shown")
    expect(where.locator("#page-before")).to_be_disabled()
    where.locator("#page-after").click()
    expect(where.locator("#readback")).to_contain_text("second page")
    expect(where.locator("#page-after")).to_be_disabled()


def test_trouble_is_a_line_and_what_was_there_stays(visit: Any, stand_in: Any) -> None:
    where = shown(visit)
    stand_in.refusals.append(("/v1/typeset", 413, "a text of 2,000,000 characters; at most 100,000", {}))
    write(where, "a long text")
    expect(where.locator("#pages-trouble")).to_have_text("a text of 2,000,000 characters; at most 100,000")
    expect(where.locator(".square")).to_have_count(100)
    write(where, "a short text")
    expect(where.locator("#pages-trouble")).to_be_hidden()
    where.locator("#text-clear").click()
    expect(where.locator(".square")).to_have_count(0)
    where.locator("#text-example").click()
    expect(where.locator(".square")).to_have_count(100)


def test_what_cannot_be_drawn_is_said(visiting: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr("page_server.typeset", lambda text, density: {**typeset(text, density), "undrawn": ["ש", "🎈"]})
    where = shown(visiting())
    expect(where.locator("#pages-trouble")).to_have_text("Not on the page, as they cannot be drawn: ש 🎈")


def test_last_of_many_texts_is_shown(visiting: Callable[..., Any]) -> None:
    where = shown(visiting())
    for text in ("one text", "two texts", "three texts"):
        where.locator("#text").fill(text)
    expect(where.locator("#readback")).to_contain_text("e texts")
    expect(where.locator("#text-sum")).to_have_text("11 characters, 2 text tokens")


def test_text_is_packed_to_a_file(visiting: Callable[..., Any], stand_in: Any) -> None:
    visit = visiting()
    where = shown(visit)
    write(where, "Packed words")
    with where.expect_download() as waiting:
        where.locator("#text-pack").click()
    assert waiting.value.suggested_filename == "text.fiche"
    job = stand_in.jobs[0]
    assert (job["do"], job["density"], job["bytes"]) == ("pack", "5x8", b"Packed words")
    stand_in.waits(lambda: stand_in.gone)
    assert stand_in.gone == ["job-1"]
