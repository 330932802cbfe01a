"""What is forgotten is in no blob, page or log of the memory's files any more, and what stood beside it stays."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from unicodedata import normalize

import pytest
from crowd import inflated

from microfiche.errors import StoreError, UsageError
from microfiche.memory import Memory
from microfiche.memory.redaction import Passage

SECRET = "xylophone-4711-hunter2"
NOTE = f"My pass phrase is {SECRET}, keep it."


def terms(memory: Memory) -> set[str]:
    """The words in the index of a memory, whose file holds each but for what it shares with the one before."""
    memory.connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms USING fts5vocab('main', 'words', 'row')")
    return {row[0] for row in memory.connection.execute("SELECT term FROM temp.terms")}


def there(memory: Memory) -> bool:
    """Whether any part of the secret is still there."""
    data, words = inflated(memory.path), terms(memory)
    return any(part.encode() in data or part in words for part in ("xylophone", "hunter2"))


def agreed(passages: Sequence[Passage]) -> bool:
    return bool(passages)


def sound(memory: Memory) -> None:
    """The file is whole, and each version's text is as long as it says."""
    assert memory.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert memory.connection.execute("PRAGMA foreign_key_check").fetchall() == []
    memory.connection.execute("INSERT INTO words(words) VALUES ('integrity-check')")
    for name, _ in memory.names():
        for version in memory.history(name):
            assert len(memory.version_text(name, version.number)) == version.characters
    for record in memory.records():
        assert len(memory.text(record)) == record.characters and memory.page(record).image.shape[1] == record.side


def test_many_texts_that_share_a_page_are_forgotten_at_once(memory: Memory) -> None:
    for name in ("one", "two", "three"):
        memory.add(NOTE, name=name)
    assert memory.forget("two").shared == ["one", "three"] and there(memory)
    done = memory.forget(after="2000-01-01")
    assert (sorted(done.names), done.shared) == (["one", "three"], []) and not there(memory)


def test_a_text_is_forgotten_by_its_name_with_all_its_versions(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    memory.add(alice[:4000] + NOTE + alice[4000:], name="notes", tokens=True)
    memory.add(alice[:4000] + NOTE.upper() + alice[4000:], name="notes")
    assert there(memory) and memory.search("xylophone")
    done = memory.forget("notes")
    assert (done.names, done.versions, done.wiped, done.shared) == (["notes"], 2, True, ["alice"])
    assert not there(memory) and memory.search("xylophone") == []
    assert memory.names() == [("alice", "text")] and memory.version_text("alice") == alice
    sound(memory)
    with pytest.raises(UsageError, match="holds nothing named 'notes'"):
        memory.forget("notes")
    assert memory.add("anew", name="notes").new == 1


def test_a_chat_is_forgotten_with_its_open_page_and_what_its_messages_held(memory: Memory) -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "log_in", "arguments": f'{{"key": "{SECRET}"}}'}}
    memory.add([{"role": "user", "content": NOTE}, {"role": "assistant", "content": None, "tool_calls": [call]}])
    assert there(memory)
    memory.forget("chat")
    assert not there(memory) and memory.names() == []
    sound(memory)


def test_what_says_a_query_is_forgotten_once_it_is_confirmed(memory: Memory, alice: str) -> None:
    before, after = alice[:5000].rsplit("\n", 1)[0] + "\n", alice[5000:]
    memory.add(before + NOTE + "\n" + after, name="notes")
    memory.add(before + "A new line.\n" + after, name="notes")  # whose diff shows the line that went
    memory.add([{"role": "user", "content": "hello"}, {"role": "user", "content": f"again: {NOTE}"},
                {"role": "assistant", "content": "I shall remember it."}])
    for i in range(40):
        memory.add([{"role": "user", "content": f"turn {i} " + "words " * 30}])
    assert there(memory)
    shown: list[Passage] = []

    def refuse(passages: Sequence[Passage]) -> bool:
        shown.extend(passages)
        return False

    assert memory.forget(query=f"is  {SECRET}".upper(), confirm=refuse).characters == 0 and there(memory)
    assert {(one.source, one.version) for one in shown} == {("notes", 1), ("notes", 2), ("chat", 1)}
    assert all(SECRET in one.text for one in shown) and f"[user] again: {NOTE}\n" in [one.text for one in shown]
    done = memory.forget(query=SECRET, confirm=agreed)
    assert done.messages == 1 and done.wiped and not there(memory)
    assert memory.version_text("notes", 1) == before + after, "the line alone"
    assert memory.version_text("notes", 2) == before + "A new line.\n" + after
    assert [m["content"][:5] for m in memory.messages("chat")[:3]] == ["hello", "I sha", "turn "]
    assert memory.history("notes")[0].forgotten == len(NOTE) + 1
    assert "".join(f"[{m['role']}] {m['content']}\n" for m in memory.messages("chat")) == memory.version_text("chat")
    sound(memory)
    assert memory.forget(query=SECRET, confirm=agreed).characters == 0


@pytest.mark.parametrize("broken", [f"{SECRET.replace('-', chr(10))}\n", f"\n{SECRET.replace('-', '  ' + chr(10), 1)}"])
def test_a_query_over_line_breaks_leaves_nothing_in_diffs(memory: Memory, broken: str) -> None:
    """The lines that a diff puts marks before, those around what changed, and those whose pages moved."""
    front, back = "".join(f"line {i}\n" for i in range(90)), "".join(f"row {i}\n" for i in range(90))
    memory.add(front + back, name="a text")
    memory.add(f"{front}{broken}\n{back}", name="a text")
    memory.add(f"{front}{broken.replace('hunter2', 'another')}\n{back}", name="a text")
    memory.add(f"{back}{front}{broken}", name="a text")
    done = memory.forget(query=broken.replace("\n", " "), confirm=agreed)
    memory.forget(query=broken.replace("hunter2", "another"), confirm=agreed)
    assert done.wiped and not there(memory)
    assert memory.version_text("a text", 1) == front + back
    assert memory.history("a text")[3].diff and "+row 1" in memory.text(memory.history("a text")[3].diff[0])
    sound(memory)


def test_a_secret_that_the_end_of_a_page_breaks_is_in_no_diff(memory: Memory) -> None:
    long = "".join(f"{i}, " for i in range(4000))
    memory.add(long, name="a text")
    end = len(memory.text(memory.history("a text")[0].pages[0]))
    for shift in range(-30, 5, 5):
        said = f"{long[: end + shift]}{SECRET} {long[end + shift :]}"
        memory.add(said, name="a text")
        memory.add(f"{said[: end + 200]}!{said[end + 200 :]}", name="a text")
        memory.add(f"!{said}", name="a text")
        memory.forget(query=SECRET, confirm=agreed)
        assert not there(memory), shift
    sound(memory)


def test_a_query_finds_what_is_composed_otherwise_or_escaped(memory: Memory) -> None:
    name = "Zaż\u00f3łć Café"
    memory.add(f"first\nabout {normalize('NFD', name)} here\nlast\n", name="apart")
    memory.add(f"first\nabout {normalize('NFC', name)} here\nlast\n", name="together")
    inner = json.dumps({"path": json.dumps([name, 'a "quoted" word'])})
    call = {"id": "1", "type": "function", "function": {"name": "log", "arguments": inner}}
    memory.add([{"role": "user", "content": "kept"}, {"role": "assistant", "content": None, "tool_calls": [call]}])
    assert memory.forget("chat", query='"quoted" word', confirm=lambda found: False).messages == 0
    done = memory.forget(query=normalize("NFD", name.upper()), confirm=agreed)
    assert done.messages == 1 and memory.messages("chat") == [{"role": "user", "content": "kept"}]
    assert memory.version_text("apart") == memory.version_text("together") == "first\nlast\n"
    sound(memory)


def test_what_was_forgotten_of_a_chat_does_not_come_back_when_it_is_synced(memory: Memory) -> None:
    chat = [{"role": "user", "content": text} for text in ("one", NOTE, "three")]
    memory.sync_chat("c", chat)
    memory.forget("c", query="pass phrase", confirm=agreed)
    chat.append({"role": "user", "content": "four"})
    added = memory.sync_chat("c", chat)
    assert (added.messages, added.rewritten) == (1, []) and not there(memory)
    assert [message["content"] for message in memory.messages("c")] == ["one", "three", "four"]
    chat[2] = {"role": "user", "content": "another"}
    added = memory.sync_chat("c", chat)
    assert (added.messages, added.rewritten) == (3, [("c", 3)]) and not there(memory)
    assert [message["content"] for message in memory.messages("c")] == ["one", "another", "four"]
    chat.append({"role": "user", "content": "five"})
    assert memory.sync_chat("c", chat).messages == 1 and memory.sync_chat("c", chat).unchanged == 1
    assert memory.version_text("c") == "[user] one\n[user] another\n[user] four\n[user] five\n" and not there(memory)
    sound(memory)
    memory.forget("c", after="2000-01-01")
    assert memory.sync_chat("c", chat).messages == 0 and memory.messages("c") == []
    sound(memory)
    assert memory.names() == [], "of what is forgotten nothing is listed"
    assert memory.sync_chat("c", [*chat, {"role": "user", "content": "five"}]).messages == 1
    assert memory.names() == [("c", "chat")]
    assert memory.forget("c").messages == 1, "what was forgotten before is not counted again"


def test_a_page_is_forgotten_with_the_diffs_that_show_it(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    memory.add(alice[:3000] + NOTE + alice[3000:], name="alice")
    memory.add(alice, name="alice")
    pages = memory.history("alice")[1].pages
    number = next(page for page in pages if SECRET in memory.text(page))
    gone = len(memory.text(number))
    assert there(memory)
    memory.forget(page=number)
    assert not there(memory)
    assert memory.version_text("alice") == alice and memory.history("alice")[1].forgotten == gone
    sound(memory)
    with pytest.raises(UsageError, match="there is no page"):
        memory.forget(page=number)


def test_a_page_that_two_texts_have_is_forgotten_in_both(memory: Memory, alice: str) -> None:
    memory.add(NOTE + alice, name="one")
    memory.add(NOTE + alice, name="two")
    memory.forget(page=1)
    assert not there(memory)
    left = memory.version_text("one")
    assert left == memory.version_text("two") and alice.endswith(left) and len(left) > len(alice) // 2
    sound(memory)


def test_a_time_is_forgotten_by_what_was_said_or_added_in_it(memory: Memory) -> None:
    days = [datetime(2024, 5, day, tzinfo=UTC).timestamp() for day in range(1, 31)]
    memory.add([{"role": "user", "content": f"day {i}: " + (NOTE if i == 12 else "nothing"), "time": day}
                for i, day in enumerate(days, 1)], name="diary")
    memory.add("Kept, since it was added later.", name="text")
    assert there(memory)
    done = memory.forget(after="2024-05-12", before=datetime(2024, 5, 14, tzinfo=UTC))
    assert done.messages == 2 and not there(memory)
    assert [m["content"].split(":")[0] for m in memory.messages("diary")[10:13]] == ["day 11", "day 14", "day 15"]
    assert memory.forget("diary", before="2024-05-11").messages == 10
    assert ("text", "text") in memory.names()
    memory.forget(before="2999-01-01")
    assert memory.messages("diary") == [] and ("text", "text") not in memory.names()
    sound(memory)


def test_keys_are_forgotten_with_their_pages(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    keys = memory.path.with_name("m.memory.0123.keys")
    keys.write_bytes(bytes(range(1, 251)) * 12)
    memory.keep("index", ["0123", "", 10])
    memory.connection.execute("INSERT INTO index_keys VALUES (1, 0, 100), (2, 100, 100), (3, 200, 100)")
    memory.forget(page=2)
    data = keys.read_bytes()
    assert data[1000:2000] == bytes(1000) and 0 not in data[:1000] + data[2000:]
    assert [row[0] for row in memory.connection.execute("SELECT page FROM index_keys")] == [1, 3]


def test_a_damaged_page_can_be_forgotten(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    memory.add(NOTE, name="note")
    memory.connection.execute("UPDATE page SET text = x'00' WHERE id = 1")
    with pytest.raises(StoreError, match=r"page 1: its text is damaged .*; forget that page by its number"):
        memory.forget(query="rabbit", confirm=agreed)
    memory.forget("note")
    assert not there(memory)
    memory.forget(page=1)
    assert memory.version_text("alice") == alice[-memory.history("alice")[0].characters :] and memory.search("rabbit")
    sound(memory)


@pytest.mark.parametrize(
    "how",
    [
        {}, {"page": 1, "query": "x", "confirm": agreed}, {"name": "x", "page": 1}, {"query": "x"},
        {"query": "  ", "confirm": agreed}, {"page": 1, "before": 5.0}, {"before": float("nan")}, {"after": "noon"},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(memory: Memory, how: dict[str, object]) -> None:
    memory.add("words", name="x")
    with pytest.raises(UsageError):
        memory.forget(**how)  # type: ignore[arg-type]
    assert memory.version_text("x") == "words"


def test_a_reader_of_the_old_state_is_told_of_and_wiping_finishes_it(opened: Callable[..., Memory]) -> None:
    memory, reader = opened(), opened()
    memory.add(NOTE * 50, name="note")
    memory.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with reader.reading():
        assert reader.version_text("note")
        assert not memory.forget("note").wiped
        assert reader.version_text("note") == NOTE * 50 and there(memory)
    assert memory.wipe() and not there(memory)


def test_where_the_file_cannot_be_written_anew_it_says_that_it_is_forgotten_and_still_there(
    opened: Callable[..., Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(connection: sqlite3.Connection) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    memory, other = opened(), opened()
    memory.add(NOTE * 50, name="note")
    with monkeypatch.context() as patch, pytest.raises(StoreError, match="forgotten, but the file still holds it"):
        patch.setattr("microfiche.memory.forgetting.wipe", full)
        memory.forget("note")
    assert memory.names() == [] and not memory.search("xylophone")
    with other.writing():
        assert not memory.wipe()
    assert memory.wipe() and not there(memory)


def test_a_memory_is_forgotten_while_many_read_it(tmp_path: Path) -> None:
    script = Path(__file__).parent / "crowd.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path, "8", "2", "--forget"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "no error, no stale page" in done.stdout and "forgotten while they read" in done.stdout


def test_what_was_forgotten_behind_a_turn_that_changed_does_not_come_back(memory: Memory) -> None:
    chat = [{"role": "user" if i % 2 else "assistant", "content": f"turn {i}"} for i in range(6)]
    said = [*chat[:3], {"role": "user", "content": NOTE}, *chat[3:]]
    other, more = {"role": "user", "content": "another"}, {"role": "user", "content": "and more"}
    again = {"role": "user", "content": "go on"}
    for number, (before, after, kept) in enumerate([
        (said, [chat[0], other, *said[2:]], 6), (said, [chat[0], other, *said[2:], more], 7),
        (said, [other, *said], 7), (said, [*said[1:], more], 6), (said[:4], [other, *said[1:4]], 3),
        (said, [chat[0], other, other, *said[3:]], 6),
        ([*[again] * 5, said[3], again], [other, *[again] * 4, said[3], again], 6),
    ]):
        memory.sync_chat(f"chat {number}", before)
        memory.forget(query=SECRET, confirm=agreed)
        memory.sync_chat(f"chat {number}", after)
        assert len(memory.messages(f"chat {number}")) == kept and not there(memory)
        assert memory.sync_chat(f"chat {number}", after).unchanged
    sound(memory)


def test_why_a_picture_is_not_trusted_does_not_say_what_was_forgotten_of_it(memory: Memory) -> None:
    why = "scaled down it shows text that it does not show whole"
    with memory._adding(lambda progress: None, False, {}) as (writer, _):
        writer.text("picture", "document", "0", lambda: (f"first\n{NOTE}\nlast", f"{why} (xylophone hunter2)"))
    memory.forget(query=SECRET, confirm=agreed)
    assert not there(memory)
    assert memory.places([record.id for record in memory.records()]).popitem()[1].untrusted == why
