"""The page in Debian's Chromium, driven by Playwright, at a server that stands in for `microfiche serve`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from page_server import PATIENCE as SECONDS
from page_server import StandIn, standing_in

#: A browser is an extra of its own, test-web. Where it is asked for, by the path of its program, nothing may miss.
collect_ignore_glob = [] if os.environ.get("MICROFICHE_BROWSER") else ["test_*.py"]

PATIENCE = 1000 * SECONDS  #: in ms, as Playwright has it
SIZES = {"desktop": {"viewport": {"width": 1440, "height": 900}},
         "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}}  # fmt: skip


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with standing_in(StandIn()) as served:
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        program = os.environ["MICROFICHE_BROWSER"]
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"], timeout=PATIENCE)
        yield started
        started.close()


class Visit:
    """A visitor's page, which notes what was asked for, and every complaint of the browser."""

    def __init__(self, context: Any, url: str) -> None:
        self.context, self.url = context, url
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        self._session: Any = None

    def _heard(self, message: Any) -> None:
        refused = "Failed to load resource" in message.text  # which a test that refuses brings about
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)

    def _asked(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and f"{address.scheme}://{address.netloc}" != self.url:
            self.elsewhere.append(request.url)

    def script(self, expression: str) -> Any:
        """The value of a JavaScript expression, which the page's policy does not hinder."""
        self._session = self._session or self.context.new_cdp_session(self.page)
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._session.send("Runtime.evaluate", asked)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, where: str = "") -> Any:
        """Opens the page, at a view if one is named, and waits until it knows what the server offers."""
        self.page.goto(f"{self.url}/{where}")
        self.page.locator("#density:enabled").wait_for(state="attached")
        return self.page

    def focused(self) -> str:
        """The id of the element that has the focus, or else its class or its tag."""
        return self.script("(e => e.id || e.className || e.tagName)(document.activeElement)")

    def tab_to(self, wanted: str, most: int = 60) -> None:
        """Presses Tab until the element with an id or a class has the focus; fails if it cannot be reached."""
        for _ in range(most):
            if wanted in self.focused().split():
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {wanted}, but to {self.focused()}")


@pytest.fixture
def visiting(browser: Any, stand_in: StandIn) -> Iterator[Callable[..., Visit]]:
    """Makes visits of a size ("desktop" or "phone") with further settings of the browser. After the test, none of them
    may have asked elsewhere, or have had the browser complain."""
    made: list[Visit] = []

    def visit(size: str = "desktop", url: str = "", **settings: Any) -> Visit:
        context = browser.new_context(**{**SIZES[size], "reduced_motion": "reduce", **settings})
        made.append(Visit(context, url or stand_in.url))
        return made[-1]

    yield visit
    for one in made:
        one.context.close()
        assert not one.elsewhere, one.elsewhere
        assert not one.complaints, one.complaints


@pytest.fixture(params=sorted(SIZES))
def visit(visiting: Callable[..., Visit], request: pytest.FixtureRequest) -> Visit:
    """A visit at desktop and at phone size."""
    return visiting(request.param)
