"""The plan: what is listed and in which order, what outputs are called, and what is left to do; without Ray."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche.cluster.listing import Listed, content_of, listed, shown
from microfiche.cluster.plan import Plan, Unit, order_of
from microfiche.cluster.table import Row, Table
from microfiche.documents.opening import DocumentSource, documents_in, natural
from microfiche.documents.writing import names_for
from microfiche.errors import InputError, UsageError
from microfiche.limits import Limits


def planned(
    folder: Path, names: Sequence[str], lists: Sequence[Path] = (), settings: str = "s", there: bool = True, **more: Any
) -> list[Unit]:
    """The units that a run with these names would do."""
    with Plan() as plan:
        plan.list(listed(names, lists))
        plan.write(folder / "units", Table(folder), settings, lambda name: there, **more)
        units = [Unit.of(line) for line in (folder / "units").read_bytes().splitlines()]
        assert len(units) == plan.left <= plan.documents
        return units


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"%PDF-" + name.encode())


def test_names_and_order_are_those_of_one_machine(tmp_path: Path) -> None:
    files = ("a10.pdf", "a2.pdf", "x/a2.pdf", "x/A2.PNG", "b/1.tif", "b/n.txt", ".hidden/a.pdf", "a.md.pdf", "a.pdf")
    touch(tmp_path / "in", *files)
    for where in (["in"], ["in/x", "in", "in/a.pdf"]):
        names = [str(tmp_path / name) for name in where]
        here = documents_in(names)
        units = planned(tmp_path, names)
        assert [unit.source for unit in units] == here
        assert [unit.name for unit in units] == names_for([source.name for source in here])


@given(st.lists(st.text(st.sampled_from("ab019 é-\udc80\u0660/")), max_size=20))
def test_the_order_on_disk_is_the_order_in_memory(names: list[str]) -> None:
    assert sorted(names, key=order_of) == sorted(names, key=natural)


def test_a_unit_comes_back_from_its_line() -> None:
    odd = DocumentSource("a\\udcff.pdf", Path(os.fsdecode(b"/in/a\xff\n.pdf")), "why")
    for unit in (Unit(odd, "a"), Unit(DocumentSource("s3://b/k", "s3://b/k?x=1"), "k", "1-2", (0, 32), True, "ab")):
        assert Unit.of(unit.line()) == unit and "\n" not in unit.line()
        assert Unit.of(unit.line().encode()) == unit


def test_ranges_cover_each_page_once() -> None:
    unit = Unit(DocumentSource("a", Path("a")), "a")
    for pages in (1, 31, 32, 33, 3000):
        parts = list(unit.ranges(pages, 32))
        assert [n for part in parts if part.pages for n in range(*part.pages)] == list(range(pages))
        assert len({part.key for part in parts}) == len(parts) == -(-pages // 32)


def row(unit: Unit, **changes: Any) -> Row:
    import hashlib

    assert isinstance(unit.source.origin, Path)
    sha256 = hashlib.sha256(unit.source.origin.read_bytes()).hexdigest()
    return Row(**{"name": unit.name, "source": unit.source.name, "sha256": sha256, "stamp": unit.stamp, "settings": "s",
                  "status": "ok", **changes})  # fmt: skip


def test_what_is_done_is_left_out_by_its_content(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.pdf", "b.pdf", "c.pdf", "d.pdf")
    units = planned(tmp_path, [str(tmp_path / "in")])
    with Table(tmp_path) as table:
        table.add(row(units[0]))
        table.add(row(units[1]))
        table.add(row(units[2], settings="others"))
        table.add(row(units[3], status="failed"))
    before = os.stat(tmp_path / "in/b.pdf")
    (tmp_path / "in/b.pdf").write_bytes(b"%PDF-B.pdf")  # as long, and as old: only its content is another
    os.utime(tmp_path / "in/b.pdf", ns=(before.st_atime_ns, before.st_mtime_ns))
    left = planned(tmp_path, [str(tmp_path / "in")])
    assert [unit.name for unit in left] == ["b", "c"] and left[0].before and not left[1].before
    assert [unit.name for unit in planned(tmp_path, [str(tmp_path / "in")], retry_failed=True)] == ["b", "c", "d"]
    assert [unit.name for unit in planned(tmp_path, [str(tmp_path / "in")], there=False)] == ["a", "b", "c"]
    (tmp_path / "in/a.pdf").rename(tmp_path / "moved.pdf")
    assert "moved" in [unit.name for unit in planned(tmp_path, [str(tmp_path / "in"), str(tmp_path / "moved.pdf")])]


def test_the_table_is_found_again_by_another_path_to_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "in", "a.pdf")
    with Table(tmp_path) as table:
        table.add(row(planned(tmp_path, [str(tmp_path / "in")])[0]))
    monkeypatch.chdir(tmp_path)
    assert planned(tmp_path, ["in"]) == []


def test_names_that_are_not_utf_8_are_listed_and_planned(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path / "in") + b"/a\xff.pdf"
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(path)).write_bytes(b"%PDF-")
    (unit,) = planned(tmp_path, [str(tmp_path / "in")])
    assert os.fsencode(str(unit.source.origin)) == path and unit.source.name.endswith("a\\udcff.pdf")
    (tmp_path / "list").write_bytes(path + b"\n")
    assert planned(tmp_path, [], [tmp_path / "list"]) == [unit]


def test_a_list_names_a_document_on_each_line(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.pdf", "b.pdf")
    (tmp_path / "list").write_text(f"{tmp_path}/in\r\n\n{tmp_path}/b.pdf\nhttps://user:pw@example.org/c.pdf\n/none.pdf\n")
    units = planned(tmp_path, [], [tmp_path / "list"])
    assert [(unit.name, unit.source.error) for unit in units] == [
        ("a", None), ("b", None), ("c", None), ("none", "no such file"),
    ]  # fmt: skip
    assert "pw" not in units[2].source.name and (tmp_path / "units").stat().st_mode & 0o77 == 0
    with pytest.raises(InputError, match="the list cannot be read"):
        planned(tmp_path, [], [tmp_path / "no-list"])


def test_an_empty_source_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(InputError, match="no PDF or pictures in this folder"):
        planned(tmp_path, [str(tmp_path / "in")])
    with pytest.raises(InputError, match="no such file"):
        planned(tmp_path, [str(tmp_path / "none")])
    with pytest.raises(InputError, match="nothing to read"):
        planned(tmp_path, [], [tmp_path / "empty"])
    with pytest.raises(UsageError, match="standard input"):
        planned(tmp_path, ["-"])
    touch(tmp_path, "a.pdf")
    units = planned(tmp_path, [str(tmp_path / "in"), str(tmp_path / "a.pdf")])
    assert [unit.source.error for unit in units] == ["no PDF or pictures in this folder", None]


def test_the_output_is_not_read(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.pdf", "out/a/figures/page-0001-1.png")
    found = [one.source.name for _, one in listed([str(tmp_path / "in")], apart_from=tmp_path / "in/out")]
    assert found == [str(tmp_path / "in/a.pdf")]
    found = [one.source.name for _, one in listed([str(tmp_path / "in/out")], apart_from=tmp_path / "in/out")]
    assert len(found) == 1


def test_an_address_is_shown_without_secrets() -> None:
    assert shown("s3://KEY:SECRET@bucket/a.pdf?endpoint_override=x&secret_key=y") == "s3://bucket/a.pdf"
    assert shown("https://user:pw@example.org/a.pdf") == "https://example.org/a.pdf"


def test_a_storage_that_refuses_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-for-anyones-eyes")
    with pytest.raises(InputError) as caught:
        content_of("s3://bucket/x.pdf?scheme=http&secret_key=not-for-anyones-eyes&what=ever", Limits())
    said = str(caught.value)
    assert "not-for-anyones-eyes" not in said and "\n" not in said and "the storage refused" in said


def test_whatever_a_storage_raises_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange(Exception):
        """An error of some client's own."""

    class Files:
        def get_file_info(self, _: object) -> None:
            raise Strange("no connection\nand more lines")

    monkeypatch.setattr("microfiche.cluster.listing._opened", lambda *_: Files())
    with pytest.raises(InputError, match=r"hf://datasets/me/x: the storage refused it .*\(no connection\)"):
        list(listed(["hf://datasets/me/x"]))


def test_thousands_are_planned_in_their_order(tmp_path: Path) -> None:
    numbers = list(range(3000))
    random.Random(0).shuffle(numbers)
    with Plan() as plan:
        plan.list((0, Listed(DocumentSource(f"d{n}/x.pdf", f"s3://b/d{n}/x.pdf"), "1-1")) for n in numbers)
        plan.write(tmp_path / "units", Table(tmp_path), "s", lambda name: True)
    units = [Unit.of(line) for line in (tmp_path / "units").read_bytes().splitlines()]
    assert [unit.source.name for unit in units] == [f"d{n}/x.pdf" for n in range(3000)]
    assert [unit.name for unit in units[:3]] == ["x", "x-2", "x-3"] and len({unit.name for unit in units}) == 3000
