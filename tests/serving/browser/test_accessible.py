"""axe-core finds no serious fault in any view, at either size, in either scheme."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_server import StandIn, picture
from playwright.sync_api import expect
from test_open import FICHE, fiche, memory


def faults(visit: Any) -> list[str]:
    """What axe finds that is serious or critical, with where it is."""
    found = visit.script("""axe.run(document, { resultTypes: ["violations"] }).then((said) => said.violations
      .filter((one) => ["serious", "critical"].includes(one.impact))
      .map((one) => one.id + ": " + one.nodes.map((node) => node.target + " " + node.failureSummary).join("; ")))""")
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_no_view_has_a_serious_fault(visiting: Callable[..., Any], stand_in: StandIn, size: str, scheme: str) -> None:
    stand_in.opened, stand_in.memories = fiche(), {"history": memory()}
    stand_in.about["memories"] = ["history"]
    stand_in.unsure = {"1": [{"box": [60, 110, 540, 150], "confidence": 0.3, "text": "It was the best of times,"},
                             {"box": [60, 380, 540, 480], "confidence": 0.7, "text": "1928"}]}  # fmt: skip
    visit = visiting(size, color_scheme=scheme)
    visit.context.add_init_script(path=Path(os.environ["MICROFICHE_NODE_MODULES"]) / "axe-core/axe.min.js")
    where = visit.open()
    assert faults(visit) == []
    where.locator("#paste").click()
    assert faults(visit) == [], "the question for a text"
    where.keyboard.press("Escape")
    stand_in.go_on.clear()
    where.locator("#file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": picture(9, 9)})
    expect(where.locator("#read-state")).to_contain_text("Page 2")
    assert faults(visit) == [], "while it is read"
    stand_in.go_on.set()
    expect(where.locator("#read-copy")).to_be_enabled()
    where.locator(".prose .block").nth(2).focus()
    assert faults(visit) == [], "what was read"
    where.get_by_text("Markdown", exact=True).click()
    assert faults(visit) == [], "its Markdown"
    where.locator("#tab-pages").click()
    expect(where.locator(".square").first).to_be_visible()
    where.locator("#error-after").click()
    assert faults(visit) == [], "text as pages"
    where.locator("#tab-open").click()
    expect(where.locator("#memories button")).to_be_visible()
    assert faults(visit) == []
    where.locator("#open-file").set_input_files(FICHE)
    expect(where.locator("#one img[src]")).to_be_visible()
    where.locator("#query").fill("rabbit")
    where.locator("#query").press("Enter")
    expect(where.locator("#one mark")).to_be_visible()
    assert faults(visit) == [], "a file of pages"
    where.locator("#open-close").click()
    where.locator("#memories button").click()
    where.locator("summary", has_text="notes.txt").click()
    expect(where.locator('[data-key="2"]')).to_be_visible()
    assert faults(visit) == [], "a memory"
    stand_in.refusals.append(("/v1/jobs", 415, "no", {}))
    where.locator("#open-close").click()
    where.locator("#open-file").set_input_files(FICHE)
    expect(where.locator("#open-trouble")).to_have_text("no")
    assert faults(visit) == [], "an error"
