"""What is added comes back; what is unchanged is never set again; what goes wrong is one line and loses nothing."""

from __future__ import annotations

import inspect
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microfiche.errors import InputError, StoreError, UsageError
from microfiche.memory import Memory
from microfiche.memory.folders import files_in
from microfiche.memory.messages import Message
from microfiche.memory.paper import packed, unpacked
from microfiche.memory.versions import changes, stretches
from microfiche.memory.writer import Progress
from microfiche.nano.cells import Nano
from microfiche.precision import precision

Opened = Callable[..., Memory]


def pictures(memory: Memory) -> list[bytes]:
    return [memory.png(record) for record in memory.records()]


def test_a_text_comes_back_exactly_and_is_read_from_its_tokens(memory: Memory, alice: str) -> None:
    added = memory.add(alice, name="alice")
    assert (added.new, added.pages_set) == (1, len(memory.records())) and added.pages_set > 2
    assert added.characters == len(alice)
    assert memory.version_text("alice") == alice
    read = "".join(memory.read(record).text for record in memory.records())
    assert precision(read, alice) > 0.99


def test_what_stands_there_is_not_set_again(memory: Memory, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.add(alice, name="alice")
    monkeypatch.setattr(Nano, "encode", lambda *a: pytest.fail("encoded again"))
    again = memory.add(alice, name="alice")
    elsewhere = memory.add(alice, name="a copy")
    assert (again.unchanged, again.pages_set, elsewhere.new, elsewhere.pages_set) == (1, 0, 1, 0)
    assert elsewhere.pages_kept == len(memory.records())


def test_a_changed_text_appends_what_changed_with_a_diff_and_retires_the_old(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    before = memory.records()
    changed = alice[:5000] + "A SENTENCE THAT IS NEW." + alice[5000:]
    added = memory.add(changed, name="alice")
    assert added.changed == 1 and added.pages_kept == len(before) - 1
    first, second = memory.history("alice")
    assert first.retired is not None and second.retired is None
    assert [memory.version_text("alice", number) for number in (1, 2, None)] == [alice, changed, changed]
    for number in (-1, 0, 3):
        with pytest.raises(UsageError, match=f"alice: has no version {number}"):
            memory.version_text("alice", number)
    assert memory.version_text("alice", 1) == alice and memory.version_text("alice") == changed
    (gone,) = set(first.pages) - set(second.pages)
    assert min(set(second.pages) - set(first.pages)) > max(first.pages), "the log only grows"
    assert memory.record(gone).retired is not None and gone not in [r.id for r in memory.records()]
    diff = memory.text(second.diff[0])
    assert diff.startswith("alice: version 1 → 2\n@@") and "\n+" in diff and "A SENTENCE THAT IS NEW." in diff
    memory.add(alice, name="alice")
    assert memory.version_text("alice") == alice and gone in [r.id for r in memory.records()], "what returns is current"


@given(st.text("ab\n", max_size=60), st.lists(st.text("ab\n", min_size=1, max_size=12), max_size=6))
def test_stretches_make_up_the_new_text_and_keep_pages_in_order(new: str, old: list[str]) -> None:
    pages = list(enumerate(old))
    cut = stretches(new, pages)
    assert "".join(new[s.start : s.end] for s in cut) == new
    kept = [s for s in cut if s.kept is not None]
    assert all(new[s.start : s.end] == old[s.kept or 0] for s in kept)
    assert [s.kept for s in kept] == sorted(s.kept or 0 for s in kept)
    assert changes(new, pages, cut, "title").startswith("title\n")


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_packed_and_unpacked(text: str) -> None:
    assert unpacked(packed(text), len(text)) == text


def test_a_damaged_text_is_refused() -> None:
    for data in (b"", b"x", packed("long") + b"x", packed("other"), packed("a" * 10_000)):
        if data != packed("long") + b"x":
            with pytest.raises(StoreError, match="damaged"):
                unpacked(data, 4)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=900), min_size=1, max_size=8))
def test_chats_come_back_whatever_was_said(opened: Opened, texts: list[str]) -> None:
    with opened(f"{os.urandom(8).hex()}.memory") as memory:
        for text in texts:
            memory.add([{"role": "user", "content": text}])
        assert memory.version_text("chat") == "".join(f"[user] {text}\n" for text in texts)


def test_finished_pages_of_a_chat_are_never_set_again(memory: Memory) -> None:
    seen: list[bytes] = []
    for turn in range(60):
        memory.add([Message("user" if turn % 2 == 0 else "assistant", f"turn {turn}: " + "words " * 20, 1.7e9)])
        now = pictures(memory)
        assert now[: len(seen)] == seen
        seen = now
    assert len(seen) >= 2 and len(memory.open_pages()) == 1
    assert memory.version_text("chat").startswith("[user, 2023-11-14 22:13] turn 0: words")
    assert memory.clock().turns == 60


def test_many_tiny_messages(memory: Memory) -> None:
    added = memory.add([Message("user", "ok")] * 20_000)
    assert added.messages == 20_000 and memory.version_text("chat") == "[user] ok\n" * 20_000
    assert added.pages_set <= 20, "pages that are alike are one"


def test_messages_with_pictures_tools_and_nothing(memory: Memory) -> None:
    memory.add([
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"x": 1}'}}]},
        {"role": "tool", "content": [{"type": "tool_result", "content": "42"}, {"type": "odd"}, 7]},
        {"role": "assistant", "content": ""},
        {"role": "user"},
    ])
    assert memory.version_text("chat") == (
        '[user] look\n[picture]\n[assistant] [calls f] {"x": 1}\n[tool] [result] 42\n[odd]\n[says] 7\n'
        "[assistant] \n[user] \n"
    )
    for bad in ({"content": "x"}, {"role": 3}, "text"):
        with pytest.raises(InputError, match="role"):
            memory.add([bad])  # type: ignore[list-item]
    with pytest.raises(InputError, match="ISO"):
        memory.add([{"role": "user", "content": "", "time": "yesterday"}])
    assert memory.clock().turns == 5


def test_characters_that_cannot_be_drawn_are_kept_and_counted(memory: Memory) -> None:
    text = "A face \U0001f600, a lone \ud800, a NUL \0 and plain words to make up the rest of the text. " * 3
    added = memory.add(text, name="faces")
    assert added.undrawn == 9 and memory.version_text("faces") == text
    assert memory.read(memory.records()[0]).text == text and "¤" not in memory.context(9000).pages[0].caption


def test_chinese_is_set_at_a_density_that_draws_it(memory: Memory) -> None:
    memory.add("微縮膠片把文字保存为图片。" * 10, name="zh")
    (record,) = memory.records()
    assert record.density == "16x16" and "文字保存为图片" in memory.read(record).text


@pytest.mark.parametrize("layout", ["dense", "lines"])
@pytest.mark.parametrize("words", ["天下大势分久必合", "a line\nand more\n"])
def test_an_open_page_is_one_page_in_any_language_and_layout(opened: Opened, layout: str, words: str) -> None:
    memory = opened(layout=layout)
    for turn in range(12):
        memory.add([Message("user", words * (10 + 5 * turn))])
        (page,) = memory.open_pages()
        assert memory.set_open(page).text == page.text
    assert memory.version_text("chat") == "".join(f"[user] {words * (10 + 5 * turn)}\n" for turn in range(12))


def test_a_chat_and_a_text_cannot_have_one_name(memory: Memory) -> None:
    memory.add([Message("user", "x")], name="talk")
    with pytest.raises(UsageError, match="is a chat"):
        memory.add("text", name="talk")
    with pytest.raises(InputError, match="empty"):
        memory.add("", name="nothing")
    with pytest.raises(UsageError, match="holds nothing named"):
        memory.history("nobody")


def test_a_folder_of_code(opened: Opened, tmp_path: Path, alice: str) -> None:
    memory = opened()
    code = tmp_path / "code"
    (code / "build").mkdir(parents=True)
    (code / "deep/deeper").mkdir(parents=True)
    (code / ".gitignore").write_text("build/\n*.log\n!keep.log\n")
    (code / "deep/.gitignore").write_text("secret.txt\n")
    for name in ("a.py", "build/out.py", "x.log", "keep.log", "deep/secret.txt", "deep/deeper/b.md"):
        (code / name).write_text(f"the text of {name}")
    (code / "binary.dat").write_bytes(b"\x7fELF\0\0")
    (code / "latin.txt").write_bytes(b"caf\xe9")
    (code / "empty.txt").write_bytes(b"")
    (code / "loop").symlink_to(code)
    (code / "self").symlink_to(code / "self")
    (code / "away").symlink_to("/etc/hostname")
    os.mkfifo(code / "pipe")
    added = memory.add(code)
    names = [Path(name).relative_to(code).as_posix() for name, _ in memory.names()]
    assert names == [".gitignore", "a.py", "deep/.gitignore", "deep/deeper/b.md", "keep.log"]
    reasons = {Path(name).name: why for name, why in added.left_out}
    assert reasons == {
        "binary.dat": "binary", "latin.txt": "not UTF-8 at byte 3", "empty.txt": "empty",
        "pipe": "neither file nor folder",
        "self": "a link that leads to itself", "away": "a link to somewhere outside the folder",
    }  # fmt: skip
    (code / "a.py").write_text("changed")
    (code / "keep.log").unlink()
    again = memory.add(code)
    assert (again.changed, again.gone, again.new, again.unchanged) == (1, 1, 0, 3)
    assert memory.version_text(str(code / "a.py")) == "changed"
    (tmp_path / "bare").mkdir()
    for path in (tmp_path / "bare", tmp_path / "none", code / "binary.dat", code / "latin.txt", code / "empty.txt"):
        with pytest.raises(InputError):
            memory.add(path)


def test_a_file_is_known_by_every_path_to_it(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("words")
    memory.add(tmp_path / "a.txt")
    memory.add("another text", name="b.txt")
    (tmp_path / "b.txt").write_text("not added")
    monkeypatch.chdir(tmp_path)
    assert memory.version_text("a.txt") == "words"
    assert memory.history("./a.txt") == memory.history(str(tmp_path / "a.txt"))
    assert memory.version_text("b.txt") == "another text"
    for name in ("none", "x" * 5000, "\0"):
        with pytest.raises(UsageError, match="holds nothing named"):
            memory.history(name)


def test_a_pdf_is_read_once(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    paper = Path(__file__).parent.parent.parent / "examples/paper.pdf"
    memory.add(paper)
    assert "Notes on Small Pages" in memory.version_text(str(paper))
    monkeypatch.setattr("microfiche.memory.intake.read_document", lambda *a: pytest.fail("read again"))
    assert memory.add(paper).unchanged == 1


def test_a_newer_a_foreign_and_a_damaged_file(opened: Opened, tmp_path: Path) -> None:
    opened().close()
    with closing(sqlite3.connect(tmp_path / "m.memory")) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Microfiche \\(format 99"):
        opened()
    with closing(sqlite3.connect(tmp_path / "foreign")) as connection, connection:
        connection.execute("CREATE TABLE t(x)")
    (tmp_path / "text").write_text("not a database at all, but long enough to have a header " * 30)
    for name in ("foreign", "text"):
        with pytest.raises(StoreError, match="not a memory"):
            opened(name)
    with pytest.raises(StoreError, match="no memory there"):
        opened("none", read_only=True)
    with pytest.raises(StoreError, match="a folder"):
        opened(".")
    with pytest.raises(StoreError, match="cannot be opened"):
        opened("no/such/folder")


def test_a_corrupt_page_is_named_and_the_rest_served(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice", tokens=True)
    memory.connection.execute("UPDATE tokens SET data = zeroblob(length(data)) WHERE page = 2")
    memory.connection.execute("INSERT INTO picture VALUES (3, 512, '', x'00')")  # such as format 1 kept
    memory.connection.execute("UPDATE page SET text = x'00' WHERE id = 1")
    for ask, page, sound in ((memory.tokens, 2, 3), (memory.png, 3, 2), (memory.text, 1, 2)):
        with pytest.raises(StoreError, match=f"m.memory: page {page}: its "):
            ask(page)
        assert ask(sound) is not None


def test_a_locked_file_is_said_to_be(opened: Opened, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = opened(), opened()
    waited, writing = [], second.writing
    monkeypatch.setattr(second, "writing", lambda: waited.append(1) or writing())
    with first.writing():
        with pytest.raises(StoreError, match=r"\(MainThread\), since .*, is writing to it; waited 0\.2 s"):
            second.add(alice, name="alice")
        assert len(waited) == 1, "it waits once"
        assert second.records() == [], "readers go on"
    assert second.add(alice, name="alice").new == 1


def test_a_read_only_file_is_read_and_not_written(opened: Opened, tmp_path: Path, alice: str) -> None:
    with opened() as memory:
        memory.add(alice, name="alice")
    path = tmp_path / "m.memory"
    path.chmod(stat.S_IRUSR)
    with opened(read_only=True) as memory:
        assert memory.version_text("alice") == alice
        with pytest.raises(StoreError, match="read-only"):
            memory.add(alice, name="again")


NOBODY = 65534


@contextmanager
def folder_that_cannot_be_written_to(*files: Path) -> Iterator[Path]:
    """A folder with copies of `files`; within, the process is nobody's if it was root's, whom no mode keeps out."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for file in files:
            shutil.copy(file, folder)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        try:
            if root:
                for path in (folder, *folder.iterdir()):
                    os.chown(path, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, 0)
            with pytest.raises(PermissionError):
                (folder / "new").touch()
            yield folder
        finally:
            if root:
                os.setresuid(0, 0, 0)
            folder.chmod(0o755)


@pytest.mark.parametrize("mode", [0o644, 0o444])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_memory_in_a_folder_that_cannot_be_written_to_is_read(
    memory: Memory, nano: Nano, tmp_path: Path, mode: int, read_only: bool
) -> None:
    memory.add("zebra " * 1000, name="animals")
    hits = memory.search("zebra")
    memory.close()
    (tmp_path / "m.memory").chmod(mode)
    with folder_that_cannot_be_written_to(tmp_path / "m.memory") as folder:
        with Memory(folder / "m.memory", model=nano, read_only=read_only) as opened:
            assert opened.read_only and opened.search("zebra") == hits
            with pytest.raises(StoreError, match="read-only"):
                opened.add("more", name="more")
        with pytest.raises(StoreError, match=r"new\.memory: cannot be opened; is its folder there"):
            Memory(folder / "new.memory", model=nano)
        assert [path.name for path in folder.iterdir()] == ["m.memory"]


def test_what_is_not_yet_in_the_memorys_own_file_is_not_passed_over(memory: Memory, nano: Nano, tmp_path: Path) -> None:
    memory.add("zebra " * 1000, name="animals")
    with (
        folder_that_cannot_be_written_to(tmp_path / "m.memory", tmp_path / "m.memory-wal") as folder,
        pytest.raises(StoreError, match=r"what was added last is in m\.memory-wal"),
    ):
        Memory(folder / "m.memory", model=nano)


def test_a_full_disk_keeps_what_was_there(memory: Memory, alice: str) -> None:
    memory.add(alice[:1000], name="first")
    (used,) = memory.connection.execute("PRAGMA page_count").fetchone()
    memory.connection.execute(f"PRAGMA max_page_count = {used + 4}")
    with pytest.raises(StoreError, match="the disk is full; nothing of the last batch was kept"):
        memory.add("".join(f"{i:x}" for i in range(60_000)), name="second")
    memory.connection.execute("PRAGMA max_page_count = 1000000")
    assert memory.version_text("first") == alice[:1000] and memory.names() == [("first", "text")]
    assert memory.add(alice, name="second").new == 1


def test_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    script = Path(__file__).parent / "killing.py"
    done = subprocess.run([sys.executable, script, tmp_path, "8"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "8 kills" in done.stdout


def test_readers_see_whole_states_while_one_writes(tmp_path: Path) -> None:
    script = Path(__file__).parent / "crowd.py"
    done = subprocess.run([sys.executable, script, tmp_path, "4", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no error, no stale page" in done.stdout


def test_a_folder_of_many_files_is_looked_through_with_progress_and_not_held_in_memory(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microfiche.memory.store.LOOKED_AT", 10)
    folder = tmp_path / "many"
    for number in range(60):
        (folder / f"{number % 7}").mkdir(parents=True, exist_ok=True)
        (folder / f"{number % 7}/{number:03d}.txt").write_text(f"number {number}")
    (folder / os.fsdecode(b"0/na\xefve.txt")).write_text("a name in Latin-1")
    at: list[Progress] = []
    assert memory.add_folder(folder, at.append).new == 61
    looking = [one for one in at if one.unit == "files"]
    assert [one.done for one in looking] == [10, 20, 30, 40, 50, 60] and {one.total for one in looking} == {0}
    assert at[-1].done == at[-1].total == sum(file.stat().st_size for file in folder.rglob("*.txt"))
    assert memory.add_folder(folder).unchanged == 61, "that a name is not UTF-8 does not make it one that is gone"
    assert memory.search("Latin")[0].source.endswith("na\\udcefve.txt")
    os.unlink(os.fsencode(folder) + b"/0/na\xefve.txt")
    (folder / "1/001.txt").unlink()
    assert memory.add_folder(folder).gone == 2
    found = files_in(folder)
    assert next(found) and inspect.isgenerator(found), "they come one by one"


def test_files_that_come_and_go_while_a_folder_is_read(memory: Memory, tmp_path: Path) -> None:
    folder = tmp_path / "changing"
    (folder / "later").mkdir(parents=True)
    (folder / "a.txt").write_text("first")
    (folder / "later/b.txt").write_text("second")
    at: list[Progress] = []

    def meddling(progress: Progress) -> None:
        at.append(progress)
        if progress.unit == "bytes" and progress.now.endswith("a.txt"):
            (folder / "later/b.txt").unlink(missing_ok=True)
            (folder / "later/c.txt").write_text("a third one, which nobody counted")
            (folder / "later/d.pdf").write_bytes(b"of a kind that nobody counted")

    added = memory.add_folder(folder, meddling)
    assert added.new == 2 and [Path(name).name for name, _ in added.left_out] == ["d.pdf"]
    assert at[-1].done == at[-1].total == len("firstsecond")
    assert all(one.done <= one.total for one in at if one.unit == "bytes")


@pytest.mark.parametrize("wrong", [
    lambda m: m.context(2000, None), lambda m: m.context(2000, "", "gpt-6-sol", "xml"), lambda m: m.forget(page="1"),
    lambda m: m.forget(page=True), lambda m: m.namespace(5), lambda m: m.namespace(""), lambda m: m.weigh([1], "x"),
    lambda m: m.weigh([1], float("nan")), lambda m: m.context(2000.0), lambda m: m.search(None), lambda m: m.add(b"x"),
    lambda m: m.forget(query="\u200b", confirm=lambda passages: True),
])  # fmt: skip
def test_what_cannot_be_meant_is_a_mistake_of_one_line(memory: Memory, wrong: Callable[[Memory], object]) -> None:
    memory.add_text("one page", "note")
    with pytest.raises(UsageError) as error:
        wrong(memory)
    assert "\n" not in str(error.value) and memory.version_text("note") == "one page"
