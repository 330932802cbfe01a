"""What a model still knows of results that became pages: exact values, and words, over the sessions of agents.py.

    python benchmarks/agent_questions.py --sessions 3
    python benchmarks/agent_questions.py --model claude-opus-5

Two values are put into every large result: hashes, UUIDs, names, numbers, paths, versions. The proxy draws the
sessions; nano reads the pictures that would be sent, and on top of that strings are misread as often as was published
of the model. A value counts as there if it stands as text beside its page, or if `search` and `read_lines` give its
line. Questions on words are five words of a line, of which the next is asked; nothing is looked up for them, and lines
that stand beside a page as text are answered by that, or, as is counted apart, by the pages alone.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from agent_sessions import sessions
from agents import recorded, with_results

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/proxy"))
from provider.eyes import Eyes, Model, Seen, published
from provider.questions import Planted, looking, planted, with_values, word_questions

from microfiche.proxy.drawer import LedgerDrawer
from microfiche.proxy.ledger import Ledger
from microfiche.proxy.replay import opened
from microfiche.proxy.verdict import Draw
from microfiche.serving.recall import Recall

LARGE = 2_000  #: characters of a result into which values are put


def main() -> None:
    """Plays the sessions, asks, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--model", default="claude-fable-5-1", help="one of the models with published figures at 5x8")
    given = parser.parse_args()
    rates, eyes = published(given.model), Eyes()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger")
        recall = Recall(Path(folder) / "ledger")
        drawer = LedgerDrawer(lambda: ledger, Draw.safe)
        sure, hasty, clear = Model(rates, looking(recall)), Model(rates), Model()
        number = 0
        for session in sessions(0, given.sessions):
            rng, values = random.Random(f"questions {session.number}"), dict[int, list[Planted]]()
            texts: dict[int, list[str]] = {}

            def put(turn: int, text: str) -> str:
                nonlocal number
                if len(text) < LARGE:
                    return text
                mine = [planted(rng, number), planted(rng, number + 1)]  # noqa: B023
                number += 2
                values.setdefault(turn, []).extend(mine)  # noqa: B023
                texts.setdefault(turn, []).append(text)  # noqa: B023
                return with_values(text, mine, rng)  # noqa: B023

            known = with_results(session, put)
            for turn, one in enumerate(recorded(known, "anthropic", given.model)):
                asked = opened(one)
                assert asked is not None
                drawing = drawer.draw(asked.route, asked.body, asked.asked)
                if not drawing.replacements or known.steps[turn].fresh:
                    continue
                last = json.loads(asked.body.spliced(drawing.replacements))["messages"][-1:]
                seen = eyes.seen(last)
                for value in values.get(turn - 1, []):
                    if not recall.search(value.label, 1):
                        counts["values in results that stayed text"] += 1
                        continue
                    line = looking(recall)(value.label)
                    counts["values"] += 1
                    counts["as text"] += value.value in seen.text
                    counts["by recall"] += line is not None and value.value in line
                    counts["neither"] += value.value not in seen.text and (line is None or value.value not in line)
                    counts["wrong, looked up"] += sure.value(seen, value.label, value.pattern) != value.value
                    counts["wrong, guessed"] += hasty.value(seen, value.label, value.pattern) != value.value
                for text in texts.get(turn - 1, []):
                    if text[:200] in seen.text:
                        continue
                    for ask, answer in word_questions(text, rng, 4):
                        counts["words"] += 1
                        counts["words right"] += clear.following(seen, ask) == answer
                        counts["words right, by pages alone"] += clear.following(Seen(pages=seen.pages), ask) == answer
                        counts["words right, as published"] += hasty.following(seen, ask) == answer
            print(f"session {session.number}: {dict(counts)}", file=sys.stderr)
        recall.close()
        ledger.close()
    asked_values, words = max(counts["values"], 1), max(counts["words"], 1)
    print(f"{given.model}: {counts['values']} values in drawn results, {eyes.pictures} pictures read")
    for name in ("as text", "by recall", "neither", "wrong, looked up", "wrong, guessed"):
        print(f"  {name}: {counts[name]} ({100 * counts[name] / asked_values:.1f} %)")
    print(f"  looked up: {sure.looked}")
    for name in ("words right", "words right, by pages alone", "words right, as published"):
        print(f"  of {counts['words']} questions on words, {name}: {100 * counts[name] / words:.1f} %")
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
