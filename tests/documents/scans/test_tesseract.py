"""Tesseract as a program: what it is asked, what its table becomes, and how its failures are said. The program is a
stand-in that each test writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image
from scenes import LINES, page

from microfiche.documents.scans import tesseract
from microfiche.documents.scans.orientation import straight
from microfiche.documents.scans.rapid import TesseractEngine
from microfiche.documents.sheet import Sheet
from microfiche.errors import SetUpError

HEAD = ["level", "page_num", "block_num", "par_num", "line_num", "word_num", "left", "top", "width", "height", "conf",
        "text"]  # fmt: skip
SCRIPT = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([arguments, os.environ["OMP_THREAD_LIMIT"], len(sys.stdin.buffer.read())]) + "\\n")
{body}
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Writes a stand-in with this body; what it was called with can be read back."""

    def write(body: str) -> Path:
        log, file = tmp_path / "log", tmp_path / "stand-in"
        file.write_text(SCRIPT.format(python=sys.executable, log=str(log), body=body))
        file.chmod(0o755)
        monkeypatch.setattr(tesseract, "PROGRAM", str(file))
        tesseract.languages.cache_clear()
        return log

    yield write
    tesseract.languages.cache_clear()


def table(*words: tuple[int, int, int, int, int, float, str]) -> str:
    """The table of words (line, left, top, width, height, confidence, text)."""
    rows = [HEAD, ["1", "1", "0", "0", "0", "0", "0", "0", "900", "400", "-1", ""]]
    rows += [["5", "1", "1", "1", str(line), str(i), *map(str, rest)] for i, (line, *rest) in enumerate(words, 1)]
    return "\n".join("\t".join(row) for row in rows) + "\n"


def test_words_become_lines_divided_at_wide_gaps(program) -> None:  # type: ignore[no-untyped-def]
    said = table((1, 40, 20, 60, 20, 96.0, "Hello"), (1, 110, 20, 70, 20, 90.0, 'q"uote'),
                 (1, 600, 20, 40, 20, 80.0, "far"), (2, 40, 60, 60, 20, 50.0, "below"))
    log = program(f"print({said!r}, end='')")
    lines = tesseract.read_in(page(), "rus+eng")
    assert [(line.text, line.box) for line in lines] == [
        ('Hello q"uote', (40, 20, 180, 40)), ("far", (600, 20, 640, 40)), ("below", (40, 60, 100, 80)),
    ]
    assert lines[0].confidence == pytest.approx((0.96 * 5 + 0.9 * 6) / 11)
    assert all(line.engine == "tesseract" for line in lines) and 20 < lines[0].size < 40
    (((*arguments,), threads, size),) = map(json.loads, log.read_text().splitlines())
    assert arguments == ["-", "-", "-l", "rus+eng", "--psm", "3", "tsv"] and threads == "1" and size > 100


def test_the_language_is_the_one_that_reads_most_surely(program) -> None:  # type: ignore[no-untyped-def]
    sure, unsure = table((1, 0, 0, 90, 20, 95.0, "слово")), table((1, 0, 0, 90, 20, 60.0, "cnoBo"))
    program(f"""
if "--list-langs" in arguments: print("List of available languages (3):\\nosd\\neng\\nrus")
else: print({{"eng": {unsure!r}, "rus": {sure!r}}}[arguments[3]], end="")
""")
    assert tesseract.languages() == ("eng", "rus")
    assert tesseract.language_of(straight(page())) == "rus"
    assert [line.text for line in TesseractEngine().lines(page())] == ["слово"]
    (read_page,) = TesseractEngine().read([Sheet(1, page())])
    assert read_page.engine == "tesseract" and read_page.blocks[0].text == "слово"
    assert read_page.status == "partial", "four lines stand there, and one was read"


def test_the_way_up_is_taken_where_it_is_sure(program) -> None:  # type: ignore[no-untyped-def]
    for rotate, sure, degrees in ((180, 5.0, 180), (90, 3.0, 270), (270, 3.0, 90), (0, 9.0, 0), (180, 0.2, 0)):
        program(f'print("Page number: 0\\nRotate: {rotate}\\nOrientation confidence: {sure}")')
        assert tesseract.turn(page()) == degrees
    program("sys.exit(1)")
    assert tesseract.turn(page()) == 0


def test_failures_are_one_clear_line(program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    program('sys.exit("usage\\nError opening data file xyz.traineddata")')
    with pytest.raises(SetUpError, match=r"failed: Error opening data file xyz\.traineddata$"):
        tesseract.read_in(page(), "xyz")
    assert tesseract.languages() == ()
    with pytest.raises(SetUpError, match="has no language data"):
        TesseractEngine().read([Sheet(1, page())])
    program("import time; time.sleep(600)")
    monkeypatch.setattr(tesseract, "SECONDS", 0.5)
    with pytest.raises(SetUpError, match="took longer than"):
        tesseract.read_in(page(), "eng")
    monkeypatch.setattr(tesseract, "PROGRAM", str(tmp_path / "nowhere"))
    with pytest.raises(SetUpError, match="is not installed"):
        tesseract.read_in(page(), "eng")


def test_odd_tables_end_in_no_traceback(program) -> None:  # type: ignore[no-untyped-def]
    for said in ("", "level\ttext\n", table(), table((1, 5, 5, 0, 0, -1.0, "x"), (1, 5, 5, 9, 9, 40.0, "  "))):
        program(f"print({said!r}, end='')")
        assert len(tesseract.read_in(Image.new("RGB", (50, 50)), "eng")) <= 1


def test_the_engine_reads_in_the_language_it_is_told(program) -> None:  # type: ignore[no-untyped-def]
    words = [(i + 1, 44, 22 + 55 * i, 330, 22, 97.0, text.replace(" ", "\u00a0")) for i, text in enumerate(LINES)]
    log = program(f"print({table(*words)!r}, end='')")
    (read_page,) = TesseractEngine("deu").read([Sheet(1, page())])
    assert len(log.read_text().splitlines()) == 1 and json.loads(log.read_text())[0][3] == "deu"
    assert read_page.status == "ok", read_page.reason
