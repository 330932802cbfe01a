"""Whether the facts of olmOCR-bench hold in a Markdown text: the meaning of its fields, without its code.

Texts are compared after white space, quotes, dashes and marks of Markdown are made alike, `max_diffs` edits apart.
"""

from __future__ import annotations

import re
import unicodedata

from document_scores import Grid, formulas, pieces
from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import partial_ratio, partial_ratio_alignment

_ALIKE = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "＿": "_",
        "–": "-",
        "—": "-",
        "‑": "-",
        "‒": "-",
        "−": "-",
        "\u00b5": "\u03bc",
    }
)
_OTHER = re.compile("[\u3040-\u30ff\u4e00-\u9fff\U0001f1e0-\U0001f1ff\U0001f300-\U0001f64f\U0001f680-\U0001f6ff]")


def plain(text: str) -> str:
    """Text as facts are compared. Backslashes of Markdown's escapes are no part of it."""
    text = re.sub(r"<br\s*/?>", " ", text)
    text = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)
    for mark in (r"\*\*", "__", r"\*", "_"):
        text = re.sub(rf"{mark}(.*?){mark}", r"\1", text)
    text = re.sub(r"</?[bi]>", "", text)
    return unicodedata.normalize("NFC", " ".join(text.split()) if text.strip() else "").translate(_ALIKE)


def holds(fact: dict[str, object], markdown: str) -> bool:
    """Whether one fact holds. Raises ValueError for a type that olmOCR-bench does not have."""
    kind, slack = fact["type"], int(str(fact.get("max_diffs") or 0))
    if kind == "baseline":
        return _baseline(fact, markdown)
    if kind in ("present", "absent"):
        return _stands(fact, markdown, slack) == (kind == "present")
    if kind == "order":
        return _ordered(plain(str(fact["before"])), plain(str(fact["after"])), plain(markdown), slack)
    if kind == "table":
        grids = [piece.grid for piece in pieces(markdown) if piece.grid]
        return any(_beside(fact, grid, slack) for grid in grids)
    if kind == "math":
        return any(_tight(str(fact["math"])) in _tight(formula) for formula in formulas(markdown))
    raise ValueError(f"facts of type {kind!r} are not known")


def _tight(latex: str) -> str:
    """LaTeX without what does not show: spaces, braces around one sign, sizes of brackets."""
    latex = re.sub(r"\\(left|right|displaystyle|,|;|!|quad|limits)(?![a-zA-Z])|\s+", " ", latex)
    latex = re.sub(r"(?<=[A-Za-z])\s+(?=[A-Za-z])", "\x00", latex).replace(" ", "").replace("\x00", " ")
    return re.sub(r"\{(\w|\\[a-zA-Z]+)\}", r"\1", latex)


def _baseline(fact: dict[str, object], markdown: str) -> bool:
    signs = sum(map(str.isalnum, markdown))
    if fact.get("max_length") is not None:
        return signs <= int(str(fact["max_length"]))
    if not signs or (fact.get("check_disallowed_characters", True) and _OTHER.search(markdown)):
        return False
    tail = re.search(r"(.{1,5}?)\1*$", markdown.rstrip(), re.DOTALL)
    return tail is None or len(tail[0]) <= 30 * len(tail[1])


def _stands(fact: dict[str, object], markdown: str, slack: int) -> bool:
    wanted, text = plain(str(fact["text"])), plain(markdown)
    if fact.get("case_sensitive") is False:
        wanted, text = wanted.lower(), text.lower()
    first, last = (int(str(fact.get(name) or 0)) for name in ("first_n", "last_n"))
    if first or last:
        text = (text[:first] if first else "") + (text[-last:] if last else "")
    if len(text) < len(wanted) - slack:
        return False
    return partial_ratio(wanted, text) / 100 >= 1 - slack / max(1, len(wanted))


def _places(wanted: str, text: str, slack: int) -> tuple[int, int] | None:
    """The first and the last place where a text stands."""
    exact = text.find(wanted)
    if exact >= 0:
        return exact, text.rfind(wanted)
    match = (
        partial_ratio_alignment(wanted, text, score_cutoff=100 * (1 - 2 * slack / max(1, len(wanted))))
        if slack
        else None
    )
    if match is None or Levenshtein.distance(wanted, text[match.dest_start : match.dest_end]) > slack + 1:
        return None
    return match.dest_start, match.dest_start


def _ordered(before: str, after: str, text: str, slack: int) -> bool:
    one, two = _places(before, text, slack), _places(after, text, slack)
    return bool(one and two and one[0] < two[1])


def _beside(fact: dict[str, object], grid: Grid, slack: int) -> bool:
    def same(wanted: str, found: str) -> bool:
        wanted, found = plain(wanted), plain(found)
        return Levenshtein.normalized_similarity(wanted, found) >= max(0.5, 1 - slack / max(1, len(wanted)))

    def near(at: tuple[int, int], down: int, across: int) -> list[str]:
        """The nearest other cell that way (a cell that spans is one cell)."""
        row, column = at[0] + down, at[1] + across
        while (row, column) in grid.cells:
            if grid.owner.get((row, column)) != grid.owner.get(at):
                return [grid.cells[row, column]]
            row, column = row + down, column + across
        return []

    def all_the_way(at: tuple[int, int], down: int, across: int) -> list[str]:
        return [
            text
            for (r, c), text in grid.cells.items()
            if (c == at[1] and r < at[0] if down else r == at[0] and c < at[1])
        ]

    sides = {
        "up": lambda at: near(at, -1, 0),
        "down": lambda at: near(at, 1, 0),
        "left": lambda at: near(at, 0, -1),
        "right": lambda at: near(at, 0, 1),
        "top_heading": lambda at: all_the_way(at, 1, 0),
        "left_heading": lambda at: all_the_way(at, 0, 1),
    }
    wanted = {name: str(fact[name]) for name in sides if fact.get(name)}
    return any(
        all(any(same(text, found) for found in sides[name](at)) for name, text in wanted.items())
        for at, cell in grid.cells.items()
        if same(str(fact["cell"]), cell)
    )
