"""Each page is read by the engine that suits it, and ends in a status."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from makers import Echo, tiff
from PIL import Image

import microfiche
from microfiche.documents.document import Document, PageRead
from microfiche.documents.engines import engines
from microfiche.documents.job import Standing
from microfiche.documents.opening import documents_in, open_document
from microfiche.documents.pages import read_pages
from microfiche.documents.reading import Outcome, Request, read_to
from microfiche.documents.scans.orientation import tilt
from microfiche.documents.scans.rapid import RapidEngine
from microfiche.documents.sheet import Sheet, TextLayer
from microfiche.errors import UsageError
from microfiche.precision import precision

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PAPER = EXAMPLES / "paper.pdf"


def layer(text: str, **changes: object) -> TextLayer:
    n = len(text)
    plain = TextLayer(
        text, np.tile(np.float32([[10, 10, 20, 30]]), (n, 1)), np.full(n, 12, np.float32), np.zeros(n, np.float32), [],
        np.full(n, -1, np.int16), np.ones(n, bool), np.zeros(n, bool), np.zeros(n, bool),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


PICTURE = Image.new("RGB", (600, 800), "white")
WORDS = (
    "These are ordinary words that anybody can read without any trouble at all, since nothing here is strange, neither "
    "the letters nor their order, and whoever has learned to read will understand every sentence. "
) * 4


def test_a_text_layer_that_is_asked_for_though_unsound_is_no_success() -> None:
    class Shown:
        read = None

        def sheets(self, numbers: object) -> list[Sheet]:
            noise = Image.effect_noise((600, 800), 90).convert("RGB")
            garbled = layer(WORDS.translate(str.maketrans("aeiouy", "bcdfgh")))
            return [Sheet(1, noise), Sheet(2, noise, garbled), Sheet(3, PICTURE)]

    pages = [page for page, _ in read_pages(Shown(), engines("text"))]  # type: ignore[arg-type]
    assert [(p.status, p.reason) for p in pages] == [
        ("failed", "no text layer"), ("partial", "its text is garbled: words without vowels"), ("ok", ""),
    ]


def test_engines_are_chosen_page_by_page_or_forced() -> None:
    echo = Echo()
    sound, scan = Sheet(1, PICTURE, layer(WORDS)), Sheet(2, PICTURE)
    free = engines(pictures=echo)
    assert [free.choose(s)[0].name for s in (sound, scan)] == ["text", "echo"]
    assert free.choose(scan)[1] == "no text layer"
    assert engines("text").choose(scan)[0].name == "text"
    assert engines("echo", echo).choose(sound)[0].name == "echo"
    known = "text, rapid, tesseract, nano, nano-rapid, endpoint, deepseek-ocr, deepseek-ocr-2, unlimited-ocr, "
    known += "nano-pages"
    with pytest.raises(UsageError, match=f"no engine 'tea'; there are {known}"):
        engines("tea")
    with pytest.raises(UsageError, match="engine 'deepseek-ocr' needs weights"):
        engines("deepseek-ocr")
    with pytest.raises(UsageError, match=r"^nano-lines reads only pages that Microfiche set \("):
        engines("nano-lines")


def test_the_example_paper_becomes_markdown() -> None:
    document = microfiche.read(PAPER)
    assert [(p.engine, p.status) for p in document.pages] == [("text", "ok")]
    text = document.markdown()
    assert text.startswith("# Notes on Small Pages\n")
    for line in (
        "## 2. What a card holds",
        "- that nothing on it is lost that a reader will want;",
        "| Fiche, 105 × 148 mm | 1961 | 24 | 98 |",
        "*Table 1. Formats of microfilm and what they hold.*",
        "*Figure 1. Letters read after copies of copies, for three sizes of type.*",
    ):
        assert line in text.splitlines()
    assert r"$$m = \frac{rh}{q} \tag{1}$$" in text and "The Microfiche Project\n\nA paper made to be read back" in text
    assert "generation of the copy" in next(b.text for b in document.pages[0].blocks if b.kind == "figure")
    assert "for three sizes clerks could still read" not in text
    assert "how many letters of three sizes clerks could still read" in text
    assert text.index("Film does not fail at once") < text.index("It is tempting to keep only a summary")
    kinds = [block.kind for block in document.pages[0].blocks]
    assert {kind: kinds.count(kind) for kind in ("formula", "figure", "header", "footer")} == {
        "formula": 1, "figure": 1, "header": 1, "footer": 1,
    }


def test_the_example_scan_is_read_by_rapidocr() -> None:
    document = microfiche.read(EXAMPLES / "scan.jpg")
    (page,) = document.pages
    assert (page.engine, page.chosen, page.status) == ("rapid", "no text layer", "ok")
    assert "every page of the parish register can be read." in document.markdown()
    whole = microfiche.read(PAPER).plain()
    assert 0 < precision(document.plain(), whole) < 0.5  # the comparison itself is no constant


@pytest.mark.parametrize("degrees", [-2.0, -0.5, 0.0, 1.3])
def test_a_tilted_page_is_set_straight(degrees: float) -> None:
    with open_document(PAPER, "paper") as opened:
        (sheet,) = opened.sheets()
    assert sheet.picture is not None
    turned = sheet.picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
    assert tilt(turned) == pytest.approx(-degrees, abs=0.21)


def test_boxes_of_a_tilted_page_lie_on_the_page_as_it_was() -> None:
    with open_document(PAPER, "paper") as opened:
        (sheet,) = opened.sheets()
    assert sheet.picture is not None
    crop = sheet.picture.crop((0, 0, 1191, 260))
    boxes = []
    for degrees in (0.0, 2.0):
        turned = crop.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
        (page,) = RapidEngine().read([Sheet(1, turned)])
        boxes.append(next(b.box for b in page.blocks if b.text == "Notes on Small Pages" and b.kind == "title"))
    assert abs((boxes[0][0] + boxes[0][2]) - (boxes[1][0] + boxes[1][2])) < 12
    assert boxes[1][3] - boxes[1][1] > boxes[0][3] - boxes[0][1]


def test_documents_are_read_to_a_folder_and_failures_gathered(tmp_path: Path) -> None:
    for name, data in {"a.tif": tiff(3), "b.png": b"no picture", "c.tif": tiff(2)}.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    sources = documents_in([str(tmp_path / "in")])
    seen: list[Outcome] = []
    shown: list[tuple[int, int, int]] = []

    def progress(standing: Standing) -> None:
        shown.append((standing.ended, standing.read, standing.expected))

    request = Request("echo", Echo(fails=[3]))
    failures = read_to(tmp_path / "out", sources, request, form="text", each=seen.append, progress=progress)
    assert [Path(outcome.name).name for outcome in seen] == ["a.tif", "b.png", "c.tif"]
    a, b, c = seen
    assert failures == [a, b]
    assert a.document is not None and c.document is not None and c.failure == ""
    assert [page.status for page in a.document.pages] == ["ok", "ok", "failed"] and a.failure == f"{a.name} (page 3)"
    assert b.document is None and b.failure == b.name and "not a PDF, picture" in str(b.error)
    assert shown == [(0, 1, 9), (0, 2, 9), (0, 3, 9), (1, 3, 9), (2, 3, 4), (2, 4, 5), (2, 5, 5), (3, 5, 5)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a.txt", "c.json", "c.txt"]
    assert a.document.settings == {
        "engine": "echo", "pages": "", "dpi": "144", "task": "markdown", "pictures": "echo",
        "microfiche": microfiche.__version__,
    }


def test_a_later_run_reads_only_what_an_earlier_one_did_not(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(3))
    sources = documents_in([str(tmp_path / "a.tif")])
    seen: list[Outcome] = []
    (failure,) = read_to(tmp_path, sources, Request("echo", Echo(fails=[2])))
    assert failure.failure.endswith("(page 2)")
    sound = Echo()
    for _ in range(2):
        assert read_to(tmp_path, sources, Request("echo", sound), resume=True, each=seen.append) == []
    assert sound.calls == [[2]] and [outcome.before for outcome in seen] == [False, True]
    read_to(tmp_path, sources, Request("echo", sound, dpi=72), resume=True)
    assert sound.calls == [[2], [1, 2, 3]]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tif").write_bytes(tiff(1))
    seen: list[Outcome] = []
    echo = Echo()
    assert read_to(None, documents_in(["a.tif"]), Request(pictures=echo, task="ocr"), each=seen.append) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    (page,) = seen[0].document.pages if seen[0].document else ()
    assert (page.engine, page.chosen) == ("echo", "asked for")


def test_an_address_is_no_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("s3://bucket/out", "https://host/out"):
        with pytest.raises(UsageError, match="the output cannot go to an address; name a folder"):
            list(read_to(Path(address), documents_in([str(PAPER)]), Request("text")))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_nothing_behind_and_a_bad_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Image.new("RGB", (60, 40), "white").save(tmp_path / "a.png")
    sources, request = documents_in([str(tmp_path / "a.png")]), Request("echo", Echo())
    with monkeypatch.context() as patch:
        patch.setattr(PageRead, "model_dump_json", full)
        patch.setattr(Document, "model_dump_json", full)
        (outcome,) = read_to(tmp_path / "out", sources, request)
    assert outcome.error and "No space left" in str(outcome.error)
    assert list((tmp_path / "out").iterdir()) == []
    (outcome,) = read_to("/proc/none", sources, request)
    assert str(outcome.error).startswith("/proc/none: cannot be the output folder")
