"""What was hidden in a memory is found by its words, read from the tokens, with page and line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from microfiche.errors import StoreError, UsageError
from microfiche.memory import Memory
from microfiche.memory.finding import boxes_of, cited, rank, read_rows
from microfiche.memory.indexer import update
from microfiche.memory.messages import Message
from microfiche.nano.indexer import INDEX, Indexer, IndexerConfig, load_indexer
from microfiche.page import Reading
from microfiche.typesetting.density import DENSITIES
from microfiche.weights import stored

NEEDLE = "The keeper of the northern lighthouse hides his key beneath the blue xylophone."


@pytest.fixture
def hidden(memory: Memory, alice: str) -> Memory:
    memory.add(alice[:6000] + NEEDLE + " " + alice[6000:], name="alice")
    memory.add("Something else entirely, about ships and sealing wax. " * 40, name="ships")
    return memory


def test_a_needle_is_found_by_its_words_and_read_from_the_tokens(hidden: Memory) -> None:
    hit, *others = hidden.search("Where does the keeper of the lighthouse hide his key?", 3)
    assert (hit.source, hit.number) == ("alice", 3) and "beneath the blue xylophone" in hit.text and hit.exact
    page, columns = hidden.text(hit.page or 0), 512 // 7
    assert hit.line == 1 + page.index(hit.text) // columns
    assert all(hit.score >= other.score for other in others) and hit.read is None
    (seen,) = hidden.search("Where does the keeper of the lighthouse hide his key?", 1, read=True)
    assert seen.read == seen.text == hit.text and seen.exact


def test_words_are_found_without_a_model_and_exactly_where_the_tokens_say_otherwise(
    hidden: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, "model", property(lambda self: pytest.fail("a model was loaded")))
    text = hidden.search("xylophone", 1)[0].text
    monkeypatch.undo()
    monkeypatch.setattr("microfiche.memory.finding.read_rows", lambda *a: (Reading("nothing of the kind"), 0))
    (hit,) = hidden.search("xylophone", 1, read=True)
    assert hit.text == text and not hit.exact and hit.read != text


def test_a_search_that_does_not_exist_is_refused(hidden: Memory) -> None:
    for by in ("words", "", None):
        with pytest.raises(UsageError, match=r"no search by .*; there are text, pixels, both"):
            hidden.search("key", by=by)  # type: ignore[arg-type]
    for count in (0, -1, 2.5, True, 10**9):
        with pytest.raises(UsageError, match="is not a whole number from 1"):
            hidden.search("key", count)  # type: ignore[arg-type]


@pytest.mark.parametrize("density", ["5x8", "7x13", "6x10"])
def test_rows_are_read_as_the_whole_page_is(opened: Callable[..., Memory], alice: str, density: str) -> None:
    memory = opened(mode="base", density=density)
    memory.add(alice * 3, name="alice")
    record = memory.records()[0]
    whole = memory.read(record)
    boxes = boxes_of(record, memory.text(record))
    top, bottom = int(boxes[5000, 1]), int(boxes[5300, 3])
    part, above = read_rows(memory, record, top, bottom)
    assert above % DENSITIES[density].height == 0 and above <= top and part.boxes[-1, 3] + above >= bottom
    start = whole.text.index(part.text[:40])
    same = sum(a == b for a, b in zip(part.text, whole.text[start:], strict=False))
    assert same > 0.99 * len(part.text) and len(part.text) < len(whole.text)
    assert whole.boxes[start, 1] == part.boxes[0, 1] + above


def test_an_open_page_is_found_too(hidden: Memory) -> None:
    hidden.add([Message("user", "remember: the piano tuner comes on Thursday")])
    hit = hidden.search("when does the piano tuner come?")[0]
    assert hit.page is None and "comes on Thursday" in hit.text and (hit.source, hit.number) == ("chat", 1)


def test_retired_pages_are_not_found(hidden: Memory, alice: str) -> None:
    hidden.add(alice, name="alice")
    pages = [page for page, _ in rank(hidden, ["xylophone"], 5, "text")[0]]
    assert [hidden.places([p])[p].part for p in pages] == ["diff"], "only the page that says it went"


def test_pages_of_an_add_that_was_killed_are_not_found_until_it_is_done_again(memory: Memory, alice: str) -> None:
    memory.add(alice, name="alice")
    memory.connection.execute("PRAGMA foreign_keys = OFF")
    memory.connection.execute("DELETE FROM place")
    memory.connection.execute("DELETE FROM version")
    assert memory.search("rabbit") == [] and memory.records() == []
    again = memory.add(alice, name="alice")
    assert (again.new, again.pages_set) == (1, 0) and memory.search("rabbit") != []


def test_a_passage_says_which_message_it_is_of(memory: Memory) -> None:
    said = [{"role": ("user", "assistant", "tool")[i % 3], "content": f"word{i} " + "and so on " * 30}
            for i in range(30)]
    memory.sync_chat("chat", said)
    memory.add("word77 in a text", name="text")
    memory.forget("chat", query="word2 ", confirm=lambda passages: len(passages) == 1)
    for number in (0, 1, 3, 17, 29):
        (hit,) = memory.search(f"word{number}")
        assert hit.message is not None and hit.role == said[number]["role"]
        assert memory.messages("chat")[hit.message - 1] == said[number]
        assert (hit.to_dict()["message"], hit.to_dict()["role"]) == (hit.message, hit.role)
    assert [(hit.message, hit.role) for hit in memory.search("word77")] == [(None, "")]


def test_chinese_is_found_by_its_characters(memory: Memory) -> None:
    memory.add("微縮膠片把文字保存为图片。" + "天下大势分久必合。" * 30, name="zh")
    assert "保存为图片" in memory.search("文字保存", 1)[0].text


def test_odd_queries(hidden: Memory) -> None:
    assert hidden.search('"unclosed AND OR NOT near( * ^', 2) is not None
    assert hidden.search("zzzzqqqq") == []
    for query in ("", " ?!", "__"):
        with pytest.raises(UsageError, match="no word"):
            hidden.search(query)


def test_pixels_and_both(hidden: Memory, tmp_path_factory: pytest.TempPathFactory) -> None:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("index") / "index.safetensors"
    small = Indexer(IndexerConfig(spelling=32, width=16, heads=2, buckets=101))
    stored.save(INDEX, small, file, hidden.model.checkpoint)
    update(hidden, load_indexer(file, hidden.model.checkpoint))
    for by in ("pixels", "both"):
        hits = hidden.search("northern lighthouse", 3, by, file)  # type: ignore[arg-type]
        assert len(hits) == 3 and [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert "xylophone" in " ".join(hit.text for hit in hidden.search("northern lighthouse xylophone", 3, "both", file))


def test_a_page_of_a_size_that_no_mode_has_is_passed_over(hidden: Memory) -> None:
    assert boxes_of(hidden.records()[0], "words").shape == (5, 4)
    hidden.connection.execute("UPDATE page SET side = 500")
    with pytest.raises(StoreError, match="500 px wide"):
        boxes_of(hidden.records()[0], "words")
    assert hidden.search("xylophone") == []


def test_passages_cut_nothing_that_was_said_in_two(memory: Memory) -> None:
    """What stands for a label's beginning, and what stands before it, are written as two characters each."""
    for shift in range(4):
        said = "x" * shift + "\ufdd1\ufdd0" * 300 + f" needle{shift} " + "\ufdd1\ufdd1\ufdd0" * 300
        memory.add_messages("chat", [{"role": "user", "content": said}, {"role": "user", "content": said[::-1] * 20}])
        (hit,) = memory.search(f"needle{shift}")
        assert hit.text in said and f"[user] {said}\n[user] {said[::-1] * 20}\n" in memory.version_text("chat")


def test_citations_are_read_as_they_are_written() -> None:
    assert cited("So [page 3]. And [pages 4, 7 and 3] or [page 12: notes]; not [3].") == [3, 4, 7, 12]


def test_a_page_of_several_texts_is_found_in_each(memory: Memory) -> None:
    for name in ("one", "two", "three"):
        memory.add("the very same zebra", name)
    assert [hit.source for hit in memory.search("zebra")] == ["one", "two", "three"]
    assert len(memory.search("zebra", 2)) == 2 and len({hit.page for hit in memory.search("zebra")}) == 1
    memory.add("a lion", "one")
    assert {hit.source for hit in memory.search("zebra") if hit.part == "text"} == {"two", "three"}
    memory.forget("two")
    assert {hit.source for hit in memory.search("zebra") if hit.part == "text"} == {"three"}


RESULT = json.dumps({"out": "Gdzie jest Łódź?\nnext line\tand \"żółw\""})


@pytest.mark.parametrize("message", [
    {"role": "tool", "tool_call_id": "1", "content": RESULT},
    {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": RESULT}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": RESULT}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": RESULT}]}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": json.loads(RESULT)}}}]},
    {"type": "function_call_output", "call_id": "1", "output": RESULT},
    {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": RESULT}]},
])  # fmt: skip
def test_json_that_a_tool_gave_is_found_by_the_letters_for_which_its_escapes_stand(
    memory: Memory, message: dict[str, Any]
) -> None:
    memory.sync_chat("chat", [{"role": "user", "content": "Where?"}, message])
    assert memory.messages("chat")[1] == message and memory.sync_chat("chat", memory.messages("chat")).unchanged
    for query in ("Łódź", "lodz", "next", "and", "żółw"):
        (hit,) = memory.search(query)
        assert hit.message == 2 and "Gdzie jest Łódź?\nnext line\tand" in hit.text
    assert memory.forget(query="jest łódź", confirm=bool).messages == 1 and not memory.search("żółw")
