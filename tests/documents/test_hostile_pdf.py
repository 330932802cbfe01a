"""PDFs that are broken or hostile cost a page or are refused in one line; no process outlives its document."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import makers
import pikepdf
import pytest
from makers import PATIENCE, drawn, encrypted_pdf, one_page, pixels, raw_pdf, second_page_hurried, sheets, text_pdf
from reportlab.pdfgen.canvas import Canvas

from microfiche.documents.opening import open_document
from microfiche.errors import InputError
from microfiche.limits import Limits


def workers_of(pid: int) -> list[int]:
    """The processes below this one that open PDFs; others, such as multiprocessing's own, may stay."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    found = []
    for one in lists:
        with suppress(OSError):  # a thread or a process that ends meanwhile
            for child in map(int, one.read_text().split()):
                if b"documents.pdf.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
    return found


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for worker processes in /proc")


def test_an_encrypted_pdf_opens_with_its_password_alone() -> None:
    data = encrypted_pdf("sesame")
    with pytest.raises(InputError, match=r"^a file: encrypted; give its password$"):
        sheets(data)
    with pytest.raises(InputError, match=r"^a file: encrypted, and this is not its password$"):
        sheets(data, password="open")
    assert [sheet.error for sheet in sheets(data, password="sesame")] == [None] * 3


def test_a_truncated_pdf_is_an_error_or_is_marked_as_repaired() -> None:
    data = text_pdf()
    with pytest.raises(InputError, match=r"^a file: damaged or cut short"):
        sheets(data[: len(data) // 4])
    with open_document(data[: data.rindex(b"startxref")], "a file") as document:
        assert document.repaired
        assert [sheet.error is None for sheet in document.sheets()] == [True] * 3


def test_a_pdf_without_pages_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^a file: has no pages$"):
        sheets(raw_pdf(makers.CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"))


def test_a_pdf_that_says_it_has_a_million_pages_is_refused() -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>"
    with pytest.raises(InputError, match=r"^a file: says it has 1,000,000 pages; the limit pages is 10,000$"):
        sheets(raw_pdf(makers.CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 1000000>>", page))


def test_pages_that_are_counted_but_are_not_there_fail_one_by_one() -> None:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>"
    found = sheets(raw_pdf(makers.CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 3>>", page))
    assert [sheet.error for sheet in found] == [None, *["damaged: this page cannot be found in the file"] * 2]


def test_a_page_of_a_million_points_is_refused_before_it_is_drawn() -> None:
    (sheet,) = sheets(one_page(b"[0 0 1000000 1000000]"), limits=Limits(memory=1 << 29))
    assert sheet.picture is None and sheet.text is None
    assert sheet.error == (
        "1,000,000 × 1,000,000 points at 144 dpi are 4,000,000,000,000 pixels; the limit pixels is 100,000,000"
    )


@pytest.mark.parametrize("box", [b"[0 0 0 0]", b"[0 0 nan 10]", b"[0 0 1e39 10]", b"[200 100 0 0]", b"(no box)"])
def test_a_page_with_a_senseless_box_is_drawn_or_refused(box: bytes) -> None:
    (sheet,) = sheets(one_page(box))
    assert (sheet.picture is None) == (sheet.error is not None)


def test_a_page_that_hangs_costs_that_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    second_page_hurried(monkeypatch, 0.5)
    found = sheets(makers.endless_second_page(), workers=1)
    assert [sheet.number for sheet in found] == [1, 2, 3]
    assert [sheet.error for sheet in found] == [None, "took longer than 0.5 seconds, which is the limit seconds", None]


def test_a_page_that_takes_too_much_memory_costs_that_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    second_page_hurried(monkeypatch, 20)
    found = sheets(makers.ravenous_second_page(), limits=Limits(memory=1 << 29))
    first, second, third = [sheet.error for sheet in found]
    assert first is None and third is None
    assert second in (
        "the process that opened it died (SIGABRT, perhaps because the limit memory is too low)",
        "took longer than 20 seconds, which is the limit seconds",  # where the system holds no process to its memory
    )


def test_an_image_of_a_gigabyte_in_a_small_file_is_drawn_in_little_memory() -> None:
    data = makers.large_image(20_000)
    assert len(data) < 5000
    found = sheets(data, limits=Limits(memory=1 << 30))
    assert [int(pixels(sheet).max()) for sheet in found] == [255, 0, 255]


@linux
def test_a_worker_that_dies_costs_the_page_it_was_at_alone() -> None:
    with open_document(makers.endless_second_page(), "x", limits=Limits(seconds=1e6), workers=1) as document:
        stream = document.sheets()
        assert next(stream).error is None
        (worker,) = workers_of(os.getpid())
        os.kill(worker, signal.SIGKILL)
        assert next(stream).error == "the process that opened it died (SIGKILL)"
        assert next(stream).error is None
    assert not workers_of(os.getpid())


@linux
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_parent(how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(makers.endless_second_page())
    program = (
        "import sys, pathlib; from microfiche.documents.opening import open_document\n"
        "from microfiche.limits import Limits\n"
        "with open_document(pathlib.Path(sys.argv[1]), 'x', limits=Limits(seconds=1e6), workers=1) as document:\n"
        "    for sheet in document.sheets(): print(sheet.number, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "x.pdf")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout and parent.stdout.readline() == b"1\n"
        (worker,) = workers_of(parent.pid)
        lives = os.pidfd_open(worker)
        parent.send_signal(how)
        parent.wait(PATIENCE)
    assert select.select([lives], [], [], PATIENCE)[0], "it can be read once the process has ended"
    os.close(lives)


@linux
def test_closing_ends_the_workers_whatever_they_are_doing() -> None:
    document = open_document(makers.endless_second_page(), "x", limits=Limits(seconds=1e6), workers=2)
    stream = document.sheets()
    next(stream)
    assert workers_of(os.getpid())
    document.close()
    assert not workers_of(os.getpid())


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pypdfium2.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert len(sheets(text_pdf())) == 3


def test_a_file_that_is_opened_anew_on_the_way_gives_all_its_pages() -> None:
    found = sheets(text_pdf([f"Page {i}" for i in range(1, 251)]), workers=1)
    assert [sheet.text and sheet.text.text for sheet in found] == [f"Page {i}" for i in range(1, 251)]


def test_javascript_and_embedded_files_are_left_alone() -> None:
    with pikepdf.open(io.BytesIO(text_pdf(["Plain"]))) as pdf:
        pdf.attachments["evil.pdf"] = text_pdf(["Embedded"])
        pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="while (true) app.alert('x')")
        file = io.BytesIO()
        pdf.save(file)
    (sheet,) = sheets(file.getvalue(), limits=Limits(seconds=PATIENCE))
    assert sheet.text and sheet.text.text == "Plain"


def test_what_was_filled_into_a_form_is_in_picture_and_text() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.acroForm.textfield(name="a", value="FILLED", x=20, y=20, width=150, height=40, borderWidth=0)

    sheet = drawn(draw)
    assert sheet.text and sheet.text.text == "FILLED"
    left, top, right, bottom = sheet.text.boxes[0].astype(int)
    assert pixels(sheet)[top:bottom, left:right].min() < 128
