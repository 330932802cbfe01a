"""What is there before anything was done: its size, its policy, its views by the keyboard, its schemes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

VIEWS = ("read", "pages", "open")


def test_first_view_is_small_and_comes_from_the_server_alone(visit: Any) -> None:
    answers: list[Any] = []
    visit.page.on("response", lambda answer: answers.append(answer))
    visit.open()
    sizes = {answer.url: len(answer.body()) for answer in answers}
    assert len(sizes) > 8 and sum(sizes.values()) < 200_000, sizes
    assert all(url.startswith(visit.url) for url in sizes)
    assert "unsafe" not in answers[0].headers["content-security-policy"]


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_is_wider_than_the_window(visit: Any, view: str) -> None:
    visit.open(f"#{view}")
    expect(visit.page.locator(f"#view-{view}")).to_be_visible()
    assert visit.script("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_is_inline(visit: Any) -> None:
    visit.open()
    assert visit.script("[...document.querySelectorAll('script')].every(s => s.src && !s.textContent)")
    assert visit.script("document.querySelectorAll('style').length") == 0
    assert visit.script("[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
                        ".filter(name => name.startsWith('on')).length") == 0  # fmt: skip


def test_tabs_follow_the_pattern(visit: Any) -> None:
    page = visit.open()
    visit.tab_to("tab-read")
    for key, view in (("ArrowRight", "pages"), ("ArrowRight", "open"), ("ArrowRight", "read"), ("ArrowLeft", "open"),
                      ("Home", "read"), ("End", "open")):  # fmt: skip
        page.keyboard.press(key)
        assert visit.focused() == f"tab-{view}"
        for other in VIEWS:
            tab = page.locator(f"#tab-{other}")
            expect(tab).to_have_attribute("aria-selected", str(other == view).lower())
            expect(tab).to_have_attribute("tabindex", "0" if other == view else "-1")
            expect(page.locator(f"#view-{other}")).to_be_visible(visible=other == view)
    expect(page).to_have_url(f"{visit.url}/#open")
    expect(page).to_have_title("Open, Microfiche")
    page.go_back()
    expect(page.locator("#view-read")).to_be_visible()


def test_skip_link_leads_to_the_content(visit: Any) -> None:
    page = visit.open()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert visit.focused() == "main"
    page.keyboard.press("Tab")
    assert visit.focused() == "choose", "the first button of the view"


def test_what_has_the_focus_is_outlined(visit: Any) -> None:
    page = visit.open()
    for _ in range(8):
        page.keyboard.press("Tab")
        assert visit.script("(e => parseFloat(getComputedStyle(e).outlineWidth))(document.activeElement)") >= 2, (
            visit.focused()
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scheme_is_the_systems_until_the_switch_chooses(visiting: Callable[..., Any], scheme: str) -> None:
    visit = visiting(color_scheme=scheme)
    page = visit.open()

    def dark() -> bool:
        red = visit.script("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        return int(red) < 100

    assert dark() == (scheme == "dark")
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", str(scheme == "dark").lower())
    page.locator("#theme").press("Enter")
    assert dark() == (scheme == "light")
    page.reload()
    expect(page.locator("#theme")).to_have_attribute("aria-pressed", str(scheme == "light").lower())
    assert dark() == (scheme == "light"), "the choice outlives the page"


def test_nothing_moves_where_that_is_not_wanted(visiting: Callable[..., Any]) -> None:
    for wanted, moves in (("reduce", False), ("no-preference", True)):
        visit = visiting(reduced_motion=wanted)
        visit.open()
        lasts = visit.script("getComputedStyle(document.querySelector('.drop')).transitionDuration")
        assert (lasts != "0s") == moves


def test_server_that_does_not_answer_is_said(visit: Any, stand_in: Any) -> None:
    stand_in.refusals.append(("/v1/about", 503, "the server is starting", {}))
    visit.page.goto(visit.url)
    expect(visit.page.locator("#read-trouble")).to_have_text("the server is starting")
