"""What a model reads is measured by strings of every kind and by keys that are not there; the lower bound decides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from microfiche.endpoint import Endpoint
from microfiche.errors import InputError, UsageError
from microfiche.files import config_folder
from microfiche.memory.billing import Usage
from microfiche.memory.calibration import PAGES, REQUESTS, Answer, Sheet, at_endpoint, by_nano, plot_rows, rows, sheets
from microfiche.memory.exact import KINDS, kind_of
from microfiche.memory.models import hosted
from microfiche.memory.profiles import Profile, Row, Score, profile_of, store_profile
from microfiche.nano.cells import Nano
from microfiche.page import TypesetPage
from microfiche.typesetting import Typesetter
from microfiche.typesetting.density import density, mode


def made(text: str, strings: int = 8, size: str = "small", name: str = "6x10") -> list[Sheet]:
    return list(sheets(text, Typesetter(density(name), mode(size)), strings, Random(1)))


def reading(pages: Sequence[TypesetPage], question: str) -> Answer:
    """An ideal reader, which sees what stands on the pages."""
    text = "".join(page.text for page in pages)
    keys = re.findall(r"Q(\d+)", question.rpartition("Keys:")[2])
    found = dict(re.findall(r"^Q(\d+): (.*)$", text, re.MULTILINE))
    return Answer("\n".join(f"Q{key}: {found.get(key, 'none')}" for key in keys), Usage(1000, output=10))


def test_all_strings_stand_on_full_pages_and_absent_keys_do_not(alice: str) -> None:
    tried = made(alice)
    assert len(tried) == REQUESTS
    every = [string for sheet in tried for string in sheet.strings.values()]
    assert sorted(kind for kind, _ in every) == sorted(kind for kind in KINDS for _ in range(8))
    for sheet in tried:
        assert len(sheet.pages) == PAGES and all(page.image.shape == (640, 640) for page in sheet.pages[:-1])
        text = "".join(page.text for page in sheet.pages)
        assert all(f"\nQ{key}: {string}\n" in text for key, (_, string) in sheet.strings.items())
        assert sheet.absent and not any(f"Q{key}:" in text for key in sheet.absent)
        assert all(f"Q{key}" in sheet.question for key in [*sheet.strings, *sheet.absent])


def test_strings_are_of_their_kind(alice: str) -> None:
    for sheet in made(alice):
        for kind, string in sheet.strings.values():
            if kind in ("hex", "numbers", "paths"):
                assert kind_of(string)[0] == kind or ((kind == "hex" and string.isdigit()) or string.isalpha())


def test_an_answer_is_scored_by_kind_and_by_what_is_invented(alice: str) -> None:
    sheet = made(alice)[0]
    right = reading(sheet.pages, sheet.question).text
    scores, absent = sheet.scores(right)
    assert all(score.right == score.asked > 0 for score in scores.values()) and absent.right == absent.asked > 0
    fenced = "Here:\n```\n" + "\n".join(f"- **{line.replace(':', '**:', 1)}" for line in right.split("\n")) + "\n```"
    assert sheet.scores(fenced) == (scores, absent), "lists, bold keys and fences do not matter"
    invented = re.sub(r": none$", ": a1b2", right, flags=re.MULTILINE)
    assert sheet.scores(invented) == (scores, Score(right=0, asked=absent.asked))
    wrong = "\n".join(f"Q{key}: {string[:-1]}~" for key, (_, string) in sheet.strings.items())
    nearly, silent = sheet.scores(wrong)
    assert all(score.right == 0 for kind, score in nearly.items() if kind != "prose")
    assert nearly["prose"].right > 0 and silent == absent, "a slip in prose is forgiven, and silence invents nothing"
    assert sheet.scores(f"Q{'9' * 5000}: x\n{right}") == (scores, absent), "a key of any length is none"
    assert sheet.scores("") == ({kind: Score(right=0, asked=s.asked) for kind, s in scores.items()}, absent)


def test_a_reader_is_measured_and_its_failures_too(alice: str) -> None:
    model = hosted("claude-opus-5-5")

    def blurred(pages: Sequence[TypesetPage], question: str) -> Answer:
        """Reads 6x10 and misreads every f at 5x8."""
        if pages[0].setting.density == "4x6":
            raise InputError("the endpoint answered 400 Bad Request")
        answer = reading(pages, question)
        return answer if pages[0].setting.density == "6x10" else Answer(re.sub("[fe1]", "t", answer.text), answer.usage)

    found = list(rows(blurred, model, alice, ("4x6", "5x8", "6x10"), ("small",), strings=40))
    failed, misread, read = (row for row, _ in found)
    assert failed.failed and failed.trusted() == frozenset() and found[0][1] == Usage()
    assert read.trusted() == set(KINDS) and read.scores["hex"] == Score(right=40, asked=40)
    assert not misread.trusted() & {"hex", "code", "paths", "identifiers"} and misread.scores["hex"].right < 10
    assert (read.side, read.scale, read.tokens) == (640, 1.0, model.tokens(640, 640)) and read.ratio > 1
    assert read.charged is not None and found[2][1] == Usage(4000, output=40)
    assert Profile(model="x", measured=date(2026, 11, 26), rows=(failed, misread, read)).densest() == read


def test_nano_reads_its_own_pages(nano: Nano, alice: str) -> None:
    ((row, used),) = rows(by_nano(nano), hosted("nano"), alice, ("7x13",), ("small",))
    assert used == Usage() and row.charged is None and row.absent == Score(right=48, asked=48)
    assert all(36 <= score.right <= score.asked == 48 for score in row.scores.values())
    assert row.trusted() == {kind for kind, score in row.scores.items() if score.lower >= 0.9}


def test_the_text_must_have_words_and_the_strings_must_fit(alice: str) -> None:
    with pytest.raises(UsageError, match="give one of 100 or more"):
        made("short")
    with pytest.raises(UsageError, match="do not fit on 12 pages at 7x13, tiny"):
        made(alice, 400, "tiny", "7x13")


def test_the_plot_is_a_png(alice: str, tmp_path: Path) -> None:
    found = [row for row, _ in rows(reading, hosted("gpt-6-sol"), alice, ("5x8", "6x10"), ("small",), strings=8)]
    plot_rows(found, 0.9, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("right", "asked", "lower"), [
    (48, 48, 0.9259), (40, 40, 0.9124), (47, 48, 0.8911), (0, 48, 0.0), (5, 10, 0.2366), (0, 0, 0.0), (1, 1, 0.2065),
])  # fmt: skip
def test_the_lower_bound_is_wilsons(right: int, asked: int, lower: float) -> None:
    assert Score(right=right, asked=asked).lower == pytest.approx(lower, abs=1e-4)


def row(name: str, scale: float, kinds: Sequence[str], honest: int = 48, ratio: float = 1.0) -> Row:
    scores = {kind: Score(right=48 if kind in kinds else 30, asked=48) for kind in KINDS}
    return Row(density=name, side=1280, scale=scale, tokens=1000, ratio=ratio, scores=scores,
               absent=Score(right=honest, asked=48))  # fmt: skip


def test_a_profile_finds_the_row_that_holds_and_the_densest() -> None:
    rows_ = (row("5x8", 1.0, ["prose"], ratio=9), row("5x8", 0.6, [], ratio=12), row("7x13", 1.0, KINDS, ratio=4),
             row("4x6", 1.0, KINDS, honest=40, ratio=20))  # fmt: skip
    profile = Profile(model="x", measured=date(2026, 11, 26), rows=rows_)
    assert profile.row("5x8", 1.2) == rows_[0] and profile.row("5x8", 0.8) == rows_[1]
    assert profile.row("5x8", 0.5) is None and profile.knows("5x8") and not profile.knows("6x10")
    assert profile.densest() == rows_[0] and profile.densest(kinds=("prose", "hex")) == rows_[2]
    assert rows_[3].trusted() == frozenset(), "who invents is trusted with nothing"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICROFICHE_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config" / "profiles"


def test_profiles_are_kept_by_model_and_date(folder: Path) -> None:
    assert profile_of("claude-opus-5-5") is None
    rows_ = (row("5x8", 1, KINDS),)
    old, new = (Profile(model="claude-opus-5-5", measured=date(2026, month, 1), rows=rows_) for month in (9, 11))
    other = Profile(model="claude-opus-5", measured=date(2026, 12, 1), rows=())
    for profile in (new, old, other):
        store_profile(profile)
    assert profile_of("anthropic/claude-opus-5.5-20260922") == new and profile_of("claude-opus-5") == other
    assert profile_of("gpt-6-sol") is None and len(list(folder.iterdir())) == 3
    for name in ("../../etc/x", "a b/c:d", "żółć", ""):
        assert store_profile(Profile(model=name, measured=date(2026, 1, 1), rows=())).parent == folder
        assert profile_of(name) is not None


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"model": 3}', "\x00", '{"model": "x", "measured": "2026-99-01", "rows": []}', "[" * 100_000,
])  # fmt: skip
def test_a_damaged_profile_is_named(folder: Path, text: str) -> None:
    path = store_profile(Profile(model="x", measured=date(2026, 11, 1), rows=()))
    path.write_text(text)
    with pytest.raises(InputError, match=r"x@2026-11-01.json: not a profile \([^\n]+\); calibrate anew or remove it$"):
        profile_of("x")


def test_where_no_profile_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MICROFICHE_CONFIG", str(tmp_path / "file"))
    assert config_folder() == tmp_path / "file" and profile_of("x") is None
    with pytest.raises(InputError, match="the profile cannot be kept"):
        store_profile(Profile(model="x", measured=date(2026, 11, 1), rows=()))
    monkeypatch.delenv("MICROFICHE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert config_folder() == tmp_path / "xdg" / "microfiche"


REFUSED = {"temperature", "max_tokens", "top_p"}


@contextmanager
def server(knows: str = "max_completion_tokens", cut: bool = False) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A stand-in for a server of today: it refuses a temperature and an old name of the limit, and reports usage."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body)
            wrong = body.keys() - {"model", "messages", knows}
            code, answer = 400, {"error": {"message": f"Unsupported parameter: {', '.join(wrong)}"}}
            if not wrong:
                question = body["messages"][0]["content"][-1]["text"]
                said = "\n".join(f"{key}: none" for key in re.findall(r"Q\d+", question))
                message = {"role": "assistant", "content": said}
                usage = {"prompt_tokens": 5000, "completion_tokens": 70, "prompt_tokens_details": {"cached_tokens": 0}}
                reason = "length" if cut else "stop"
                code, answer = 200, {"choices": [{"message": message, "finish_reason": reason}], "usage": usage}
            data = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    made_ = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=made_.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{made_.server_port}/v1", asked
    finally:
        made_.shutdown()
        thread.join()
        made_.server_close()


def test_a_server_of_today_is_asked_so_that_it_answers(alice: str) -> None:
    with server() as (url, asked):
        ask = at_endpoint(Endpoint(url), "gpt-6-sol")
        ((row_, used),) = rows(ask, hosted("gpt-6-sol"), alice, ("6x10",), ("small",), strings=8)
    assert len(asked) == REQUESTS and not any(REFUSED & body.keys() for body in asked)
    content = asked[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url"] * PAGES + ["text"]
    assert content[0]["text"] == "Page 1:" and content[4]["text"] == "Page 3:"
    assert used == Usage(20_000, output=280) and row_.charged is not None and 1000 < row_.charged < 1667
    assert row_.absent == Score(right=8, asked=8) and row_.scores["hex"] == Score(right=0, asked=8)
    assert row_.trusted() == frozenset()


def test_a_server_that_knows_no_limit_of_answers_is_asked_without(alice: str) -> None:
    sheet = made(alice)[0]
    with server(knows="nothing of it") as (url, asked):
        answer = at_endpoint(Endpoint(url), "old")(sheet.pages, sheet.question)
    assert answer.usage == Usage(5000, output=70)
    assert [("max_completion_tokens" in body) for body in asked] == [True, False]


def test_an_answer_that_was_cut_short_measures_nothing(alice: str) -> None:
    sheet = made(alice)[0]
    with server(cut=True) as (url, _), pytest.raises(InputError, match="longer than 32,768 tokens"):
        at_endpoint(Endpoint(url), "gpt-6-sol")(sheet.pages, sheet.question)
