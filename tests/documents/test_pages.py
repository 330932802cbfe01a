"""The pages of a document pass to engines a few at a time, and what shows nothing at all is asked of none."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from makers import Echo, text_pdf, tiff
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from microfiche.documents.engines import Engines
from microfiche.documents.opening import open_document
from microfiche.documents.pages import blank, read_pages
from microfiche.documents.sheet import Sheet
from microfiche.errors import CheckpointError, InputError, MicroficheError, SetUpError, UsageError

A4 = (1240, 1754)


def paper(level: int = 255, noise: float = 0.0, size: tuple[int, int] = A4) -> Image.Image:
    """Paper of this grey, as a scanner sees it that adds noise of this standard deviation."""
    spread = np.random.default_rng(0).normal(level, noise, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.rint(spread), 0, 255).astype(np.uint8))


def written_on(
    page: Image.Image, colour: str | tuple[int, int, int], words: str = "A line of text", size: int = 16,
    at: tuple[int, int] = (300, 900),
) -> Image.Image:  # fmt: skip
    ImageDraw.Draw(page).text(at, words, fill=colour, font=ImageFont.load_default(size=size))
    return page


def shaded() -> Image.Image:
    """Paper that is darker towards one side, as a copier makes it."""
    across = np.linspace(215, 255, A4[0]).astype(np.uint8)
    return Image.fromarray(np.tile(across[:, None], (A4[1], 1, 3)))


@pytest.mark.parametrize(
    "picture",
    [
        *(paper(level) for level in (0, 3, 128, 250, 255)),
        *(paper(245, noise) for noise in (0.5, 1, 2, 3, 4)),
        paper(254, 2),
        paper(4, 2),
        paper(200, 2, (600, 400)),
        shaded(),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (3, 2000), "white"),
    ],
)
def test_a_page_that_shows_nothing_but_paper_and_noise_is_blank(picture: Image.Image) -> None:
    assert blank(picture)


@pytest.mark.parametrize(
    "picture",
    [
        written_on(paper(), (250, 250, 250)),
        written_on(paper(), (245, 245, 245), "pale", 9),
        written_on(paper(), "black", "ok", 8),
        written_on(paper(), "black", ".", 12),
        written_on(paper(size=(5000, 7000)), (225, 225, 225), "one line on a large page", 20),
        written_on(paper(), (255, 255, 200)),
        written_on(paper(0), (12, 12, 12)),
        written_on(paper(128), (128, 140, 119), "of the same grey"),
        written_on(paper(250, 2), (228, 228, 228)),
        written_on(shaded(), (230, 230, 230), at=(1000, 900)),
        written_on(paper(), (200, 200, 200), "x", 10, (A4[0] - 8, A4[1] - 13)),
        written_on(paper(), (242, 242, 242), "\n".join(["pale text all over the page " * 9] * 90), 14, (0, 0)),
        written_on(paper(size=(60, 20)), (247, 247, 247), "small", 12, (5, 3)),
        Image.effect_noise((600, 800), 90).convert("RGB"),
    ],
)
def test_a_page_on_which_anything_is_to_be_seen_is_not_blank(picture: Image.Image) -> None:
    assert not blank(picture)
    assert not blank(picture.transpose(Image.Transpose.ROTATE_180))


def test_a_hairline_and_a_smudge_are_something() -> None:
    for box in ((100, 800, 1100, 800), (100, 300, 100, 1500), (600, 600, 640, 640)):
        page = paper()
        ImageDraw.Draw(page).rectangle(box, fill=(243, 243, 243))
        assert not blank(page)
        assert not blank(page.filter(ImageFilter.GaussianBlur(1)))


def test_pages_pass_in_batches_and_one_that_fails_costs_no_other() -> None:
    echo = Echo(fails=[4])
    with open_document(tiff(7), "x.tif") as opened:
        pages = [page for page, _ in read_pages(opened, Engines(echo, None, forced=True))]
    assert [p.number for p in pages] == list(range(1, 8))
    assert echo.calls == [[1, 2, 3], [4, 5, 6], [4], [5], [6], [7]]
    assert [p.status for p in pages] == ["ok"] * 3 + ["failed"] + ["ok"] * 3
    assert pages[3].reason == "echo failed: RuntimeError: out of paper"


def test_an_engine_that_takes_no_page_at_a_time_skips_none_in_silence() -> None:
    echo = Echo()
    echo.batch = 0
    with open_document(tiff(2), "x.tif") as opened, pytest.raises(UsageError, match="'echo' takes 0 pages at a time"):
        list(read_pages(opened, Engines(echo, None, forced=True)))


@pytest.mark.parametrize("kind", [UsageError, InputError, CheckpointError])
def test_a_page_that_an_engine_refuses_is_failed_and_the_rest_is_read(kind: type[MicroficheError]) -> None:
    echo = Echo([2], kind("a page of 9×9 px: too small"))
    with open_document(tiff(3), "x.tif") as opened:
        pages = [page for page, _ in read_pages(opened, Engines(echo, None, forced=True))]
    assert [(p.status, p.reason) for p in pages] == [
        ("ok", ""), ("failed", "echo failed: a page of 9×9 px: too small"), ("ok", ""),
    ]


def test_an_engine_that_cannot_start_ends_the_document() -> None:
    echo = Echo([1], SetUpError("echo cannot start"))
    with open_document(tiff(3), "x.tif") as opened, pytest.raises(SetUpError, match=r"^echo cannot start$"):
        list(read_pages(opened, Engines(echo, None, forced=True)))
    assert echo.calls == [[1, 2, 3]]


READS = """
import sys
from resource import RUSAGE_SELF, getrusage
from pathlib import Path
from microfiche.documents.document import PageRead
from microfiche.documents.engines import Engines
from microfiche.documents.opening import open_document
from microfiche.documents.pages import read_pages

class Echo:
    name, batch = "echo", 4
    def read(self, sheets):
        return [PageRead(number=s.number, engine="echo") for s in sheets]

with open_document(Path(sys.argv[1]), "x") as opened:
    stream = read_pages(opened, Engines(Echo(), None, forced=True))
    for _ in range(20):
        next(stream)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    print(20 + sum(1 for _ in stream), (getrusage(RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is counted in KiB here")
def test_the_memory_for_many_pages_is_that_for_few(tmp_path: Path) -> None:
    (tmp_path / "many.pdf").write_bytes(text_pdf(["Words"] * 200, (595, 842)))  # 6 MB a page when drawn, 1.2 GB in all
    command = [sys.executable, "-c", READS, str(tmp_path / "many.pdf")]
    pages, grown = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert pages == 200 and grown < 60


def test_a_blank_page_gives_no_text_and_asks_no_engine() -> None:
    out = io.BytesIO()
    Image.new("L", (300, 300), 250).save(out, "PNG")
    echo = Echo()
    with open_document(out.getvalue(), "x.png") as opened:
        ((page, _),) = read_pages(opened, Engines(echo, None))
    assert (page.status, page.blocks, page.chosen, echo.calls) == ("ok", [], "a blank page", [])


def test_a_page_that_cannot_be_opened_is_failed_and_the_rest_is_read() -> None:
    class Broken:
        read = None

        def sheets(self, numbers: object) -> list[Sheet]:
            return [Sheet(1, None, error="damaged"), Sheet(2, Image.effect_noise((50, 50), 90).convert("RGB"))]

    pages = [page for page, _ in read_pages(Broken(), Engines(Echo(), None))]  # type: ignore[arg-type]
    assert [(p.status, p.reason) for p in pages] == [("failed", "damaged"), ("ok", "")]
