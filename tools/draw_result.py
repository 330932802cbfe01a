"""Draws what a coding agent's model is sent in the place of a long result of a tool, for the documentation.

    python tools/draw_result.py    # writes docs/result.png

The result is a search in this repository, drawn by what is published of Claude Fable 5.1.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image

from microfiche.proxy.pages import Proofreader, draft
from microfiche.proxy.sight import sight_of

HERE = Path(__file__).resolve().parent.parent
MODEL = "claude-fable-5-1"
CHARACTERS = 12_000  #: of the result
SHADES = 4  #: of grey, in which letters of five by eight pixels stay what they are


def result() -> str:
    """The lines of the memory's source that define something, as grep prints them."""
    lines = [
        f"{file.relative_to(HERE)}:{number}:{line}\n"
        for file in sorted((HERE / "src/microfiche/memory").glob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if re.match(r" *(def|class) ", line)
    ]
    return "".join(lines)[:CHARACTERS].rpartition("\n")[0]


def main() -> None:
    """Draws the result, and says what it costs."""
    sight, _ = sight_of(MODEL)
    assert sight is not None
    drawn = draft("result", result(), sight, Proofreader())
    page = drawn.block.pages[0]
    picture = Image.open(io.BytesIO(page.png)).convert("L")
    file = HERE / "docs" / "result.png"
    picture.quantize(SHADES).save(file, "PNG", optimize=True)
    print(f"{file}: {page.width}×{page.height} px, {file.stat().st_size:,} bytes")
    print(f"{len(drawn.block.pages)} page, {drawn.tokens:,} tokens for {drawn.text_tokens:,}; beside it:")
    print(page.caption)


if __name__ == "__main__":
    main()
