"""Documents read side by side, in processes of their own: in order, and whatever happens to one of the processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from makers import text_pdf
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.documents import crew
from microfiche.documents.document import PageRead
from microfiche.documents.engines import EndpointEngine
from microfiche.documents.job import Standing
from microfiche.documents.opening import DocumentSource, documents_in
from microfiche.documents.reading import Outcome, Request, read_to
from microfiche.documents.sheet import Sheet
from microfiche.errors import UsageError

MOST = 600.0  #: seconds that any of this may take on a busy machine


def wait_for(what: Callable[[], object]) -> None:
    end = time.monotonic() + MOST
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def running(marker: str) -> list[int]:
    """The processes whose environment has MARKER=marker."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"MARKER={marker}\0".encode() in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for n, pages in enumerate((6, 1, 2, 1, 3)):
        (tmp_path / "in" / f"{n}.pdf").write_bytes(text_pdf([f"document {n}, page {p}" for p in range(pages)]))
    (tmp_path / "in" / "1.pdf").write_bytes(b"%PDF-1.7 cut")
    return tmp_path


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_many_processes_write_and_say_what_one_does(folder: Path) -> None:
    told: list[list[tuple[str, bool, str]]] = []
    for jobs in (1, 3):
        seen: list[Outcome] = []
        standings: list[Standing] = []
        failures = read_to(
            folder / f"out{jobs}", documents_in([str(folder / "in")]), Request("text"), jobs=jobs, overlays=True,
            each=seen.append, progress=standings.append,
        )  # fmt: skip
        assert [outcome.failure for outcome in failures] == [str(folder / "in/1.pdf")]
        assert (standings[-1].ended, standings[-1].read) == (5, 12)
        told.append([(outcome.name, outcome.document is None, str(outcome.error)) for outcome in seen])
    assert told[0] == told[1] and [missing for _, missing, _ in told[0]] == [False, True, False, False, False]
    assert written(folder / "out1") == written(folder / "out3") != {}


def test_without_a_folder_the_documents_come_back_in_order(folder: Path) -> None:
    seen: list[Outcome] = []
    read_to(None, documents_in([str(folder / "in")]), Request("text", pages="1"), jobs=2, each=seen.append)
    assert [one.document.pages[0].blocks[0].text if one.document else "" for one in seen] == [
        "document 0, page 0", "", "document 2, page 0", "document 3, page 0", "document 4, page 0",
    ]


def test_a_later_run_in_many_processes_goes_on(folder: Path) -> None:
    sources = documents_in([str(folder / "in")])
    read_to(folder / "out", sources[:2], Request("text"), jobs=2)
    seen: list[Outcome] = []
    read_to(folder / "out", sources, Request("text"), jobs=2, resume=True, each=seen.append)
    assert [one.before for one in seen] == [True, False, False, False, False]
    assert all(one.document for one in seen if "1.pdf" not in one.name)


def test_the_command_reads_in_processes_and_names_what_failed(folder: Path) -> None:
    command = ["read", str(folder / "in"), str(folder / "none.pdf"), "-o", str(folder / "out"), "--engine", "text"]
    one, two = (CliRunner().invoke(app, [*command, "--jobs", jobs]) for jobs in ("1", "2"))
    assert one.exit_code == two.exit_code == 1
    lines = [re.sub(r" in [\d.]+ s,", "", each.stderr).splitlines() for each in (one, two)]
    assert lines[0] == lines[1]
    assert lines[0][-1] == f"microfiche: 2 of 6 documents were not read whole: {folder}/in/1.pdf, {folder}/none.pdf"
    assert CliRunner().invoke(app, [*command, "--jobs", "0"]).exit_code == 2
    held = CliRunner().invoke(app, [*command[:5], "--weights", "nowhere", "--jobs", "2"])
    assert held.exit_code == 2 and "with --weights, leave --jobs out" in held.stderr


def test_an_engine_that_cannot_be_sent_is_refused_before_anything_is_read(folder: Path) -> None:
    class Mine:
        name, batch = "mine", 1

        def read(self, sheets: list[Sheet]) -> list[PageRead]:
            raise AssertionError

    with pytest.raises(UsageError, match="cannot read in several processes"):
        read_to(folder / "out", documents_in([str(folder / "in")]), Request(pictures=Mine()), jobs=2)
    assert not (folder / "out").exists()


def test_each_process_gets_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in crew.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    code = """
import os, sys
from microfiche.documents import crew
crew.hold_to(2)
import onnxruntime, rapidocr
from pathlib import Path
model = str(sorted((Path(rapidocr.__file__).parent / "models").glob("*.onnx"))[0])
mine = onnxruntime.SessionOptions()
mine.intra_op_num_threads = 1
print([onnxruntime.InferenceSession(model, *given).get_session_options().intra_op_num_threads
       for given in ((), (onnxruntime.SessionOptions(),), (mine,))])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[2, 2, 1]\n"
    assert [crew._fewer(given, 4) for given in ("", "0", "x", "3", "8")] == [4, 4, 4, 3, 4]


@pytest.fixture
def silent() -> Iterator[tuple[str, threading.Semaphore]]:
    """An address that takes questions and never answers, and how many it has taken."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    taken = threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            taken.release()
            self.rfile.read(1)  # until the client is gone

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1", taken
        server.shutdown()
        thread.join()


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_the_run_ends_so_do_all_its_processes(
    folder: Path, silent: tuple[str, threading.Semaphore], number: signal.Signals
) -> None:
    address, taken = silent
    marker = f"{folder.name}-{number}-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-m", "microfiche", "read", str(folder / "in"), "-o", str(folder / "out"), "--jobs", "2",
         "--engine", "endpoint", "--endpoint", address],
        env={**os.environ, "MARKER": marker, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE, start_new_session=True,
    ) as run:  # fmt: skip
        assert taken.acquire(timeout=MOST) and taken.acquire(timeout=MOST)
        run.send_signal(number)
        _, said = run.communicate(timeout=MOST)
    wait_for(lambda: not running(marker))
    assert not list(folder.rglob("*.part")) and not list((folder / "out").glob("*.md"))
    if number == signal.SIGINT:
        assert run.returncode == 130 and b"stopped; nothing half-written was left" in said
        assert b"Traceback" not in said


@needs_proc
def test_a_process_that_is_killed_costs_its_document_alone(
    folder: Path, silent: tuple[str, threading.Semaphore], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, taken = silent
    marker = f"{folder.name}-{os.getpid()}"
    monkeypatch.setenv("MARKER", marker)
    seen: list[Outcome] = []

    def kill() -> None:
        assert taken.acquire(timeout=MOST)
        for pid in running(marker):
            with suppress(OSError):  # what worked for one that was killed may be gone already
                if b"microfiche.documents.crew" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    (folder / "in/0.pdf").write_bytes(text_pdf(["page"]))  # the first alone has a page for which the engine is asked
    sources = [DocumentSource("first", folder / "in/0.pdf"), DocumentSource("second", folder / "in/1.pdf")]
    killer = threading.Thread(target=kill)
    killer.start()
    request = Request("endpoint", EndpointEngine(address))
    read_to(folder / "out", sources, request, jobs=2, each=seen.append, progress=lambda standing: None)
    killer.join()
    assert str(seen[0].error) == "first: the process that read it died (SIGKILL)"
    assert seen[1].error is not None and seen[1].name == "second"
    wait_for(lambda: not running(marker))


def test_how_many_pages_there_will_be_is_guessed_from_those_that_are_known() -> None:
    told: list[int] = []
    standing = Standing(4, lambda standing: told.append(standing.expected))
    standing.told(0, "opened", 10)
    standing.told(0, "read", 1)
    standing.told(1, "opened", 20)
    standing.told(1, "read", 1)
    standing.end(1)
    standing.end(2)
    standing.end(3)
    assert told == [40, 60, 22, 15, 11] and standing.pages == 11
