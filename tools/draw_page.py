"""Draws the two pictures of the server's page for the documentation: what was read from a scan and a paper, and a text
as a page under the grid of its tokens.

    python tools/draw_page.py    # writes docs/page-read.png and docs/page-pages.png

It starts `microfiche serve`, needs the extras `serve` and `test-web`, and a Chromium, whose path --browser names.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent.parent
COLOURS = 64  #: of the palette, in which a picture stays small
WAIT = 120_000  #: ms for models to be loaded


def kept(page: Any, name: str) -> None:
    """Writes what is seen as docs/NAME, with a small palette."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    file = HERE / "docs" / name
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    print(f"{file}: {picture.width}×{picture.height} px, {file.stat().st_size:,} bytes")


def draw(url: str, browser: str) -> None:
    """Draws both pictures at the server at `url`."""
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = started.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        page.set_default_timeout(WAIT)
        page.goto(url)
        page.locator("#example").click()
        page.locator("#read-copy:enabled").wait_for()
        page.locator(".pictures img[src]").wait_for()
        page.locator(".prose .block").nth(5).hover()
        page.wait_for_timeout(500)
        kept(page, "page-read.png")
        page.set_viewport_size({"width": 1440, "height": 1020})
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        page.locator("#tab-pages").click()
        page.locator(".square").first.wait_for()
        page.locator(".square").nth(34).hover()
        page.wait_for_timeout(500)
        kept(page, "page-pages.png")
        started.close()


def main() -> None:
    """Starts a server, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default=shutil.which("chromium") or "chromium")
    browser = parser.parse_args().browser
    command = [sys.executable, "-m", "microfiche", "serve", "--port", "0"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if found := re.search(r"http://\S+", line):
                return draw(found[0], browser)
        raise SystemExit("the server did not start")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
