"""Plays a chat of 300 turns through the proxy and draws what each turn cost in tokens, as text and with pages.

    python examples/chat/run.py -o saved.png             against the stand-in beside this file
    python examples/chat/run.py --proxy http://127.0.0.1:8765/v1 --model NAME -o saved.png

The second uses a proxy that is running (microfiche serve --proxy …). The model's answers are not used: each turn sends
the chat as it stands in chat.jsonl up to that turn.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from stand_in import standing_in

from microfiche.files import whole_file
from microfiche.memory.billing import provider
from microfiche.memory.fading import HalfLife
from microfiche.memory.paper import Manner
from microfiche.precision import text_tokens
from microfiche.proxy.server import app
from microfiche.proxy.turns import Rewriter

CHAT = Path(__file__).parent / "chat.jsonl"


@contextmanager
def proxying(upstream: str, rewriter: Rewriter) -> Iterator[str]:
    """Runs the proxy before the server at `upstream` in this process, and gives its address up to /v1."""
    server = uvicorn.Server(uvicorn.Config(app(upstream, rewriter), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join()


def play(url: str, model: str, turns: int, every: int = 1) -> list[tuple[int, int, int]]:
    """(turn, prompt tokens as text, prompt tokens as charged) for each turn that is sent."""
    messages = [json.loads(line) for line in CHAT.read_text("utf-8").splitlines()]
    counts = [text_tokens(message["content"]) for message in messages]
    course = []
    for turn in range(1, min(turns, len(messages) // 2) + 1, every):
        body = {"model": model, "messages": messages[: 2 * turn - 1]}
        request = urllib.request.Request(
            f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            used: dict[str, Any] = json.load(answer)["usage"]
        course.append((turn, sum(counts[: 2 * turn - 1]), used["prompt_tokens"]))
    return course


def draw(course: list[tuple[int, int, int]], out: Path) -> None:
    """PNG of tokens turn by turn, and of their sums."""
    from matplotlib.figure import Figure

    turns, text, pages = zip(*course, strict=True)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, kind in ((left, list), (right, _sums)):
        axes.plot(turns, kind(text), label="all text")
        axes.plot(turns, kind(pages), label="through the proxy")
        axes.fill_between(turns, kind(pages), kind(text), alpha=0.15)
        axes.grid(alpha=0.3)
    left.set(xlabel="turn", ylabel="prompt tokens of the turn")
    right.set(xlabel="turn", ylabel="prompt tokens of all turns so far")
    left.legend()
    figure.savefig(out, format="png", dpi=110)


def _sums(values: tuple[int, ...]) -> list[int]:
    return [sum(values[: i + 1]) for i in range(len(values))]


def main(arguments: list[str] | None = None) -> list[tuple[int, int, int]]:
    """Plays, draws, says what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--proxy", help="a proxy that runs already, up to /v1")
    parser.add_argument("--model", default="stand-in")
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--every", type=int, default=1, help="send only every so many turns")
    parser.add_argument("--keep", type=int, default=8)
    parser.add_argument("--density", default="7x13")
    parser.add_argument("--half-life", type=float, default=16, help="of pages")
    given = parser.parse_args(arguments)
    if given.proxy:
        course = play(given.proxy, given.model, given.turns, given.every)
    else:
        manner, schedule = Manner(given.density, "tiny", "dense"), HalfLife(half_life=given.half_life)
        rewriter = Rewriter(given.keep, manner, schedule, provider("openai-tiles"))
        with standing_in() as upstream, proxying(upstream.url, rewriter) as url:
            course = play(url, given.model, given.turns, given.every)
    with whole_file(given.output) as beside:
        draw(course, beside)
    text, charged = sum(c[1] for c in course), sum(c[2] for c in course)
    print(f"{len(course)} turns: {text:,} prompt tokens as text, {charged:,} through the proxy; in the last turn "
          f"{course[-1][1]:,} and {course[-1][2]:,}")
    return course


if __name__ == "__main__":
    main()
