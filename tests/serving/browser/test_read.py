"""Reading: what goes up, what is shown while it is read, the boxes and the text, copies, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_server import block, page, picture
from playwright.sync_api import Page, expect

PNG = {"name": "letter.png", "mimeType": "image/png", "buffer": picture(60, 80)}


def sent(visit: Any, **file: Any) -> Page:
    """Opens the page and chooses a file."""
    where = visit.open()
    where.locator("#file").set_input_files({**PNG, **file})
    return where


def read(visit: Any, **file: Any) -> Page:
    """Opens the page, chooses a file, and waits until it is read."""
    where = sent(visit, **file)
    expect(where.locator("#read-copy")).to_be_enabled()
    return where


def test_file_becomes_pages_with_boxes(visit: Any, stand_in: Any) -> None:
    where = read(visit)
    assert [(job["do"], job["name"], job["bytes"]) for job in stand_in.jobs] == [("read", "letter.png", PNG["buffer"])]
    expect(where.locator("#read-name")).to_have_text("letter.png")
    expect(where.locator("#read-sum")).to_have_text(
        "2 pages, 1 read whole, 1 in part by RapidOCR; on average 92 % sure"
    )
    expect(where.locator(".box")).to_have_count(8)
    expect(where.locator(".prose .block")).to_have_count(8)
    expect(where.locator(".prose h3")).to_have_text("A short letter")
    expect(where.locator(".prose td")).to_have_text(["1928", "800"])
    expect(where.locator(".prose li ul li")).to_have_text("within")
    expect(where.locator(".pictures img[src]")).to_have_count(2)
    where.locator('.prose [data-piece="1-5"]').scroll_into_view_if_needed()
    expect(where.locator('.prose [data-piece="1-5"] img[src]')).to_be_visible()
    left = "document.querySelector('%s').getBoundingClientRect().left"
    wide = "document.querySelector('.picture').getBoundingClientRect().width"
    share = visit.script(f"({left % '.box'} - {left % '.picture'}) / {wide}")
    assert share == pytest.approx(0.1, abs=0.01), "the box is where it is on the page"


def test_statuses_are_words_and_doubt_is_shading(visit: Any) -> None:
    where = read(visit)
    heads = where.locator(".prose .leaf-head")
    expect(heads.nth(0)).to_contain_text("read whole")
    expect(heads.nth(1)).to_contain_text("read in part: its lower half is black")
    back = "getComputedStyle(document.querySelector('.prose [data-piece=\"1-%d\"]')).backgroundColor"
    sure, unsure = visit.script(back % 0), visit.script(back % 2)
    assert sure != unsure
    where.locator("#read-shade").uncheck()
    assert visit.script(back % 2) == visit.script(back % 0)


def test_document_without_pictures_is_its_text(visit: Any, stand_in: Any) -> None:
    stand_in.document = [page(1, [block("text", None, "Words of a text.", None)], width=0, height=0, engine="")]
    where = read(visit)
    expect(where.locator(".pictures")).to_contain_text("There is no picture of this page.")
    expect(where.locator(".prose .block")).to_have_text("Words of a text.")
    assert not [path for _, path in stand_in.asked if "/pages/" in path]


def test_doubt_is_shaded_line_by_line_where_lines_are_known(visiting: Callable[..., Any], stand_in: Any) -> None:
    text = block("text", [60, 40, 540, 160], "It was the best of examples, it was **1l** \\* the <b>age</b>.", 0.97)
    whole = block("text", [60, 200, 540, 260], "A line that stands elsewhere", 0.7)
    stand_in.document = [page(1, [text, whole]), page(2, [block("text", [60, 40, 540, 90], "Of no known lines", 0.6)])]
    stand_in.unsure = {"1": [
        {"box": [60, 40, 540, 80], "confidence": 0.8, "text": "best of exam-"},
        {"box": [60, 90, 540, 120], "confidence": 0.55, "text": "it was 1l * the <b>a"},
        {"box": [60, 205, 540, 255], "confidence": 0.7, "text": "words that are not there"}]}  # fmt: skip
    visit = visiting()
    where = read(visit)
    marks = where.locator('.prose [data-piece="1-0"] span.doubt')
    expect(marks).to_have_text(["best of exam", "it was", "1l", "the <b>a"])
    expect(marks.nth(0)).to_have_attribute("title", "80 % sure")
    expect(where.locator(".pictures .doubt")).to_have_count(3)
    paper = "getComputedStyle(document.querySelector('%s')).backgroundColor"
    unsure = "document.querySelector('.prose [data-piece=\"%s\"]').style.getPropertyValue('--unsure')"
    assert [float(visit.script(unsure % piece)) > 0 for piece in ("1-0", "1-1", "2-0")] == [False, True, True]
    shaded = visit.script(paper % ".prose span.doubt")
    where.locator("#read-shade").uncheck()
    assert visit.script(paper % ".prose span.doubt") != shaded
    assert "<b>age</b>" in where.locator('.prose [data-piece="1-0"]').inner_text()


def test_cursor_leads_both_ways(visiting: Callable[..., Any]) -> None:
    where = read(visiting())
    where.locator('.prose [data-piece="1-2"]').hover()
    expect(where.locator('.box[data-piece="1-2"]')).to_contain_class("on")
    expect(where.locator("#read-inspector")).to_have_text("Page 1, text, 55 % sure, read by RapidOCR")
    where.locator('.box[data-piece="2-0"]').hover()
    expect(where.locator('.prose [data-piece="2-0"]')).to_contain_class("on")
    expect(where.locator('.prose [data-piece="2-0"]')).to_be_in_viewport()
    expect(where.locator(".pane .on")).to_have_count(2)
    where.locator("#read-name").hover()
    expect(where.locator(".pane .on")).to_have_count(0)


def test_touch_leads_both_ways(visiting: Callable[..., Any]) -> None:
    where = read(visiting("phone"))
    expect(where.locator("#read-inspector")).to_have_text("Touch a piece of the picture or of the text.")
    where.locator('.prose [data-piece="1-1"]').tap()
    expect(where.locator('.box[data-piece="1-1"]')).to_contain_class("on")
    expect(where.locator('.box[data-piece="1-1"]')).to_be_in_viewport()
    where.locator('.box[data-piece="1-0"]').tap()
    expect(where.locator('.prose [data-piece="1-0"]')).to_contain_class("on")


def test_keyboard_alone_suffices(visit: Any) -> None:
    where = visit.open()
    visit.tab_to("example")
    where.keyboard.press("Enter")
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator("#said")).to_contain_text("2 pages")
    visit.tab_to("box")
    expect(where.locator('.prose [data-piece="1-0"]')).to_contain_class("on")
    where.keyboard.press("ArrowDown")
    where.keyboard.press("ArrowRight")
    expect(where.locator('.prose [data-piece="1-2"]')).to_contain_class("on")
    where.keyboard.press("ArrowUp")
    where.keyboard.press("Enter")
    assert visit.script("document.activeElement.dataset.piece") == "1-1"
    assert "block" in visit.focused()
    where.keyboard.press("End")
    expect(where.locator('.box[data-piece="2-0"]')).to_contain_class("on")
    where.keyboard.press(" ")
    assert "box" in visit.focused()
    where.keyboard.press("Shift+Tab")
    visit.tab_to("block")
    assert visit.script("document.querySelectorAll('.prose .block[tabindex=\"0\"]').length") == 1
    for _ in range(30):
        where.keyboard.press("Shift+Tab")
        if visit.focused() == "read-close":
            break
    where.keyboard.press("Enter")
    assert visit.focused() == "choose"


def test_progress_is_shown_and_said_and_can_be_ended(visit: Any, stand_in: Any) -> None:
    stand_in.go_on.clear()
    visit.page.add_init_script("performance.now = () => 0")  # after some seconds the page would be said as well
    where = sent(visit)
    expect(where.locator("#read-state")).to_have_text("Page 2 of 2, about 2 s left")
    expect(where.locator("#read-progress")).to_have_attribute("value", "0.5")
    expect(where.locator("#said")).to_have_text("Reading letter.png")
    expect(where.locator(".prose h3")).to_have_text("A short letter")
    expect(where.locator("#read-copy")).to_be_disabled()
    where.locator("#read-cancel").click()
    expect(where.locator("#read-start")).to_be_visible()
    assert visit.focused() == "choose"
    visit.script("new Promise(done => setTimeout(done))")
    expect(where.locator("#said")).to_have_text("Cancelled")
    expect(where.locator(".box")).to_have_count(0)
    stand_in.go_on.set()
    where.locator("#file").set_input_files(PNG)
    expect(where.locator("#read-copy")).to_be_enabled()
    stand_in.waits(lambda: stand_in.gone)
    assert stand_in.gone == ["job-1"]


def test_focus_stays_where_it_is_when_the_reading_ends(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.go_on.clear()
    visit = visiting()
    where = sent(visit)
    where.locator('.prose [data-piece="1-1"]').focus()
    stand_in.go_on.set()
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator('.prose [data-piece="1-1"]')).to_be_focused()


def test_copy_and_downloads_are_what_the_server_gave(visiting: Callable[..., Any], stand_in: Any) -> None:
    visit = visiting(permissions=["clipboard-read", "clipboard-write"])
    visit.page.clock.install()
    where = read(visit)
    where.clock.pause_at("2100-01-01")  # for a moment alone the button says what was done
    whole, beside = stand_in.whole(), ("markdown", "unsure")  # which `microfiche read` does not write into it
    where.locator("#read-copy").click()
    expect(where.locator("#read-copy")).to_have_text("Copied")
    assert visit.script("navigator.clipboard.readText()") == whole["markdown"]
    where.clock.run_for(2000)
    expect(where.locator("#read-copy")).to_have_text("Copy Markdown")
    for button, name in (("#read-md", "letter.md"), ("#read-json", "letter.json")):
        with where.expect_download() as waiting:
            where.locator(button).click()
        assert waiting.value.suggested_filename == name
        text = Path(waiting.value.path()).read_text("utf-8")
        if name.endswith(".md"):
            assert text == whole["markdown"]
        else:
            assert json.loads(text) == {key: value for key, value in whole.items() if key not in beside}
    where.get_by_text("Markdown", exact=True).click()
    expect(where.locator("#read-source")).to_have_text(whole["markdown"], use_inner_text=False)
    expect(where.locator("#read-prose")).to_be_hidden()


def test_choices_go_with_the_file(visiting: Callable[..., Any], stand_in: Any) -> None:
    where = visiting().open()
    where.locator(".choices summary").click()
    where.locator("#which").fill("2-3")
    where.locator("#engine").select_option("nano")
    where.locator("#password").fill("open it")
    where.locator("#file").set_input_files(PNG)
    expect(where.locator("#read-copy")).to_be_enabled()
    sent_with = {key: stand_in.jobs[0][key] for key in ("engine", "pages", "password")}
    assert sent_with == {"engine": "nano", "pages": "2-3", "password": "open it"}


REFUSALS = [
    (413, "letter.png: 9 MB; at most 5 MB", {}, "letter.png: 9 MB; at most 5 MB"),
    (415, "letter.png: not a PDF, a picture or text", {}, "letter.png: not a PDF, a picture or text"),
    (429, "busy", {"retry-after": "7"}, "The server is busy; try again in 7 s."),
]


@pytest.mark.parametrize(("status", "message", "headers", "shown"), REFUSALS)
def test_refusal_is_one_line(visiting: Callable[..., Any], stand_in: Any, status: int, message: str,
                             headers: dict[str, str], shown: str) -> None:  # fmt: skip
    stand_in.refusals.append(("/v1/jobs", status, message, headers))
    where = sent(visiting())
    expect(where.locator("#read-trouble")).to_have_text(shown)
    expect(where.locator("#read-start")).to_be_visible()
    where.locator("#file").set_input_files(PNG)
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator("#read-trouble")).to_be_hidden()


def test_what_cannot_be_read_is_said_before_it_is_sent(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.about["limits"]["upload_bytes"] = 1000
    where = sent(visiting(), name="large.png", buffer=b"\x89PNG" + b"0" * 2000)
    expect(where.locator("#read-trouble")).to_have_text("large.png has 2 kB; this server takes up to 1 kB.")
    where.locator("#file").set_input_files({**PNG, "name": "none.png", "buffer": b""})
    expect(where.locator("#read-trouble")).to_have_text("none.png is empty.")
    assert not stand_in.jobs


def test_job_that_fails_says_why_and_keeps_what_was_read(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.failure = "letter.png: the worker was stopped at page 3"
    where = sent(visiting())
    expect(where.locator("#read-trouble")).to_have_text(stand_in.failure)
    expect(where.locator(".prose .block")).to_have_count(8)
    expect(where.locator("#read-running")).to_be_hidden()


def test_stream_that_breaks_is_taken_up_again(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.cut = 2
    where = read(visiting())
    assert len([path for _, path in stand_in.asked if path.endswith("/events")]) == 3
    expect(where.locator(".prose .leaf")).to_have_count(2)


def test_token_is_asked_for_once_and_goes_with_every_request(visit: Any, stand_in: Any) -> None:
    stand_in.token = "a-secret"
    stand_in.about["token_needed"] = True
    where = sent(visit)
    expect(where.locator("#ask")).to_be_visible()
    assert visit.focused() == "token"
    where.keyboard.type("wrong")
    where.keyboard.press("Enter")
    expect(where.locator("#ask-says")).to_contain_text("not the right one")
    where.keyboard.type("a-secret")
    where.keyboard.press("Enter")
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator(".pictures img[src]").first).to_be_visible()
    where.reload()
    where.locator("#file").set_input_files(PNG)
    expect(where.locator("#read-copy")).to_be_enabled()
    expect(where.locator("#ask")).to_be_hidden()
    assert not any("secret" in path for _, path in stand_in.asked), "never in an address"


def test_token_that_is_not_given_is_a_line(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.token = "a-secret"
    where = sent(visiting())
    expect(where.locator("#ask")).to_be_visible()
    where.keyboard.press("Escape")
    expect(where.locator("#read-trouble")).to_have_text("a token is needed")


DROP = """(() => {
  const bytes = Uint8Array.from(atob("iVBORw0KGgo="), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(%s);
  const target = document.querySelector("%s");
  for (const kind of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }
  return document.getElementById("veil").hidden;
})()"""


@pytest.mark.parametrize("target", ["#drop", "header", "#view-read h1"])
def test_file_may_be_dropped_anywhere(visiting: Callable[..., Any], stand_in: Any, target: str) -> None:
    visit = visiting()
    where = visit.open()
    assert visit.script(DROP % ('new File([bytes], "dropped.png", { type: "image/png" })', target))
    expect(where.locator("#read-copy")).to_be_enabled()
    assert stand_in.jobs[0]["name"] == "dropped.png"


def test_picture_may_be_pasted(visiting: Callable[..., Any], stand_in: Any) -> None:
    visit = visiting()
    where = visit.open()
    visit.script("""(() => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(9)], "image.png", { type: "image/png" }));
      const pasted = { clipboardData: data, bubbles: true, cancelable: true };
      document.body.dispatchEvent(new ClipboardEvent("paste", pasted));
    })()""")
    expect(where.locator("#read-copy")).to_be_enabled()
    assert stand_in.jobs[0]["name"] == "image.png"


def test_text_is_shown_as_pages(visit: Any, stand_in: Any) -> None:
    where = visit.open()
    where.locator("#file").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": "Grüße an alle".encode()}
    )
    expect(where.locator("#view-pages")).to_be_visible()
    expect(where.locator("#text")).to_have_value("Grüße an alle")
    expect(where.locator("#readback")).to_contain_text("an alle")
    where.locator("#tab-read").click()
    where.locator("#paste").click()
    where.keyboard.type("Pasted words")
    where.keyboard.press("Tab")
    where.keyboard.press("Enter")
    expect(where.locator("#text")).to_have_value("Pasted words")
    assert not stand_in.jobs


def test_text_that_is_none_goes_up_to_be_judged(visiting: Callable[..., Any], stand_in: Any) -> None:
    where = read(visiting(), name="odd.txt", mimeType="text/plain", buffer=b"\xff\xfe\x00bad")
    assert stand_in.jobs[0]["name"] == "odd.txt"
    expect(where.locator("#view-read")).to_be_visible()


def test_pictures_far_below_are_fetched_as_they_come_near(visiting: Callable[..., Any], stand_in: Any) -> None:
    stand_in.document = [page(n, [block("text", [60, 40, 540, 80], f"Page {n}")]) for n in range(1, 61)]
    where = read(visiting())
    expect(where.locator(".pictures img[src]").first).to_be_visible()
    assert not any(path.endswith("/pages/40") for _, path in stand_in.asked)
    where.locator('.prose [data-piece="60-0"]').click()
    expect(where.locator('.box[data-piece="60-0"]')).to_be_in_viewport()
    expect(where.locator('.picture:has([data-piece="60-0"]) img[src]')).to_be_visible()
