"""The memory's commands, with and without a model at an endpoint."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_in import Body, parts_of, standing_in
from typer.testing import CliRunner, Result

from microfiche.cli import app
from microfiche.memory import Memory
from microfiche.page import Page, Setting
from microfiche.readers import load

ALICE = Path(__file__).parent.parent.parent / "examples/alice-1.txt"


def run(*args: str, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(app, ["memory", *args], input=stdin)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A memory of the chapter on Tiny pages, the one that commands take."""
    path = tmp_path / "m.memory"
    monkeypatch.setenv("MICROFICHE_MEMORY", str(path))
    run("add", str(ALICE), "--density", "7x13", "--mode", "tiny")
    return path


def test_every_command_has_help() -> None:
    for command in ("add", "ask", "search", "index", "show", "history", "forget", "fade", "calibrate"):
        assert run(command, "--help").output


def test_add_says_what_it_did(there: Path, tmp_path: Path) -> None:
    again = run("add", str(ALICE))
    assert "1 unchanged; 0 pages set" in again.stderr
    talk = ({"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"})
    (tmp_path / "talk.jsonl").write_text("\n\n".join(map(json.dumps, talk)))
    done = json.loads(run("add", str(tmp_path / "talk.jsonl"), "-", "--json", stdin="from stdin").stdout)
    assert (done["messages"], done["new"], done["pages_set"]) == (2, 1, 1)
    assert run("history").stdout.splitlines() == [f"file\t{ALICE.resolve()}", "chat\ttalk", "text\tstdin"]
    (tmp_path / "bad.jsonl").write_text("{")
    assert "not a chat" in run("add", str(tmp_path / "bad.jsonl"), code=1).stderr
    assert "no such file" in run("add", str(tmp_path / "none"), code=1).stderr


@pytest.mark.parametrize("key", ["", "messages", "input", "contents"])
def test_a_chat_in_json_is_a_chat_whether_alone_or_in_a_request(there: Path, tmp_path: Path, key: str) -> None:
    said = [{"role": "user", "content": "Where is the zebra?"}, {"role": "assistant", "content": "In the zoo."}]
    (tmp_path / "talk.json").write_text(json.dumps({"model": "m", key: said} if key else said))
    (tmp_path / "plain.json").write_text('[{"animal": "okapi"}]')
    data = {"users": [{"name": "Bob Quagga", "role": "admin"}, {"name": "Ann", "role": "user"}],
            "map": [{"type": "Feature", "name": "Quagga Hill"}], "calls": {"input": [{"role": "user", "quagga": 1}]}}
    for name, held in data.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(held))
    run("add", *(str(tmp_path / f"{name}.json") for name in data))
    assert len(json.loads(run("search", "quagga", "--json").stdout)) == 3, "data that are no chats are texts"
    done = json.loads(run("add", str(tmp_path / "talk.json"), str(tmp_path / "plain.json"), "--json").stdout)
    assert done["messages"] == 2 and done["new"] == 1
    (hit,) = json.loads(run("search", "zebra", "--json").stdout)
    assert (hit["source"], hit["message"], hit["role"]) == ("talk", 1, "user")
    (hit,) = json.loads(run("search", "okapi", "--json").stdout)
    assert hit["source"].endswith("plain.json") and hit["text"] == '[{"animal": "okapi"}]'
    assert json.loads(run("add", str(tmp_path / "talk.json"), "--json").stdout)["messages"] == 0


def test_a_chat_that_is_added_again_is_synced(there: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"role": "user", "content": f"turn {number}"}) for number in range(6)]
    first, second = tmp_path / "c.jsonl", tmp_path / "d.jsonl"

    def added(count: int, *more: str) -> dict[str, Any]:
        first.write_text("\n".join(lines[:count]))
        return dict(json.loads(run("add", str(first), *more, "--json").stdout))

    def turns(name: str) -> int:
        with Memory(there) as memory:
            return len(memory.messages(name))

    second.write_text("\n".join(lines[4:]))
    assert [added(count)["messages"] for count in (3, 3, 4)] == [3, 0, 1] and turns("c") == 4
    again = run("add", str(first))
    assert "1 unchanged; 0 pages set" in again.stderr and "vision" not in again.stderr
    first.write_text("\n".join(lines[:2]))
    assert "c: changed from message 3 on" in run("add", str(first)).stderr and turns("c") == 2
    for _ in range(2):
        added(3, str(second), "--name", "both")
    assert turns("both") == 5



def test_a_chat_is_read_line_by_line_and_what_is_wrong_with_one_is_told(tmp_path: Path, there: Path) -> None:
    chat = tmp_path / "chat.jsonl"
    good = '{"role": "user", "content": "a\u2028b\x85c"}'
    chat.write_text(f"\ufeff{good}\r\n\n{good}")
    assert json.loads(run("add", str(chat), "--json").stdout)["messages"] == 2
    assert run("history", "chat", "--version", "1").stdout == "[user] a\u2028b\x85c\n" * 2
    deep = 100_000 * "["
    for line, said in {
        "{": "not a chat, one JSON message a line",
        deep: "nested too deeply",
        '{"role": "user", "content": "x", "time": -99999999999}': "a message's time is -99999999999: give seconds",
        '{"role": "user", "content": "x", "tool_calls": 5}': "a message's tool_calls is 5: give a list",
        '{"role": "user", "content": {"text": "x"}}': "a message's content is {'text': 'x'}: give text or a list",
        "5": "a message needs a role and content; this is 5",
    }.items():
        chat.write_text(f"{good}\n{line}\n")
        refused = run("add", str(chat), "--name", "another", code=1)
        assert refused.stderr.startswith(f"microfiche: {chat}:2: {said}") and refused.stderr.count("\n") == 1
    chat.write_bytes(b'{"role": "user", "content": "caf\xe9"}')
    assert "chat.jsonl: not UTF-8 at byte 32" in run("add", str(chat), code=1).stderr
    chat.unlink()
    os.mkfifo(chat)
    assert "chat.jsonl: neither file nor folder" in run("add", str(chat), code=1).stderr
    assert "another" not in run("history").stdout, "of a chat with one bad line nothing is kept"


def test_standard_input_that_is_no_text_is_told(there: Path) -> None:
    for data, said in {b"caf\xe9": "-: not UTF-8 at byte 3", b"a\0": "-: NUL at character 1"}.items():
        done = CliRunner().invoke(app, ["memory", "add", "-"], input=data)
        assert done.exit_code == 1 and said in done.stderr and done.stderr.count("\n") == 1
    run("add", "-", stdin="\ufeffwords")
    assert run("history", "stdin", "--version", "1").stdout == "words"


def test_lone_surrogates_break_no_search_afterwards(there: Path, tmp_path: Path) -> None:
    """One in an open page, one in pages that are finished, one in a name, and one in what is looked for."""
    short, long = ({"role": "user", "content": f"zebra \ud800 {words}"} for words in ("", "stripes " * 2000))
    for name, message in (("short", short), ("long", long)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(message))
        run("add", str(tmp_path / f"{name}.jsonl"))
    run("add", str(tmp_path / "short.jsonl"), "--name", "odd\udce9")
    for query, shown in (("zebra", "[user] zebra \\ud800"), ("stripes", "stripes"), ("zebra\udce9", "zebra \\ud800")):
        assert shown in run("search", query).stdout
        assert json.loads(run("search", query, "--json").stdout)
    assert "zebra \\ud800" in run("ask", "zebra").stdout
    assert run("history", "odd\udce9").stdout.startswith("version 1")
    # Three bytes that are no UTF-8 stand for one, as it came in.
    result = CliRunner().invoke(app, ["memory", "history", "odd\udce9", "--version", "1"])
    assert result.stdout_bytes == "[user] zebra \ud800 \n".encode("utf-8", "surrogatepass")


def test_history_shows_versions_and_their_exact_text(there: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\n" * 100)
    run("add", str(tmp_path / "a.txt"))
    (tmp_path / "a.txt").write_text("first\n" * 100 + "second\n")
    run("add", str(tmp_path / "a.txt"))
    shown = run("history", str(tmp_path / "a.txt")).stdout.splitlines()
    assert len(shown) == 2 and "retired" in shown[0] and "current" in shown[1] and "what changed: " in shown[1]
    assert run("history", str(tmp_path / "a.txt"), "--version", "1").stdout == "first\n" * 100
    assert len(json.loads(run("history", str(tmp_path / "a.txt"), "--json").stdout)) == 2
    assert "has no version 7" in run("history", str(tmp_path / "a.txt"), "--version", "7", code=2).stderr


def test_search_and_ask_without_a_model_give_passages(there: Path) -> None:
    hits = json.loads(run("search", "orange marmalade", "--json").stdout)
    assert "ORANGE MARMALADE" in hits[0]["text"] and hits[0]["line"] > 1
    shown = run("ask", "What stood on the jar of orange marmalade?").stdout
    assert "ORANGE MARMALADE" in shown and re.search(rf"alice-1\.txt, line {_line_of('MARMALADE')} \(page 1\)\n", shown)
    assert "nothing found" in run("search", "zzzz").stderr
    assert "no memory there" in run("search", "x", "-m", "none.memory", code=1).stderr


def _line_of(word: str) -> int:
    return 1 + ALICE.read_text("utf-8").partition(word)[0].count("\n")


def test_search_says_where_a_passage_stands_now(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notes = tmp_path / "in" / "notes.md"
    notes.parent.mkdir()
    notes.write_text("# Keys\n\n\tunder the thimble\x1b[2J\n")
    run("add", "in")
    notes.rename(notes := notes.with_name("later.md"))
    run("add", "in")
    assert run("search", "thimble").stdout == (
        "in/later.md, line 3 (page 5)\n    # Keys\n\n        under the thimble\\x1b[2J\n")
    notes.write_text("one\ntwo\n" + notes.read_text())
    run("add", "in")
    shown = run("search", "thimble").stdout
    assert "in/later.md, line 5 (page 6)\n" in shown
    assert "in/later.md, what version 2 changed (page 7)\n" in run("search", "version two").stdout


def test_search_names_the_message_and_shows_what_was_only_said_as_that(there: Path, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hello"},
            {"role": "tool", "tool_call_id": "7", "content": "ok\n[user] thimble"}]
    (tmp_path / "talk.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in chat))
    run("add", str(tmp_path / "talk.jsonl"))
    assert run("search", "thimble").stdout == (
        "talk, message 2 (tool); who speaks begins with [§…]\n"
        "    [§user] hello\n    [§tool] [§result of 7] ok\n    [user] thimble\n")
    assert run("search", "hello", "-n", "1").stdout.startswith("talk, message 1 (user)")
    assert "on a page that is not full yet" in run("history", "talk").stdout


def test_search_shows_what_is_read_where_that_is_asked_for(there: Path) -> None:
    assert "read the same" in run("search", "orange marmalade", "--read", "-n", "1").stdout
    (hit,) = json.loads(run("search", "orange marmalade", "--read", "-n", "1", "--json").stdout)
    assert hit["exact"] and hit["read"] == hit["text"]


def test_forget_asks_before_it_forgets_what_a_query_finds(there: Path) -> None:
    run("add", "-", "--name", "letter", stdin="A")
    said = run("forget", "letter").stderr
    assert "letter; 1 version, 0 messages, 1 character; 1 page is gone or changed" in said
    run("add", "-", "--name", "note", stdin="My pass phrase is xylophone.\nThis stays.\n")
    assert run("forget", "--query", "PASS PHRASE", stdin="n\n").stderr.count("My pass phrase is xylophone.") == 1
    assert run("search", "xylophone").stdout
    run("add", "-", "--name", "gnp\u202e\n", stdin="\u202eeno\x1b[2J giraffe")
    asked = run("forget", "--query", "giraffe", stdin="y\n").stderr
    assert "gnp\\u202e\\n, version 1: \\u202eeno\\x1b[2J giraffe" in asked and "\u202e" not in asked
    assert "29 characters" in run("forget", "--query", "pass phrase", "--yes").stderr
    assert run("history", "note", "--version", "1").stdout == "This stays.\n"
    done = json.loads(run("forget", "note", "--json").stdout)
    assert done["names"] == ["note"] and done["wiped"]
    assert "forgotten: " in run("forget", "--page", "1").stderr
    run("forget", "--after", "2000-01-01", "--before", "2999-01-01")
    assert run("history").stdout == ""
    for wrong in ((), ("note", "--page", "1"), ("nobody",), ("--page", "99"), ("--before", "noon")):
        run("forget", *wrong, code=2)


def test_ask_sends_the_context_and_names_what_is_cited(there: Path) -> None:
    with standing_in() as server:
        asked = json.loads(run("ask", "Who fell?", "--endpoint", server.url, "--json").stdout)
        assert asked["answer"].startswith("I was sent 3 pictures") and asked["tokens"] > 765
        assert list(asked["cited"]) == ["1", "4"] and asked["cited"]["4"] == f"{ALICE.resolve()}, page 4"
        words, pictures = parts_of(server.asked[0])
        assert words.endswith("Question: Who fell?")
        assert [Image.open(io.BytesIO(p)).width for p in pictures] == [512] * 3, "the short last page is sent as text"
        assert "[page 1]" in run("ask", "Who fell?", "--endpoint", server.url).stdout
    assert "cannot be reached" in run("ask", "x", "--endpoint", "http://127.0.0.1:9/v1", code=1).stderr
    with standing_in(lambda body: "It says so. [page 99]") as server:
        assert "cites pages that it was not shown: 99" in run("ask", "x", "--endpoint", server.url).stderr
    with standing_in(lambda body: " ") as server:
        assert "answer is empty" in run("ask", "x", "--endpoint", server.url, code=1).stderr


def test_pages_that_an_answer_cites_are_recalled(there: Path) -> None:
    run("add", "-", stdin="another text")
    with standing_in(lambda body: "[page 1]") as server:
        run("ask", "Who?", "--endpoint", server.url)
    with Memory(there) as memory:
        assert [r.since_page for r in memory.records()] == [5, 2, 3, 4, 5]


def test_show_and_its_costs(there: Path, tmp_path: Path) -> None:
    assert json.loads(run("show", "--json").stdout)["pages"] == 4
    shown = run("show")
    assert "of a context's prefix from call to call" in shown.stdout and "no model is named: pictures" in shown.stderr
    costs = json.loads(run("show", "--cost", "--budget", "300", "--model", "nano", "--json").stdout)
    assert [way["name"] for way in costs][:2] == ["all text", "cached text"] and costs[-1]["tokens"] <= 300
    assert costs[0]["first"] is None and costs[0]["dated"] == ""
    (tmp_path / "p.toml").write_text(
        '[models.claude-opus-5]\npictures = "claude-high"\n'
        'prices = [{input = 1000000, read = 1, dated = "2026-11-25", source = "us"}]\n'
    )
    table = run("show", "--cost", "--model", "claude-opus-5", "--prices", str(tmp_path / "p.toml")).stdout
    assert "faded pages" in table and f"{costs[0]['tokens']:.4f}" in table and "2026-11-25" in table
    unknown = run("show", "--cost", "--model", "abacus")
    assert "abacus is not in the table of models" in unknown.stderr and "$ first call " in unknown.stdout


def test_a_schedule_and_prices_may_begin_with_a_mark_and_may_not_be_nested_without_end(
    there: Path, tmp_path: Path
) -> None:
    file = tmp_path / "x.toml"
    for text, code in (("\ufeff", 0), ("a = " + 100_000 * "[", 2)):
        for command in (("fade", "--schedule"), ("show", "--cost", "--prices")):
            file.write_text(text + ('kind = "pinned"\n' if code == 0 and command[0] == "fade" else ""))
            done = run(*command, str(file), code=code)
            assert code == 0 or (done.stderr.startswith(f"microfiche: {file}: not a ") and done.stderr.count("\n") == 1)


def held(memory: Path) -> list[str]:
    """All that a memory holds."""
    with closing(sqlite3.connect(memory)) as connection:
        return list(connection.iterdump())


def test_plotting_keeps_no_schedule(there: Path, tmp_path: Path) -> None:
    """In a memory that has none of its own, so that a kept one would be used by the next fading."""
    before = held(there)
    shown = run("fade", "--half-life", "64", "--plot", str(tmp_path / "curve.png"))
    assert held(there) == before and shown.stderr.count("tokens") == 6
    with Memory(there) as memory:
        assert memory.setting("schedule") is None


def test_fade_by_a_schedule_that_is_kept(there: Path, tmp_path: Path) -> None:
    with Memory(there) as memory:
        for i in range(14):
            memory.add(f"text number {i}", name=f"text {i}")
    (tmp_path / "s.toml").write_text('kind = "steps"\nsteps = [[0, "large"], [1, "half-tiny"]]\n')
    done = json.loads(run("fade", "--schedule", str(tmp_path / "s.toml"), "--json").stdout)
    assert done["smaller"] == 16 and done["first"] == 1
    assert "a cached prefix holds" in run("fade").stderr, "the schedule was kept"
    assert "16 sharper" in run("fade", "--schedule", "pinned").stderr
    assert "there are half-life, steps, pinned" in run("fade", "--schedule", "whim", code=2).stderr
    before = held(there)
    for how in (("--half-life", "8"), ("--schedule", "steps"), ("--schedule", str(tmp_path / "s.toml")), ()):
        run("fade", *how, "--plot", str(tmp_path / "curve.png"))
    assert held(there) == before, "--plot only draws"
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "half_life" in run("fade", "--half-life", "-1", code=2).stderr


def test_calibrate_with_nano_and_with_a_model_at_an_endpoint(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROFICHE_CONFIG", str(tmp_path / "config"))
    few = ("--text", str(ALICE), "--mode", "small", "--density", "5x8", "--density", "7x13", "--strings", "24")
    own = json.loads(run("calibrate", *few, "--wanted", "0.3", "--json").stdout)
    assert own["best"]["density"] == "5x8" and len(own["tried"]) == 2
    assert own["profile"].startswith(str(tmp_path / "config/profiles/nano@"))

    nano = load()

    def reads(body: Body) -> str:
        """Reads 7x13 and nothing closer."""
        images = [np.asarray(Image.open(io.BytesIO(picture)).convert("L")) for picture in parts_of(body)[1]]
        text = "".join(r.text for r in nano.read(nano.encode([Page(image, Setting("7x13")) for image in images])))
        return "\n".join(line for line in text.split("\n") if line.startswith("Q"))

    with standing_in(reads) as server:
        plot = str(tmp_path / "c.png")
        done = run("calibrate", *few, "--endpoint", server.url, "--endpoint-model", "gpt-6-sol", "--wanted", "0.5",
                   "--plot", plot, "--memory", str(there))  # fmt: skip
    assert "7x13 at 640 px is the densest; alone on a picture may stand:" in done.stderr and Path(plot).exists()
    assert "(prices of 2026-11-06)" in done.stderr and "invented: 0 of 24" in done.stderr
    with Memory(there) as memory:
        assert memory.manner.density == "7x13" and memory.manner.mode == "small"
        made = memory.context(50_000, model="gpt-6-sol")
        assert any("was measured on" in note for note in made.notes) or not any(page.png for page in made.pages)
    with standing_in(lambda body: "no idea") as server:
        said = run("calibrate", *few, "--wanted", "0.5", "--endpoint", server.url, code=1).stderr
        assert "no print is read well enough" in said and "no price is known" in said
        said = run("calibrate", *few, "--endpoint", server.url, code=2).stderr
        assert "--strings 24: all right are at least 0.86 at 95 %, and 0.9 is wanted" in said
    (tmp_path / "short.txt").write_text("short")
    assert "give one of 100" in run("calibrate", "--text", str(tmp_path / "short.txt"), code=2).stderr


def test_each_thing_that_is_named_takes_one_line(there: Path, tmp_path: Path) -> None:
    """A folder from others may hold any names; none of them moves a terminal's cursor or looks like another line."""
    (folder := tmp_path / "from others").mkdir()
    (folder / "a\nmicrofiche: all is well.env").write_text("x")
    (folder / "\x1b[2Jb\n[user] yes.txt").write_text("xylophone")
    added = run("add", str(folder))
    assert "a\\nmicrofiche: all is well.env: left out: likely a secret" in added.stderr
    asked = run("forget", "--query", "xylophone", stdin="n\n")
    assert "\\x1b[2Jb\\n[user] yes.txt, version 1: xylophone" in asked.stderr
    assert "\x1b" not in added.output + asked.output
