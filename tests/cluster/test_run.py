"""Runs without Ray: the bytes of one machine, ranges of long documents, what goes on, what crashes, what is refused."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from inline_pool import Inline, read_inline, written
from makers import text_pdf
from typer.testing import CliRunner

from microfiche.cli import app
from microfiche.cluster import pool, work
from microfiche.cluster.packing import Packing
from microfiche.cluster.plan import Unit
from microfiche.cluster.pool import refuse_old, refuse_other_versions
from microfiche.cluster.run import run, status
from microfiche.cluster.table import OWN, Row, Table
from microfiche.cluster.work import Reading
from microfiche.cluster.worker import BEGUN, LOST, Worker
from microfiche.documents.document import PageRead
from microfiche.documents.job import Do, Request
from microfiche.documents.opening import DocumentSource, documents_in
from microfiche.documents.reading import read_to
from microfiche.documents.sheet import Sheet
from microfiche.errors import InputError, MicroficheError, SetUpError, UsageError


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `in` of documents, one long, two damaged, two of one name, and `out`, as one machine reads it."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "in/more").mkdir(parents=True)
    head = "The running head of all\n\n"
    for name, pages in (("a", 1), ("long", 7), ("more/a", 2)):
        texts = [f"{head}Page {n} of {name} says little\nand goes on at length" for n in range(pages)]
        (folder / "in" / f"{name}.pdf").write_bytes(text_pdf(texts, (300, 200)))
    (folder / "in/cut.pdf").write_bytes(b"%PDF-1.7 cut")
    (folder / "in/none.pdf").write_bytes(b"no PDF")
    read_to(folder / "out", documents_in([str(folder / "in")]), Request("text"))
    return folder


def statuses(folder: Path) -> dict[str, str]:
    return {row.name: row.status for row in Table(folder).latest()}


def test_the_output_is_that_of_one_machine_and_nothing_is_done_twice(shelf: Path, tmp_path: Path) -> None:
    first = Inline()
    found = read_inline([shelf / "in"], tmp_path, first, span=3)
    assert written(tmp_path) == written(shelf / "out") and not list(tmp_path.glob(".*.journal*"))
    assert statuses(tmp_path) == {"a": "ok", "a-2": "ok", "long": "ok", "cut": "failed", "none": "failed"}
    assert (found.documents, found.before, len(found.failed)) == (5, 0, 2)
    assert [unit.pages for unit, _ in first.seen if unit.pages] == [(0, 3), (3, 6), (6, 7)]
    (row,) = (row for row in Table(tmp_path).latest() if row.name == "long")
    assert (row.pages, row.pages_ok, row.engine, row.outputs) == (7, 7, "text", ["long.md", "long.json"])
    told = status(tmp_path)
    assert (told["listed"], told["documents_ok"], told["pages"]) == (5, 3, 10)
    assert "none.pdf" in " ".join(told["failed"])
    again = Inline()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")}
    found = read_inline([shelf / "in"], tmp_path, again, span=3)
    assert (found.before, found.failed_before, found.failed) == (5, 2, []) and again.seen == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.md")} == before
    retried = Inline()
    read_inline([shelf / "in"], tmp_path, retried, retry_failed=True)
    assert [unit.name for unit, _ in retried.seen] == ["cut", "none"]
    assert not list((tmp_path / OWN).glob("units*"))


class Killed(BaseException):
    pass


def test_a_run_that_is_killed_anywhere_goes_on(shelf: Path, tmp_path: Path) -> None:
    """The driver dies before its first unit, in the next run before its second, and so on until one run comes to its
    end. Nothing is read twice, but for the answer that a document is long."""
    read: list[str] = []
    for allowed in range(20):
        units = iter(range(allowed))

        def dies(unit: Unit, units: Iterator[int] = units) -> None:
            if next(units, None) is None:
                raise Killed

        one = Inline(dies)
        with suppress(Killed):
            read_inline([shelf / "in"], tmp_path, one, span=3)
            break
        read += [unit.key for unit, found in one.seen if "row" in found]
    else:
        raise AssertionError("it never came to an end")
    assert written(tmp_path) == written(shelf / "out") and not list(tmp_path.glob(".*.journal*"))
    assert sorted(row.name for row in Table(tmp_path).rows()) == ["a", "a-2", "cut", "long", "none"]
    assert sorted(read) == sorted(set(read))


def test_ranges_that_were_read_are_not_read_again(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[int] = []
    read_pages = work.read_pages

    def counted(opened: Any, at_hand: Any, numbers: list[int]) -> Any:
        pages.extend(numbers)
        return read_pages(opened, at_hand, numbers)

    monkeypatch.setattr(work, "read_pages", counted)

    def dies(unit: Unit) -> None:
        if unit.whole or (unit.pages == (6, 7) and len(pages) == 6):
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            read_inline([shelf / "in/long.pdf"], tmp_path, Inline(dies), span=3)
    read_inline([shelf / "in/long.pdf"], tmp_path, Inline(), span=3)
    assert pages == [1, 2, 3, 4, 5, 6, 7]
    assert (tmp_path / "long.md").read_bytes() == (shelf / "out/long.md").read_bytes()


def test_a_document_whose_row_was_lost_is_not_read_again(shelf: Path, tmp_path: Path) -> None:
    read_inline([shelf / "in/a.pdf"], tmp_path, Inline())
    shutil.rmtree(tmp_path / "documents.parquet")
    before = (tmp_path / "a.md").stat().st_mtime_ns
    read_inline([shelf / "in/a.pdf"], tmp_path, Inline())
    assert statuses(tmp_path) == {"a": "ok"} and (tmp_path / "a.md").stat().st_mtime_ns == before


def test_another_content_under_the_name_is_read(shelf: Path, tmp_path: Path) -> None:
    shutil.copy(shelf / "in/a.pdf", tmp_path / "x.pdf")
    read_inline([tmp_path / "x.pdf"], tmp_path / "out", Inline())
    shutil.copy(shelf / "in/more/a.pdf", tmp_path / "x.pdf")
    read_inline([tmp_path / "x.pdf"], tmp_path / "out", Inline())
    (row,) = Table(tmp_path / "out").rows()
    assert row.pages == 2 and "Page 1 of more/a" in (tmp_path / "out/x.md").read_text()


def test_a_page_that_ends_its_pdf_process_costs_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second page needs more memory than the limit, at which the process that draws it ends."""
    from makers import ravenous_second_page

    from microfiche.limits import Limits

    (tmp_path / "x.pdf").write_bytes(ravenous_second_page())
    limits = Limits(memory=1 << 30)
    orders = Reading(partial(Request, "text", limits=limits), tmp_path / "out", "s")
    run([str(tmp_path / "x.pdf")], [], orders, Inline(), limits=limits)
    (row,) = Table(tmp_path / "out").rows()
    assert (row.status, row.pages_ok, row.pages_failed) == ("failed", 2, 1) and "page 2" in row.error
    assert (tmp_path / "out/x.md").is_file()


class Fatal:
    """An engine that ends its process at pages with another colour than white; it reads nothing."""

    name, batch = "fatal", 1

    def read(self, sheets: list[Sheet]) -> list[PageRead]:
        os.kill(os.getpid(), signal.SIGSEGV)
        return []


def fatal() -> Request:
    return Request("fatal", Fatal())


def test_a_document_that_ends_its_process_twice_is_in_quarantine(shelf: Path, tmp_path: Path) -> None:
    pool = Inline(apart=True)
    orders = Reading(fatal, tmp_path, "s", span=3)
    run([str(shelf / "in/a.pdf"), str(shelf / "in/cut.pdf")], [], orders, pool)
    assert statuses(tmp_path) == {"a": "quarantined", "cut": "failed"}
    (row,) = (row for row in Table(tmp_path).latest() if row.name == "a")
    assert row.error == f"{shelf}/in/a.pdf: the process that read it died (SIGSEGV), 2 times"
    again = Inline(apart=True)
    run([str(shelf / "in/a.pdf")], [], orders, again)
    assert again.seen == []
    good = Reading(partial(Request, "text"), tmp_path, "s")
    run([str(shelf / "in/a.pdf")], [], good, Inline(), retry_failed=True)
    assert statuses(tmp_path)["a"] == "ok" and not list((tmp_path / OWN / BEGUN).iterdir())


def test_a_document_with_which_workers_are_lost_again_and_again_is_in_quarantine(shelf: Path, tmp_path: Path) -> None:
    worker = Worker(Reading(partial(Request, "text"), tmp_path, "s"))
    unit = Unit(DocumentSource("a", shelf / "in/a.pdf"), "a")

    class Lost(BaseException):
        pass

    def lost(*args: object) -> Any:
        raise Lost

    worker._begun = lost  # type: ignore[method-assign]
    for _ in range(LOST):
        with pytest.raises(Lost):
            worker.do(unit)
    found = worker.do(unit)
    assert found["row"]["status"] == "quarantined" and f"was lost {LOST} times" in found["row"]["error"]


def test_a_range_that_is_given_up_is_read_when_the_document_is_put_together(shelf: Path, tmp_path: Path) -> None:
    begun = tmp_path / OWN / BEGUN
    begun.mkdir(parents=True)
    (begun / hashlib.sha256(b"long/1").hexdigest()[:32]).write_bytes(b"." * LOST)
    pool = Inline()
    read_inline([shelf / "in"], tmp_path, pool, span=3)
    ((_, given_up),) = (one for one in pool.seen if one[0].key == "long/1")
    assert given_up["row"]["status"] == "quarantined"
    assert statuses(tmp_path)["long"] == "ok" and written(tmp_path) == written(shelf / "out")


class Refusing:
    """Orders that cannot begin, or whose process dies as it begins."""

    settings, form = "s", "md"

    def __init__(self, folder: Path, why: MicroficheError | None) -> None:
        self.folder, self._why = folder, why

    def outputs(self, name: str) -> list[Path]:
        return []

    def begin(self) -> Do:
        if self._why is None:
            os.kill(os.getpid(), signal.SIGKILL)
        assert self._why is not None
        raise self._why


@pytest.mark.parametrize(
    ("why", "kind", "said"),
    [
        (InputError("no weights here"), SetUpError, "no weights here"),
        (UsageError("no engine 'x'"), UsageError, "no engine 'x'"),
        (None, SetUpError, r"died \(SIGKILL\) before it began"),
    ],
)
def test_what_cannot_begin_ends_the_run(
    shelf: Path, tmp_path: Path, why: MicroficheError | None, kind: type[MicroficheError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        run([str(shelf / "in")], [], Refusing(tmp_path, why), Inline(apart=True))
    assert statuses(tmp_path) == {}


def test_packing_writes_what_pack_writes(shelf: Path, tmp_path: Path) -> None:
    from microfiche.readers import load

    for as_is, name in ((False, "nano"), (True, "nano-pages")):
        out = tmp_path / name
        orders = Packing(partial(load, name), out, "s", "512" if as_is else "small", as_is)
        sources = [str(shelf / "in/a.pdf"), str(shelf / "in/cut.pdf")]
        run(sources, [], orders, Inline())
        command = ["pack", sources[0], "-o", str(tmp_path / "one.fiche"), *(["--as-is", "--mode", "512"] * as_is)]
        assert CliRunner().invoke(app, command).exit_code == 0
        assert (out / "a.fiche").read_bytes() == (tmp_path / "one.fiche").read_bytes()
        rows = {row.name: row for row in Table(out).latest()}
        assert rows["a"].tokens and rows["a"].outputs == ["a.fiche"] and rows["cut"].status == "failed"
        again = Inline()
        assert run(sources, [], orders, again).before == 2 and again.seen == []


def test_a_folder_that_cannot_be_written_to_is_one_line(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be the output folder"):
        read_inline([shelf / "in"], tmp_path / "file" / "out", Inline())
    full = Path("/dev/full")
    if full.exists():
        (tmp_path / "out" / OWN).mkdir(parents=True)
        (tmp_path / "out" / "a.md").symlink_to(full)
        read_inline([shelf / "in/a.pdf"], tmp_path / "out", Inline())
        (row,) = Table(tmp_path / "out").rows()
        assert row.status == "failed" and "cannot be written" in row.error


@pytest.mark.parametrize("address", ["s3://b/out", "gs://b/o", "hf://datasets/me/x", "https://host/out", "abfs://c@a/o"])
def test_an_address_is_no_output_folder(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="the output cannot go to an address; name a folder"):
        read_inline([shelf / "in"], Path(address), Inline())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["s3", "a:b", "c%3Ad", "x y?z#1"])
def test_an_output_folder_may_have_any_name(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path(name)  # relative, as on the command line
    read_inline([shelf / "in/a.pdf"], out, Inline())
    assert [row.name for row in Table(out).latest()] == ["a"]
    assert read_inline([shelf / "in/a.pdf"], out, Inline()).before == 1


def test_what_cannot_be_written_down_ends_the_run_with_one_line(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, row: Row) -> None:
        raise InputError(f"{folder}: cannot be written (No space left on device)")

    monkeypatch.setattr("microfiche.cluster.worker.set_down", full)
    with pytest.raises(SetUpError, match=r"out: the output folder cannot be written to .*No space left"):
        read_inline([shelf / "in"], tmp_path / "out", Inline())
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "out" / OWN / "begun")
    (tmp_path / "out" / OWN / "begun").write_bytes(b"")  # so that no mark can be made
    with pytest.raises(SetUpError, match="the output folder cannot be written to"):
        read_inline([shelf / "in"], tmp_path / "out", Inline())
    (tmp_path / "out" / OWN / "begun").unlink()
    assert read_inline([shelf / "in"], tmp_path / "out", Inline()).documents > 1


def test_one_run_at_a_time_is_at_work_in_a_folder(shelf: Path, tmp_path: Path) -> None:
    (tmp_path / OWN).mkdir()
    with (tmp_path / OWN / "lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another run is at work"):
            read_inline([shelf / "in"], tmp_path, Inline())
        assert CliRunner().invoke(app, ["cluster", "read", "-o", str(tmp_path), "--status"]).exit_code == 0
    read_inline([shelf / "in/a.pdf"], tmp_path, Inline())


def test_the_status_is_told_by_the_table_alone(tmp_path: Path) -> None:
    with Table(tmp_path) as table:
        table.add(Row("a", "a.pdf", status="partial", pages=3, pages_ok=2, pages_partial=1, tokens=7))
        table.add(Row("b", "b.pdf", status="quarantined", error="b.pdf: it died"))
    command = ["cluster", "read", "-o", str(tmp_path), "--status", "--json"]
    missing = CliRunner().invoke(app, command)
    assert missing.exit_code == 1 and "no run of `microfiche cluster`" in missing.stderr
    (tmp_path / OWN).mkdir()
    told = json.loads(CliRunner().invoke(app, command).stdout)
    assert (told["documents"], told["pages_partial"], told["vision_tokens"]) == (2, 1, 7)
    shown = CliRunner().invoke(app, command[:-1])
    assert shown.exit_code == 0 and "quarantined   1" in shown.stdout and "b.pdf: it died" in shown.stderr


def test_a_missing_or_old_ray_and_other_versions_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    for name in list(sys.modules):
        if name.split(".")[0] == "ray":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"needs Ray: pip install 'microfiche\[cluster\]'$"):
        pool.imported()
    found = CliRunner().invoke(app, ["cluster", "read", str(tmp_path), "-o", str(tmp_path / "out")])
    assert found.exit_code == 2 and "pip install 'microfiche[cluster]'" in found.stderr
    assert not (tmp_path / "out").exists()
    for version in ("1.13.0", "2.9.3", "2.49.2"):
        with pytest.raises(UsageError, match=f"Ray {version} is too old"):
            refuse_old(version)
    for version in ("2.50.0", "2.60.0", "3.0.0.dev0"):
        refuse_old(version)
    refuse_other_versions("0.1.0", [("10.0.0.1", "0.1.0")])
    with pytest.raises(UsageError, match=r"node 10\.0\.0\.2 has Microfiche 0\.0\.9, but this machine has 0\.1\.0"):
        refuse_other_versions("0.1.0", [("10.0.0.1", "0.1.0"), ("10.0.0.2", "0.0.9")])
    for nodes in itertools.permutations([("10.0.0.1", "0.1.0"), ("10.0.0.1", "0.0.9"), ("10.0.0.1", "0.1.0")]):
        with pytest.raises(UsageError, match=r"node 10\.0\.0\.1 has Microfiche 0\.0\.9"):
            refuse_other_versions("0.1.0", list(nodes))
    with pytest.raises(UsageError, match=r"node 10\.0\.0\.3 has no Microfiche"):
        refuse_other_versions("0.1.0", [("10.0.0.3", "")])
