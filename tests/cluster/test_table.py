"""The table of a run: rows in parts, whole or not at all, each document once in the end; without Ray."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from microfiche.cluster import table as tables
from microfiche.cluster.table import COLUMNS, Row, Table, row_of, set_down, stored
from microfiche.errors import InputError


def rows(folder: Path) -> list[tuple[str, str]]:
    return [(row.name, row.status) for row in Table(folder).latest()]


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    full = Row("a", "in/a.pdf", "ab", "1-2", "s", "partial", 3, 1, 2, 0, "text", None, 1.5, ["a.md", "a.json"], "é\n")
    packed = Row("b", "in/b\udcff.pdf", tokens=640, status="ok")
    with Table(tmp_path) as table:
        table.add(full)
        table.add(packed)
    assert list(Table(tmp_path).rows()) == [full, packed] and packed.source == "in/b\\udcff.pdf"
    found = parquet.read_table(tmp_path / "documents.parquet")
    assert tuple(found.column_names) == COLUMNS and found["tokens"].to_pylist() == [None, 640]
    assert row_of(stored(full)) == full
    with pytest.raises(ValueError):
        row_of('{"name": "a", "what": 1}')


def test_the_last_row_of_a_document_counts_and_stands_alone_in_the_end(tmp_path: Path) -> None:
    with Table(tmp_path) as table:
        for name, status in (("a", "failed"), ("b", "ok"), ("a", "ok"), ("c", "failed"), ("c", "quarantined")):
            table.add(Row(name, name, status=status, error="why"))  # type: ignore[arg-type]
            table.flush()
        assert rows(tmp_path) == [("b", "ok"), ("a", "ok"), ("c", "quarantined")]
        assert len(list((tmp_path / "documents.parquet").iterdir())) == 5
    assert parquet.read_table(tmp_path / "documents.parquet")["name"].to_pylist() == ["b", "a", "c"]
    counts = Table(tmp_path).counts()
    assert (counts["documents"], counts["documents_ok"], counts["documents_quarantined"]) == (3, 2, 1)
    assert counts["failed"] == ["why"]


def test_many_rows_are_put_in_order_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST", 4)
    with Table(tmp_path) as table:
        for number in range(10):
            table.add(Row(str(number % 9), "x", pages=number))
            table.flush()
    sizes = [parquet.read_metadata(path).num_rows for path in sorted((tmp_path / "documents.parquet").iterdir())]
    assert sizes == [4, 4, 1]
    assert sorted(row.pages for row in Table(tmp_path).rows()) == list(range(1, 10))
    before = sorted((tmp_path / "documents.parquet").iterdir())
    with Table(tmp_path):
        pass
    assert sorted((tmp_path / "documents.parquet").iterdir()) == before


def test_what_a_killed_run_left_is_taken_in(tmp_path: Path) -> None:
    with Table(tmp_path) as table:
        table.add(Row("a", "a", status="failed"))
    set_down(tmp_path, Row("a", "a", status="ok"))
    set_down(tmp_path, Row("b", "b", status="ok"))
    (tmp_path / ".cluster/rows/c.json").write_text('{"name": "c", "sou')  # cut short
    assert rows(tmp_path) == [("a", "ok"), ("b", "ok")]  # before anything takes it in, too
    with Table(tmp_path) as table:
        table.recover()
        assert list((tmp_path / ".cluster/rows").iterdir()) == []
    assert rows(tmp_path) == [("a", "ok"), ("b", "ok")]


def test_a_kill_between_two_orders_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".parquet":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with Table(tmp_path) as table:
        table.add(Row("a", "a"))
        table.flush()
        table.add(Row("b", "b"))
        table.flush()
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Path, "unlink", killed)
            table.put_in_order()
        assert rows(tmp_path) == [("a", "failed"), ("b", "failed")]
    assert [row.name for row in Table(tmp_path).rows()] == ["a", "b"]


def test_an_error_keeps_the_rows_that_were_added(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Table(tmp_path) as table:
        table.add(Row("a", "a"))
        raise RuntimeError
    assert rows(tmp_path) == [("a", "failed")]


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "documents.parquet").mkdir()
    (tmp_path / "documents.parquet/part-00000001.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(InputError, match=r"part-00000001\.parquet: this part of the table is damaged"):
        list(Table(tmp_path).rows())
