"""Real pages: what the text layer of a PDF says is where the ink is, and what it does not say is not learned."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2.raw as pdfium
import pytest
from matplotlib import get_data_path
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from microfiche.errors import InputError
from microfiche.training import real_store
from microfiche.training.noise import turned, worn
from microfiche.training.real_glyphs import Refused
from microfiche.training.real_pages import (
    EVALUATED,
    MIXTURE,
    RealPages,
    draw,
    group,
    kept_apart,
    unit_held_out,
    unit_of,
    unseen,
)
from microfiche.training.real_store import Document, Shard, extract
from microfiche.training.real_text import PageTruth, page_truth
from microfiche.typesetting.alphabet import NO_GLYPH, glyphs
from microfiche.typesetting.print import Print

WIDTH, HEIGHT = 400, 300
WORDS = "The quick brown fox jumps over the lazy dog and runs away."
BENCHMARK = Path(__file__).parents[2] / "benchmarks/pages.json"
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module", autouse=True)
def dejavu() -> None:
    pdfmetrics.registerFont(TTFont("DejaVu", f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"))


def written(path: Path, *pages: Callable[[Canvas], None], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """A PDF of these pages, each with two lines of words at its top beside what the function draws."""
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas = Canvas(str(path), size)
    for page in pages:
        canvas.setFont("Helvetica", 12)
        for i in range(2):
            canvas.drawString(20, size[1] - 30 - 16 * i, WORDS)
        page(canvas)
        canvas.showPage()
    canvas.save()
    return path


def words(canvas: Canvas) -> None:
    canvas.drawString(20, 200, "More words.")


class Opened:
    """A page of a PDF and its truth."""

    def __init__(self, path: Path, number: int = 0) -> None:
        self._pdf = pdfium.FPDF_LoadDocument(os.fsencode(path), None)
        self.page = pdfium.FPDF_LoadPage(self._pdf, number)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        pdfium.FPDF_ClosePage(self.page)
        pdfium.FPDF_CloseDocument(self._pdf)


def truth_of(path: Path, *pages: Callable[[Canvas], None]) -> PageTruth:
    with Opened(written(path / "a.pdf", *pages)) as opened:
        return page_truth(opened.page)


def lines_of(truth: PageTruth) -> list[str]:
    return ["".join(map(chr, truth.points[start:stop])) for start, stop in truth.spans.tolist()]


def place(truth: PageTruth, text: str) -> slice:
    """Where a text stands among the characters of a truth."""
    whole = "".join(map(chr, truth.points.tolist()))
    assert whole.count(text) == 1
    return slice(whole.index(text), whole.index(text) + len(text))


def test_characters_boxes_and_baselines(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, lambda c: (c.setFont("Times-Roman", 20), c.drawString(30, 100, "Quay, 1899")))
    assert truth.size == (WIDTH, HEIGHT)
    assert sorted(lines_of(truth)) == sorted([WORDS, WORDS, "Quay, 1899"])
    at = place(truth, "Quay, 1899")
    advances = [pdfmetrics.stringWidth(c, "Times-Roman", 20) for c in "Quay, 1899"]
    edges = 30 + np.cumsum([0, *advances])
    np.testing.assert_allclose(truth.boxes[at, 0], edges[:-1], atol=0.7)
    np.testing.assert_allclose(truth.boxes[at, 2], edges[1:], atol=0.7)
    assert (truth.boxes[at, 1] < HEIGHT - 100 - 8).all() and (truth.boxes[at, 3] > HEIGHT - 100).all()
    line = [start for start, _ in truth.spans.tolist()].index(at.start)
    x0, y0, x1, y1 = truth.baselines[line].tolist()
    assert (y0, y1) == pytest.approx((200, 200), abs=0.1) and (x0, x1) == pytest.approx((30, edges[-1]), abs=0.7)
    assert truth.sizes[line] == 20 and not truth.bad.any() and not len(truth.unknown)
    assert truth.fonts == {"Helvetica", "Times-Roman"}


def test_spaces_are_as_wide_as_their_gaps(tmp_path: Path) -> None:
    """Words that are placed one by one have no space in the file; PDFium makes one up, without a box."""

    def apart(canvas: Canvas) -> None:
        for x, word in ((30, "one"), (60, "two"), (200, "three"), (200 + 40, "four")):
            canvas.drawString(x, 150, word)

    truth = truth_of(tmp_path, apart)
    assert {"one two", "three four"} < set(lines_of(truth))
    at = place(truth, "one two")
    left, right = 30 + pdfmetrics.stringWidth("one", "Helvetica", 12), 60
    assert truth.boxes[at][3, [0, 2]] == pytest.approx((left, right), abs=0.7)
    assert (truth.boxes[:, 2] > truth.boxes[:, 0]).all()


def test_spaces_beside_chinese_signs_are_bad(tmp_path: Path) -> None:
    """There the file's gaps are not a matter of words."""
    truth = truth_of(tmp_path, lambda c: (c.setFont("DejaVu", 12), c.drawString(30, 150, "a b \u4dc0 c d")))
    at = place(truth, "a b \u4dc0 c d")
    assert truth.bad[at].tolist() == [False, False, False, True, False, True, False, False, False]


def test_hyphens_at_line_ends_are_hyphens(tmp_path: Path) -> None:
    def divided(canvas: Canvas) -> None:
        canvas.drawString(30, 150, "a word that is di-")
        canvas.drawString(30, 134, "vided by a line end")

    assert {"a word that is di-", "vided by a line end"} < set(lines_of(truth_of(tmp_path, divided)))


def test_ligatures_are_cut_evenly(tmp_path: Path) -> None:
    truth = truth_of(tmp_path, lambda c: (c.setFont("DejaVu", 12), c.drawString(30, 150, "su\ufb03x \ufb01nal")))
    assert "suffix final" in lines_of(truth)
    at = place(truth, "suffix final")
    f, g, i = truth.boxes[at][2:5]
    width = pdfmetrics.stringWidth("\ufb03", "DejaVu", 12) / 3
    for one, two in ((f, g), (g, i)):
        assert one[2] == pytest.approx(two[0], abs=0.01) and one[2] - one[0] == pytest.approx(width, abs=0.5)
    assert not truth.bad.any()


def test_what_is_read_out_in_place_of_what_is_shown_is_unknown(tmp_path: Path) -> None:
    def spoken(canvas: Canvas) -> None:
        canvas._code.append("/Span <</ActualText (TWENTY WORDS)>> BDC")
        canvas.setFont("Helvetica", 20)
        canvas.drawString(30, 150, "20 w.")
        canvas._code.append("EMC")

    truth = truth_of(tmp_path, spoken)
    assert lines_of(truth) == [WORDS, WORDS]
    assert len(truth.unknown) and (truth.unknown[:, 0] >= 20).all() and (truth.unknown[:, 2] < 100).all()


@pytest.mark.parametrize("late", [False, True])
def test_accents_that_are_glyphs_join_their_letters(tmp_path: Path, late: bool) -> None:
    """As TeX's older fonts draw them, before the letter or after all others; and under it."""

    def accented(canvas: Canvas) -> None:
        pen = 30.0
        accents = []
        for letter, accent in (("f", ""), ("ü", "¨"), ("r", ""), ("é", "´"), ("ç", "¸"), ("x", "ˆ")):
            plain = {"ü": "u", "é": "e", "ç": "c"}.get(letter, letter)
            width = pdfmetrics.stringWidth(plain, "Helvetica", 12)
            draw_accent = (pen + (width - pdfmetrics.stringWidth("¨", "Helvetica", 12)) / 2, accent)
            if accent and not late:
                canvas.drawString(draw_accent[0], 150, draw_accent[1])
            canvas.drawString(pen, 150, plain)
            if accent:
                accents.append(draw_accent)
            pen += width
        for x, accent in accents if late else ():
            canvas.drawString(x, 150, accent)

    truth = truth_of(tmp_path, accented)
    assert "füréçx" in lines_of(truth)
    at = place(truth, "füréçx")
    assert truth.bad[at].tolist() == [False] * 5 + [True], "Unicode has no x with a circumflex"


def test_lines_hold_together(tmp_path: Path) -> None:
    """Scripts stay with their line, columns and table cells that are far apart do not, in whatever order they come."""

    def parts(canvas: Canvas) -> None:
        canvas.drawString(200, 150, "right column")
        canvas.drawString(30, 150, "left column")
        canvas.drawString(30, 100, "E = mc")
        x = 30 + pdfmetrics.stringWidth("E = mc", "Helvetica", 12)
        canvas.drawString(x + 5, 100, " is here")
        canvas.setFont("Helvetica", 7)
        canvas.drawString(x, 104.5, "2")

    truth = truth_of(tmp_path, parts)
    assert {"right column", "left column", "E = mc2 is here"} < set(lines_of(truth))
    assert (np.diff(truth.boxes[place(truth, "E = mc2 is here"), 0]) > 0).all()


def test_what_nobody_can_tell_is_bad(tmp_path: Path) -> None:
    """A fraction's two characters over one another, what is drawn twice, and what has no ink."""

    def doubtful(canvas: Canvas) -> None:
        canvas.drawString(30, 150, "half")
        canvas.setFont("Helvetica", 6)
        canvas.drawString(54, 155, "1")
        canvas.drawString(54, 148, "2")
        canvas.setFont("Helvetica", 12)
        canvas.drawString(30, 100, "bold")
        canvas.drawString(31.5, 100, "bo")
        canvas.drawString(100, 100, "white")
        canvas.setFillGray(1)
        canvas.drawString(130.6, 100, "W")

    truth = truth_of(tmp_path, doubtful)
    bad = [chr(point) for point in truth.points[truth.bad].tolist()]
    assert {"1", "2", "b", "o", "W"} == set(bad)


@pytest.mark.parametrize(
    ("sign", "drawn"),
    [
        ("few characters", None),
        ("invisible", lambda c: c.drawText(_invisible(c))),
        ("turned", lambda c: (c.rotate(90), [c.drawString(30, -x, WORDS) for x in (20, 40, 60)])),
        ("no ink", lambda c: (c.setFillGray(1), c.drawString(30, 150, WORDS))),
        ("doubled", lambda c: [c.drawString(30 + x, 150, WORDS + x * ".") for x in (0, 1)]),
        ("loose letters", lambda c: [c.drawString(30, y, "a b c d e f g h i j") for y in range(20, 200, 20)]),
    ],
)
def test_pages_that_do_not_tell_are_refused(tmp_path: Path, sign: str, drawn: Callable[[Canvas], None] | None) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), (WIDTH, HEIGHT))
    canvas.drawString(20, 20, "few")
    canvas.save()
    path = written(tmp_path / "a.pdf", drawn) if drawn else tmp_path / "a.pdf"
    with Opened(path) as opened, pytest.raises(Refused, match=sign):
        page_truth(opened.page)


def _invisible(canvas: Canvas) -> object:
    text = canvas.beginText(30, 150)
    text.setTextRenderMode(3)
    text.textLine(WORDS)
    return text


def test_figures_are_unknown_and_rules_are_not(tmp_path: Path) -> None:
    def figure(canvas: Canvas) -> None:
        canvas.line(20, 180, 380, 180)
        canvas.rect(20, 20, 100, 60)
        for i in range(6):
            canvas.circle(300, 80, 8 * i + 4)
        canvas.setFillGray(0.9)
        canvas.rect(20, 190, 360, 20, stroke=0, fill=1)
        canvas.setFillGray(0)
        canvas.drawString(30, 196, "on a grey ground")
        canvas.rotate(90)
        canvas.drawString(100, -200, "upwards")

    truth = truth_of(tmp_path, figure)
    assert "on a grey ground" in lines_of(truth) and "upwards" not in lines_of(truth)
    covered = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, right, bottom in truth.unknown.round().astype(int).tolist():
        covered[top:bottom, left:right] = True
    assert covered[HEIGHT - 120 : HEIGHT - 40, 260:340].mean() > 0.8, "the circles"
    assert covered[HEIGHT - 140 : HEIGHT - 100, 191:200].any(), "the turned word"
    covered[HEIGHT - 130 : HEIGHT - 30, 250:350] = covered[HEIGHT - 150 : HEIGHT - 90, 185:206] = False
    assert covered.mean() < 0.005, "little but the corners of the frame"


@pytest.mark.parametrize("quarter", [0, 90, 270])
def test_turned_and_cut_pages_are_upright(tmp_path: Path, quarter: int) -> None:
    """A page that the file says is to be turned or cut is seen so, and its truth with it."""
    import pikepdf

    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path), (WIDTH, HEIGHT))
    if quarter:
        canvas.translate(WIDTH / 2, HEIGHT / 2)
        canvas.rotate(quarter)
        canvas.translate(-HEIGHT / 2, -WIDTH / 2)
    for y in (100, 130, 160):
        canvas.drawString(60, y, "Some words here to be read")
    canvas.save()
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        pdf.pages[0].Rotate = quarter
        pdf.pages[0].CropBox = [10, 20, WIDTH - 10, HEIGHT - 20]
        pdf.save(path)
    with Opened(path) as opened:
        truth = page_truth(opened.page)
        one = draw(opened.page, truth, 2.0)
    assert lines_of(truth) == ["Some words here to be read"] * 3
    assert_ink_in_boxes(one)


def assert_ink_in_boxes(one: Print) -> None:
    """All ink is in boxes of characters, and there is some in each but spaces."""
    ink = one.page.image < 128
    assert one.page.text is not None and one.page.boxes is not None
    outside = ink.copy()
    for character, (left, top, right, bottom) in zip(one.page.text, one.page.boxes.tolist(), strict=True):
        box = slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))
        if not character.isspace():
            assert ink[box].any(), character
        outside[box] = False
    for left, top, right, bottom in one.unknown:
        outside[top:bottom, left:right] = False
    assert ink.any() and not outside.any()


@pytest.mark.parametrize("window", [None, (0, 0, 256, 128), (100, 33, 292, 225), (-40, -30, 984, 738)])
def test_a_window_moves_the_truth_with_the_picture(tmp_path: Path, window: tuple[int, int, int, int] | None) -> None:
    with Opened(written(tmp_path / "a.pdf", words)) as opened:
        truth = page_truth(opened.page)
        one = draw(opened.page, truth, 2.0, window)
    left, top, right, bottom = window or (0, 0, 2 * WIDTH, 2 * HEIGHT)
    assert one.page.image.shape == (bottom - top, right - left)
    assert_ink_in_boxes(one)
    assert one.page.text is not None and one.page.boxes is not None
    assert one.page.text.split("\n")[0] in WORDS
    for line in one.lines:
        assert line.size == pytest.approx(24)
        assert 0 <= line.baseline[0] < line.baseline[2] <= right - left
        assert "\n" not in one.page.text[line.start : line.stop]
    whole = (truth.boxes[:, 2] + truth.boxes[:, 0]) - left
    inside = (whole > 0) & (whole < right - left) & (truth.boxes[:, 1] * 2 > top) & (truth.boxes[:, 3] * 2 < bottom)
    shown = len(one.page.text.replace("\n", "").replace(" ", ""))
    assert shown == pytest.approx(np.count_nonzero(inside & (truth.points != 0x20)), abs=3)


def test_what_is_bad_is_no_character_of_the_alphabet(tmp_path: Path) -> None:
    def odd(canvas: Canvas) -> None:
        canvas.setFont("DejaVu", 12)
        canvas.drawString(30, 150, "a \u2665 b and more of it")
        canvas.drawString(30 + pdfmetrics.stringWidth("a \u2665 ", "DejaVu", 12), 150, "c")

    with Opened(written(tmp_path / "a.pdf", odd)) as opened:
        one = draw(opened.page, page_truth(opened.page), 4.0, (0, 4 * 140, 512, 4 * 140 + 128))
    assert one.page.text is not None and one.page.text.startswith("a \u2665") and "\ufffd" in one.page.text
    known = glyphs(one.page.text) != NO_GLYPH
    assert known.tolist() == [character not in "\u2665\ufffd" for character in one.page.text]


def test_noise_moves_what_is_unknown(tmp_path: Path) -> None:
    with Opened(written(tmp_path / "a.pdf", lambda c: c.circle(200, 100, 30, fill=0))) as opened:
        one = draw(opened.page, page_truth(opened.page), 1.0)
    assert one.unknown
    half = worn(one, [lambda picture, _: turned(picture, 180.0)], np.random.default_rng(0))
    expected = {
        (WIDTH - right, HEIGHT - bottom, WIDTH - left, HEIGHT - top) for left, top, right, bottom in one.unknown
    }
    assert set(half.unknown) == expected
    assert half.page.boxes is not None and one.page.boxes is not None and half.page.boxes.dtype == np.float32
    np.testing.assert_allclose(half.page.boxes[:, 0], WIDTH - one.page.boxes[:, 2], atol=1e-3)


TEX = "usr/share/doc/texlive-doc/latex"


@pytest.fixture
def pdfs(tmp_path: Path) -> Path:
    """Documents of a package: three for training, one of 30 pages; one held out, and a copy; two damaged."""
    folder = tmp_path / "pdf/texlive-publishers-doc" / TEX
    apart = next(name for name in map(str, range(1000)) if unit_held_out(f"texlive-publishers-doc/latex/{name}"))
    written(folder / "one/a.pdf", words, words)
    written(folder / "two/b.pdf", lambda c: c.drawString(40, 100, "of another document"))
    written(folder / f"{apart}/held.pdf", lambda c: c.drawString(60, 60, "held out"))
    shutil.copy(folder / f"{apart}/held.pdf", folder / "one/copy.pdf")
    (folder / "one/damaged.pdf").write_bytes((folder / "two/b.pdf").read_bytes()[:700])
    (folder / "one/nothing.pdf").write_bytes(b"")
    written(folder / "two/long.pdf", *[words] * 30)
    return tmp_path / "pdf"


def test_a_store_has_what_can_be_read(pdfs: Path, tmp_path: Path) -> None:
    heard: list[str] = []
    extract(pdfs, tmp_path / "store", progress=lambda name, done, of: heard.append(f"{name} {done}/{of}"))
    assert heard == ["texlive-publishers-doc-000 1/1"]
    shard = Shard(tmp_path / "store/texlive-publishers-doc-000.safetensors")
    names = [Path(document.file).name for document in shard.documents]
    assert sorted(names) == ["a.pdf", "b.pdf", "copy.pdf", "damaged.pdf", "held.pdf", "long.pdf", "nothing.pdf"]
    pages = {name: shard.number[shard.document == i].tolist() for i, name in enumerate(names)}
    assert pages["a.pdf"] == [0, 1] and pages["damaged.pdf"] == pages["nothing.pdf"] == []
    assert len(pages["long.pdf"]) == real_store.PAGES and pages["long.pdf"][-1] == 29
    assert {d.error for d in shard.documents if Path(d.file).stem in ("damaged", "nothing")} == {"damaged or encrypted"}
    page = shard.document.tolist().index(names.index("b.pdf"))
    with Opened(pdfs / shard.documents[names.index("b.pdf")].file) as opened:
        here = page_truth(opened.page)
    there = shard.truth(page)
    assert there.size == here.size and shard.em[page] == 12
    for name in ("points", "boxes", "bad", "spans", "baselines", "sizes", "unknown"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name), strict=True)


def test_extraction_goes_on_where_it_stopped(pdfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_store, "BATCH", 3)
    stopped: list[str] = []

    def stop(name: str, done: int, of: int) -> None:
        stopped.append(name)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(pdfs, tmp_path / "store", progress=stop)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    assert len(before) == 2
    extract(pdfs, tmp_path / "store")
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    assert len(after) == 3 and before.items() < after.items()
    (pdfs / "texlive-publishers-doc" / TEX / "two/b.pdf").unlink()
    extract(pdfs, tmp_path / "store")
    stored = [d.file for path in sorted((tmp_path / "store").iterdir()) for d in Shard(path).documents]
    assert stored == sorted(path.relative_to(pdfs).as_posix() for path in pdfs.rglob("*.pdf"))


def test_a_document_that_hangs_or_crashes_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = str(written(tmp_path / "a.pdf", words))
    reader = real_store._Reader()
    try:
        assert len(reader.read(good)[0]) == 1
        os.mkfifo(tmp_path / "endless.pdf")
        monkeypatch.setattr(real_store, "SECONDS", 0.5)
        assert reader.read(str(tmp_path / "endless.pdf")) == ([], {}, "took longer than 0.5 seconds")
        monkeypatch.setattr(real_store, "SECONDS", 60.0)
        assert len(reader.read(good)[0]) == 1
        assert reader._process is not None
        reader._process.kill()
        reader._process.join()
        assert reader.read(good) == ([], {}, "crashed")
        assert len(reader.read(good)[0]) == 1
    finally:
        reader.end()


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs Debian's dpkg-deb")
def test_pdfs_come_out_of_packages(tmp_path: Path) -> None:
    tree = tmp_path / "tree/usr/share/doc/x"
    data = written(tree / "a.pdf", words).read_bytes()
    (tree / "b.pdf.gz").write_bytes(gzip.compress(data))
    (tree / "damaged.pdf.gz").write_bytes(gzip.compress(data)[:50])
    (tree / "link.pdf").symlink_to("/etc/hostname")
    (tree / "notes.txt").write_text("none of ours")
    (tmp_path / "tree/DEBIAN").mkdir()
    (tmp_path / "tree/DEBIAN/control").write_text(
        "Package: some\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: some\n"
    )
    (tmp_path / "debs").mkdir()
    deb = tmp_path / "debs/some_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tmp_path / "tree"), str(deb)], check=True, capture_output=True)

    def fetched(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(TOOLS / "fetch_pages.py"), str(tmp_path / "out"), "--debs", str(deb.parent)]
        return subprocess.run([*command, "--packages", name], capture_output=True, text=True)

    first = fetched("some")
    assert (first.returncode, first.stdout) == (0, f"some: 2 PDFs, {2 * len(data) / 1e6:.0f} MB\n")
    assert "damaged.pdf: skipped" in first.stderr
    found = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*.pdf")}
    assert found == {f"some/usr/share/doc/x/{name}.pdf": data for name in "ab"}
    assert fetched("some").stdout == "some: already there\n"
    (deb.parent / "half_1_all.deb").write_bytes(deb.read_bytes()[: deb.stat().st_size // 2])
    half = fetched("half")
    assert half.returncode == 1 and "half_1_all.deb: " in half.stderr and "Traceback" not in half.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["some"]


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no training pages .*extract_pages"):
        RealPages(tmp_path / "nowhere", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no PDF in it; tools/fetch_pages"):
        extract(tmp_path / "empty", tmp_path / "store")
    (tmp_path / "a.safetensors").write_bytes(b"not a shard")
    with pytest.raises(InputError, match=r"a\.safetensors: no shard"):
        RealPages(tmp_path, tmp_path)


@pytest.fixture
def store(pdfs: Path, tmp_path: Path) -> Path:
    extract(pdfs, tmp_path / "store")
    return tmp_path / "store"


def test_the_same_state_gives_the_same_page(pdfs: Path, store: Path) -> None:
    one, two = RealPages(store, pdfs), RealPages(store, pdfs)
    two.page(np.random.default_rng(9), 128, 128)
    for seed in range(6):
        a, b = (real.page(np.random.default_rng(seed), 128, 192, (8.0, 16.0)) for real in (one, two))
        assert (a.page.image == b.page.image).all() and a.page.text == b.page.text and a.lines == b.lines
        assert a.page.image.shape == (128, 192) and a.lines
        assert all(8 <= line.size <= 16 for line in a.lines)


def test_what_is_held_out_is_never_drawn(pdfs: Path, store: Path) -> None:
    """Nor what is the same file elsewhere."""

    def texts(real: RealPages) -> str:
        pages = [real.page(np.random.default_rng(seed), 320, 448, (12, 12.1)) for seed in range(30)]
        return "".join(one.page.text or "" for one in pages)

    training, held = RealPages(store, pdfs), RealPages(store, pdfs, held_out=True)
    assert len(held) == 1 and len(training) == 2 + 1 + real_store.PAGES
    assert "held out" in texts(held) and "another" not in texts(held)
    assert "another" in texts(training) and "held out" not in texts(training)


def test_other_pdfs_than_those_extracted_are_an_error(pdfs: Path, store: Path) -> None:
    for path in pdfs.rglob("*.pdf"):
        written(path, words, size=(WIDTH + 10, HEIGHT))
    real = RealPages(store, pdfs)
    with pytest.raises(InputError, match=r"not the file that the store was made from|cannot be opened"):
        real.page(np.random.default_rng(0), 128, 128)
    shutil.rmtree(pdfs)
    with pytest.raises(InputError, match="cannot be opened, but the store has it"):
        real.page(np.random.default_rng(0), 128, 128)


@pytest.mark.parametrize(
    ("file", "unit"),
    [
        (f"texlive-latex-extra-doc/{TEX}/acro/examples/a.pdf", "texlive-latex-extra-doc/latex/acro"),
        (f"texlive-latex-extra-doc/{TEX}/acro/a.pdf", "texlive-latex-extra-doc/latex/acro"),
        (f"texlive-latex-extra-doc/{TEX}/a.pdf", "texlive-latex-extra-doc/latex"),
        ("r-doc-pdf/usr/share/doc/R/manual/a.pdf", "r-doc-pdf/"),
    ],
)
def test_units(file: str, unit: str) -> None:
    assert unit_of(file) == unit


def test_all_that_is_evaluated_is_held_out() -> None:
    pages = json.loads(BENCHMARK.read_text())
    assert len(pages) == 113 and all(len(page["sha256"]) == 64 for page in pages)
    units = {f"{package}/{folders}" for package, several in EVALUATED.items() for folders in several}
    same_text = {
        "texlive-lang-japanese/bibtex/jieeetran", "texlive-publishers-doc/latex/revtex4",
        "texlive-publishers-doc/latex/revtex4-1",
    }  # fmt: skip
    assert {page["unit"] for page in pages} | same_text == units
    assert all(unit_of(page["file"]) == page["unit"] and unit_held_out(page["unit"]) for page in pages)
    others = [f"texlive-latex-extra-doc/latex/{i}" for i in range(1600)]
    assert 60 < sum(map(unit_held_out, others)) < 140


@pytest.mark.parametrize(
    ("font", "held"),
    [
        ("ABCDEF+LinLibertineT", True), ("LibertinusSerif-Regular", True), ("EBGaramond12-Italic", True),
        ("XYZABC+FiraMono-Medium", True), ("Fira Sans", True), ("Cabin-Bold", True), ("Vollkorn-Regular", True),
        ("ABCDEF+CMR10", False), ("Garamond", False), ("LMRoman10-Regular", False), ("Times New Roman", False),
    ],
)  # fmt: skip
def test_typefaces_held_out(font: str, held: bool) -> None:
    assert unseen(font) == held
    assert kept_apart([Document("p/usr/share/doc/texlive-doc/latex/two/a.pdf", "1" * 64, (font,))]) == [held]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (f"texlive-publishers-doc/{TEX}/revtex/aps.pdf", "publishers"),
        (f"texlive-latex-extra-doc/{TEX}/cleveref/cleveref.pdf", "latex"),
        (f"texlive-latex-extra-doc/{TEX}/foo/my-beamer-talk.pdf", "designed"),
        (f"texlive-latex-extra-doc/{TEX}/moderncv/template.pdf", "designed"),
        (f"texlive-latex-extra-doc/{TEX}/transform/transform-example.pdf", "latex"),
        (f"texlive-lang-german/{TEX}/germbib/g.pdf", "languages"),
        ("r-doc-pdf/usr/share/doc/R/manual/R-intro.pdf", "manuals"),
    ],
)
def test_groups(file: str, kind: str) -> None:
    assert group(file) == kind and kind in MIXTURE and sum(MIXTURE.values()) == pytest.approx(1)
