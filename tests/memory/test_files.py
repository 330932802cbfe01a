"""A memory's file: copied, replaced or deleted while it is open, and whole whenever a process is killed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from microfiche.errors import StoreError, UsageError
from microfiche.memory import Memory

Opened = Callable[..., Memory]


def test_a_copy_of_an_open_memory_is_whole_with_its_log(memory: Memory, opened: Opened, alice: str) -> None:
    memory.add(alice, name="alice")
    for file in memory.path.parent.glob("m.memory*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, file.with_name(file.name.replace("m.memory", "copy.memory")))
    memory.add("more", name="more")
    copy = opened("copy.memory")
    assert copy.version_text("alice") == alice and copy.names() == [("alice", "text")]


def test_a_copy_without_the_log_is_an_earlier_state_and_whole(memory: Memory, opened: Opened, alice: str) -> None:
    shutil.copy(memory.path, memory.path.with_name("new.memory"))
    assert opened("new.memory", read_only=True).names() == [], "it had just been made"
    memory.add(alice, name="alice")
    memory.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    memory.add(f"{alice} And more.", name="alice")
    shutil.copy(memory.path, memory.path.with_name("old.memory"))
    copy = opened("old.memory")
    assert copy.version_text("alice") == alice and [one.number for one in copy.history("alice")] == [1]
    assert copy.add(f"{alice} And more.", name="alice").changed == 1 and copy.forget("alice").wiped


def test_a_copy_by_vacuum_into_is_whole_while_somebody_writes(memory: Memory, opened: Opened, alice: str) -> None:
    memory.add(alice, name="alice")
    with opened(memory.path.name) as other, other.writing() as connection:
        connection.execute("UPDATE source SET name = 'in the middle'")
        memory.connection.execute("VACUUM INTO ?", (str(memory.path.with_name("copy.memory")),))
    copy = opened("copy.memory")
    assert copy.version_text("alice") == alice
    with copy.reading():
        copy.names()
        assert opened("copy.memory", timeout=0).add("more", name="more").new == 1, "it is written to while it is read"


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_a_file_that_is_replaced_while_it_is_open_is_not_written_to(opened: Opened, tmp_path: Path, how: str) -> None:
    memory, other = opened(), opened("other.memory")
    memory.add("one", "one")
    other.add("other", "other")
    other.close()
    memory.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if how == "replaced":
        (tmp_path / "other.memory").replace(tmp_path / "m.memory")
    else:
        (tmp_path / "m.memory").unlink()
    for work in (memory.names, lambda: memory.add("two", "two"), lambda: memory.forget("one")):
        with pytest.raises(StoreError, match="replaced, moved or deleted while it was open; open it again"):
            work()
    memory.close()
    assert [name for name, _ in opened().names()] == ["other"] * (how == "replaced")


@pytest.mark.parametrize("path", [
    None, 3, b"m.memory", bytearray(b"m"), ["m.memory"], "", "a\0b", "m\ud800.memory", "x" * 300, "a/" * 3000, "folder",
    "text", "text/m.memory", "no/m.memory", "loop", "socket",
])  # fmt: skip
@pytest.mark.parametrize("read_only", [False, True])
def test_what_can_be_no_memory_is_named_in_one_line(
    path: Any, read_only: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("a text\n" * 1000)
    (tmp_path / "loop").symlink_to("loop")
    with closing(socket.socket(socket.AF_UNIX)) as at:
        at.bind("socket")
    before = sorted(tmp_path.iterdir())
    with pytest.raises((StoreError, UsageError)) as caught:
        Memory(path, read_only=read_only)
    assert "\n" not in str(caught.value) and 20 < len(str(caught.value)) < 300 + len(str(tmp_path))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("odd", [{"timeout": "x"}, {"timeout": None}, {"timeout": float("nan")}, {"density": 3},
                                 {"mode": b"tiny"}, {"layout": []}])
def test_odd_settings_are_refused_before_a_file_is_made(odd: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Memory(tmp_path / "m.memory", **odd)
    assert not list(tmp_path.iterdir())


def test_a_memory_stays_where_it_is_when_the_current_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Named:
        def __fspath__(self) -> str:
            return "m.memory"

    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with Memory(Named(), density="5x8", mode="tiny") as memory:
        memory.add("a zebra", "one")
        monkeypatch.chdir("other")
        memory.add("a lion", "two")
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(memory.search, "zebra").result()[0].source == "one"
        with memory.namespace("space") as space:
            space.add("a bear", "three")
    assert not list((tmp_path / "other").iterdir()) and (tmp_path / "m.memory.spaces").is_dir()


def test_a_kill_leaves_nothing_half_forgotten_or_half_indexed(tmp_path: Path) -> None:
    script = Path(__file__).parent / "killed.py"
    done = subprocess.run([sys.executable, script, tmp_path, "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nothing half done") == 2
