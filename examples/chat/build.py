"""Builds examples/chat/chat.jsonl: 300 turns in which a collection is catalogued, made for this project.

    python examples/chat/build.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path

THINGS = ("ledger", "atlas", "herbarium", "log book", "sketch book", "set of glass plates", "bundle of letters",
          "survey map", "cookery book", "album of postcards", "theatre bill", "school register", "box of microfiche",
          "tide table")
OWNERS = ("the harbour office", "a lens grinder", "the botanical society", "Captain Rasmussen", "the mill at Orla",
          "a travelling dentist", "Sister Agathe", "the observatory", "the brass band", "a clockmaker's widow")
STATES = ("the spine is loose but every leaf is there", "water got at the lower edge, the ink held",
          "clean, someone kept it in linen", "mice had the index",
          "the last gathering is missing",
          "faded, though it can be read in slanted light", "rebound about 1920 with the margins cut")
REMARKS = ("I would photograph it first.", "It ought to lie flat.", "Do not lend it out.", "It may go on show.",
           "Another of the kind is in the east room.", "The donor asked that it stays in the shade.")
ASKS = ("Next one. What do we say of it?", "Here is another. How shall I enter it?", "And this, under which number?",
        "I have one more on the table.", "Please take this down.", "Could you put this in order?")


def main() -> None:
    rng = random.Random(1839)
    out = Path(__file__).parent / "chat.jsonl"
    lines = []
    for number in range(1, 301):
        thing, owner, state = rng.choice(THINGS), rng.choice(OWNERS), rng.choice(STATES)
        year, leaves, high, wide = rng.randint(1790, 1938), rng.randint(8, 420), rng.randint(9, 48), rng.randint(7, 40)
        said = (f"{rng.choice(ASKS)} It is a {thing} from {owner}, dated {year}, {leaves} leaves of {high} by "
                f"{wide} centimetres; {state}.")
        shelf, box = f"{rng.choice('ABCDEFGH')}-{rng.randint(1, 60)}", rng.randint(1, 999)
        answer = (f"Entered as item {number}: {thing}, {owner}, {year}. {leaves} leaves, {high} × {wide} cm. "
                  f"Condition: {state}. It goes to shelf {shelf}, box {box}. {rng.choice(REMARKS)}")
        if number % 10 == 0:
            answer += f" That makes {number} items; the last ten hold {rng.randint(800, 2600)} leaves between them."
        lines += [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
    out.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
