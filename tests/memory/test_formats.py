"""A memory that an older Microfiche made (format-1.memory.xz) is read as it is, and goes on from there.

The file holds *Alice*'s first 9,000 characters and a second version of them with a secret in it, and a chat of five
messages, set at 5x8 on Tiny pages, with tokens of noise.
"""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from crowd import inflated

from microfiche.errors import StoreError
from microfiche.memory import Memory
from microfiche.memory.database import FORMAT, UNCOUNTED
from microfiche.memory.messages import as_read
from microfiche.page import dequantise, quantise
from microfiche.precision import text_tokens

SECRET = "xylophone-4711"
CHAT = [
    {"role": "user", "content": "Where is the zebra?", "time": 1.7e9},
    {"role": "assistant", "content": '[calls find({"animal": "zebra"})]'},
    {"role": "tool", "content": "by the river"},
    {"role": "user", "content": " ".join(f"w{i}" for i in range(1400))},
    {"role": "user", "content": "The last thing said is lion."},
]
Opened = Callable[..., Memory]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "m.memory"
    path.write_bytes(lzma.decompress((Path(__file__).parent / "format-1.memory.xz").read_bytes()))
    return path


def version(memory: Memory) -> int:
    return int(memory.connection.execute("PRAGMA user_version").fetchone()[0])


def held(memory: Memory, alice: str) -> None:
    """What the file held when it was made."""
    first, second = memory.history("alice")
    assert first.retired and not second.retired and second.forgotten == 0
    assert memory.version_text("alice", 1) == alice[:9000]
    assert SECRET in memory.version_text("alice", 2)
    assert memory.messages("chat")[: len(CHAT)] == CHAT
    assert memory.search("xylophone")[0].source == "alice"
    hit, = [hit for hit in memory.search("lion") if hit.page is None]
    assert "The last thing said is lion." in hit.text and hit.number == 2
    assert memory.png(1).startswith(b"\x89PNG") and memory.page(1).image.shape == (512, 512)


def test_it_is_read_as_it_is(opened: Opened, old: Path, alice: str) -> None:
    before = old.read_bytes()
    with opened(read_only=True) as memory:
        assert version(memory) == 1
        held(memory, alice)
        tokens = memory.connection.execute("SELECT data, height, width FROM tokens").fetchone()
        assert len(tokens[0]) == tokens[1] * tokens[2] * 66
    assert old.read_bytes() == before


def test_it_becomes_a_new_one_when_it_is_written_to(opened: Opened, old: Path, alice: str) -> None:
    with opened(density="5x8") as memory:
        pictures = [memory.png(page) for page in range(1, 7)]
        memory.add("something new about zebras", name="new")
        assert version(memory) == FORMAT
        held(memory, alice)
        assert [memory.png(page) for page in range(1, 7)] == pictures, "its pictures are kept"
        memory.add([{"role": "user", "content": "and a message"}])
        assert memory.messages("chat") == [*CHAT, {"role": "user", "content": "and a message"}]
        assert memory.add(alice[:9000] + " More.", name="alice").changed == 1


def test_a_chat_of_it_is_synced_on(opened: Opened, old: Path) -> None:
    with opened(density="5x8") as memory:
        said = [*CHAT, {"role": "assistant", "content": "I see."}]
        added = memory.sync_chat("chat", said)
        assert (added.messages, added.rewritten) == (1, [])
        assert memory.sync_chat("chat", said).messages == 0


def test_it_forgets(opened: Opened, old: Path, alice: str) -> None:
    assert SECRET.encode() in inflated(old)
    with opened(density="5x8") as memory:
        assert memory.forget(query="the secret word", confirm=bool).wiped
        assert memory.search("rabbit") and memory.search("xylophone") == []
        assert memory.version_text("alice", 1) == alice[:9000]
    assert SECRET.encode() not in inflated(old)


def test_what_is_damaged_in_it_is_named(opened: Opened, old: Path) -> None:
    with opened(density="5x8") as memory:
        memory.connection.execute("UPDATE picture SET png = x'00' WHERE page = 2")
        with pytest.raises(StoreError, match="page 2: its picture"):
            memory.png(2)


def test_stored_tokens_take_half_of_what_they_took_and_older_ones_are_read(
    opened: Callable[..., Memory], alice: str
) -> None:
    memory = opened(density="5x8")
    memory.add(alice, name="alice", tokens=True)
    ((data,),) = memory.connection.execute("SELECT data FROM tokens WHERE page = 1").fetchall()
    record, text = memory.record(1), memory.text(1)
    assert len(data) < 6.5 * len(text) and memory.read(1).text == text
    finer = quantise(memory.model.encode([memory.page(record)])[0].values, "int8")
    older = finer["tokens"].numpy().tobytes() + finer["scale"].numpy().tobytes()
    for blob in (older, zlib.compress(older)):  # as format 1 kept them, and the first files of format 2
        assert len(data) < 0.6 * len(blob)
        memory.connection.execute(
            "UPDATE tokens SET data = ?, sha256 = ? WHERE page = 1", (blob, hashlib.sha256(blob).hexdigest())
        )
        memory.connection.commit()
        torch.testing.assert_close(memory.tokens(1).values, dequantise(finer))
        assert memory.read(1).text == text


def test_the_lines_that_format_2_noted_are_known_and_become_three_lists(opened: Opened, alice: str) -> None:
    memory = opened()
    memory.add(alice[:3000], name="alice", tokens=True)
    memory.add("Nothing was read back of this.", name="other", tokens=True)
    assert version(memory) > 2, "an older program, which reads lists of lines alone, says that it is too old"
    memory.connection.execute("UPDATE tokens SET misread = '[1, 2]' WHERE page = 1")
    memory.connection.execute("PRAGMA user_version = 2")
    memory.close()
    with opened(read_only=True) as before:
        setting = before.tokens(1).setting
        assert setting and [(one.row, one.rows) for one in setting.kept] == [(1, 2)]
    with opened() as after:
        after.add("More.", name="more")
        assert version(after) == FORMAT
        noted = after.connection.execute("SELECT page, misread FROM tokens ORDER BY page").fetchall()
        assert noted[0] == (1, "[[1, 2],[],[]]") and noted[-1][1] is None
        assert after.tokens(1).setting == setting and after.read(1).text == after.text(1)


def test_tokens_of_text_are_counted_when_they_are_asked_for_and_kept_with_the_next_write(
    opened: Opened, alice: str
) -> None:
    memory = opened()
    memory.add_text(alice, "alice")
    memory.add_messages("chat", [{"role": "user", "content": alice}])
    column = "SELECT text_tokens FROM page ORDER BY id"
    uncounted = memory.connection.execute(column).fetchall()
    assert len(uncounted) > 2 and {count for (count,) in uncounted} == {UNCOUNTED}
    made = memory.context(8_000, "rabbit")
    records = memory.records()
    counts = [(text_tokens(as_read(memory.text(record), record.layout)),) for record in records]
    assert [(memory.text_tokens(record),) for record in records] == counts
    assert memory.connection.execute(column).fetchall() == uncounted, "who only reads writes nothing"
    memory.add_text("more", "more")
    assert memory.connection.execute(column).fetchall() == [*counts, (UNCOUNTED,)]
    memory.forget("more")
    with memory.writing() as connection:
        connection.execute("PRAGMA user_version = 4")  # in which every page is counted
    memory.close()
    with opened(read_only=True) as before:
        assert before.context(8_000, "rabbit").messages == made.messages
    with opened() as after:
        after.add_text("more", "more")
        assert version(after) == FORMAT and after.search("rabbit")
        with after.writing() as connection:
            connection.execute("UPDATE page SET text = x'00', text_tokens = ? WHERE id = 1", (UNCOUNTED,))
        assert after.text_tokens(1) == 0 and after.context(8_000, "rabbit").tokens


def test_what_format_3_indexed_is_found_and_indexed_anew(opened: Opened) -> None:
    said = {"pl": "Łódź", "de": "Straße", "en": "the pass phrase", "zh": "\u94a5\u5319\u5728\u8fd9"}
    memory = opened()
    for name, text in said.items():
        memory.add_text(f"one {text} two", name)
    memory.add_messages("chat", [{"role": "user", "content": "Zażółć"}])
    with memory.writing() as connection:
        connection.execute("DROP TABLE words")
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='unicode61')")
        rows = [(number, f"one {text} two") for number, text in enumerate(said.values(), 1)]
        rows += [(-1, "[user] Zażółć"), (4, " ".join(said["zh"]))]
        connection.executemany("INSERT INTO words(rowid, text) VALUES (?, ?)", rows)
        connection.execute("PRAGMA user_version = 3")
    memory.close()
    with opened(read_only=True) as before:
        assert version(before) == 3
        for name, text in said.items():
            assert before.search(text)[0].source == name
        assert before.search("zażółć")[0].source == "chat"
    with opened() as after:
        after.add_text("more", "more")
        assert version(after) == FORMAT
        asked = {"lodz": "pl", "STRASSE": "de", "zazolc": "chat", "phrase": "en", said["zh"][2:]: "zh"}
        for query, name in asked.items():
            assert after.search(query)[0].source == name
        assert after.forget("pl").wiped and not after.search("lodz")
