"""How close Markdown comes to what stands on a page: words, text, order, headings, tables, formulas.

The measures are OmniDocBench's in kind, not in code: text in blocks that are matched, pieces joined where that brings
them closer; order among the matched; tables by TEDS of the package `table_recognition_metric`, where it is installed.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from scipy.optimize import linear_sum_assignment

try:
    from table_recognition_metric import TEDS
except ImportError:
    TEDS = None

SAME = 0.8  #: from this similarity on, two headings or formulas are the same
_FOLDED = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "–": "-",
        "—": "-",
        "‑": "-",
        "‒": "-",
        "−": "-",
        "µ": "μ",
        "\xad": None,
        "×": "x",
    }
)
_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")


@dataclass
class Grid:
    """A table: what stands at each row and column, spans filled with their cell's text, and as HTML."""

    cells: dict[tuple[int, int], str] = field(default_factory=dict)
    owner: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)  # the row and number of its cell
    rows: list[list[tuple[str, int, int]]] = field(default_factory=list)  # (text, rowspan, colspan) in source order

    @property
    def text(self) -> str:
        return " ".join(text for row in self.rows for text, _, _ in row)

    @property
    def lines(self) -> list[str]:
        return [" ".join(text for text, _, _ in row) for row in self.rows]

    @property
    def html(self) -> str:
        def tag(text: str, down: int, across: int) -> str:
            spans = (f' rowspan="{down}"' if down > 1 else "") + (f' colspan="{across}"' if across > 1 else "")
            return f"<td{spans}>{html.escape(text)}</td>"

        body = "".join("<tr>" + "".join(tag(*cell) for cell in row) + "</tr>" for row in self.rows)
        return f"<html><body><table>{body}</table></body></html>"


@dataclass(frozen=True)
class Piece:
    """A part of Markdown: title, text, code, table or formula."""

    kind: str
    text: str
    grid: Grid | None = None


class _Tables(HTMLParser):
    """HTML tables as rows of (text, rowspan, colspan)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[list[object]]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
            self.inside = False
        elif tag in ("td", "th") and self.rows:
            values = dict(attrs)
            spans = [int(values.get(n) or 1) if (values.get(n) or "1").isdigit() else 1 for n in ("rowspan", "colspan")]
            self.rows[-1].append(["", *(min(max(1, n), 500) for n in spans)])
            self.inside = True
        elif tag == "br" and self.inside:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1][0] += data


def grid_of(rows: Sequence[Sequence[Sequence[object]]]) -> Grid:
    """A grid from rows of (text, rowspan, colspan)."""
    grid = Grid()
    for r, row in enumerate(rows):
        column, kept = 0, []
        for text, down, across in row:
            plain = " ".join(str(text).split())
            kept.append((plain, down, across))
            while (r, column) in grid.cells:
                column += 1
            for dr in range(down):
                for dc in range(across):
                    grid.cells[r + dr, column + dc] = plain
                    grid.owner[r + dr, column + dc] = r, len(kept)
            column += across
        grid.rows.append(kept)
    return grid


def html_grid(text: str) -> Grid:
    parser = _Tables()
    parser.feed(re.sub(r"<t(?:head|body|foot)[^>]*>|</t(?:head|body|foot)>", "", text))
    return grid_of([row for row in parser.rows if row])


def _pipes(lines: list[str]) -> Grid:
    rows = []
    for k, line in enumerate(lines):
        if k == 1 and _RULE.match(line):
            continue
        parts = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
        rows.append([(bare(part), 1, 1) for part in parts])
    return grid_of(rows)


def bare(text: str) -> str:
    """Text without the marks of Markdown and HTML."""
    text = re.sub(r"!\[((?:[^\]\\]|\\.)*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\[((?:[^\]\\]|\\.)*)\]\(<?[^)]*>?\)", r"\1", text)
    text = re.sub(r"<br\s*/?>", " ", text)
    text = re.sub(r"</?[a-zA-Z][^>]*>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"(?<!\\)(\*\*|__|~~|\*|`)", "", text)
    text = re.sub(r"(?<![\w\\])_(?=\S)|(?<=\S)(?<!\\)_(?!\w)", "", text)
    text = re.sub(r"^\s*(?:[-+•] |>\s?)", "", text, flags=re.MULTILINE)
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))


def pieces(markdown: str) -> list[Piece]:
    """Markdown in parts, in their order."""
    found: list[Piece] = []
    text = re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL)
    pattern = r"(<table.*?</table>|^```.*?^```[ ]*$|\$\$.+?\$\$|\\\[.+?\\\])"
    for part in re.split(pattern, text, flags=re.DOTALL | re.MULTILINE):
        if part.startswith("<table"):
            grid = html_grid(part)
            found.append(Piece("table", grid.text, grid))
        elif part.startswith("```"):
            found.append(Piece("code", part.split("\n", 1)[-1].rsplit("```", 1)[0]))
        elif part.startswith(("$$", "\\[")):
            found.append(Piece("formula", part[2:-2].strip()))
        else:
            found += _plain_pieces(part)
    return [piece for piece in found if piece.text.strip()]


def _plain_pieces(part: str) -> list[Piece]:
    found: list[Piece] = []
    for paragraph in re.split(r"\n[ \t]*\n", part):
        lines, loose = paragraph.strip("\n").split("\n"), []

        def end(loose: list[str] = loose) -> None:
            if loose:
                found.append(Piece("text", bare("\n".join(loose))))
                loose.clear()

        k = 0
        while k < len(lines):
            line = lines[k]
            if (
                "|" in line
                and k + 1 < len(lines)
                and "-" in lines[k + 1]
                and "|" in lines[k + 1]
                and _RULE.match(lines[k + 1])
            ):
                end()
                stop = k
                while stop < len(lines) and "|" in lines[stop]:
                    stop += 1
                grid = _pipes(lines[k:stop])
                found.append(Piece("table", grid.text, grid))
                k = stop
                continue
            if head := re.match(r"\s{0,3}#{1,6}\s+(.*?)\s*#*$", line):
                end()
                found.append(Piece("title", bare(head[1])))
            else:
                loose.append(line)
            k += 1
        end()
    return found


def folded(text: str) -> str:
    """Text for comparison: one form of letters, quotes, dashes; words divided at lines' ends joined."""
    text = unicodedata.normalize("NFKC", text).translate(_FOLDED)
    return re.sub(r"(?<=[a-zà-ÿ])-[ \t]*\n\s*(?=[a-zà-ÿ])", "", text)


def letters(text: str) -> str:
    """The letters, digits and signs of a text, no white space, as OmniDocBench compares it."""
    return re.sub(r"[\s\\$^{}~]+", "", folded(text))


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", folded(text)))


def word_scores(read: str, truth: str) -> tuple[int, int, int]:
    """How many words are in both texts, each as often as it stands there, in the truth, and in what was read."""
    one, two = words(read), words(truth)
    return (one & two).total(), two.total(), one.total()


def distance(read: str, truth: str) -> float:
    """Levenshtein distance over the longer length, of the letters of both. 0 where both are empty."""
    one, two = letters(read), letters(truth)
    return Levenshtein.distance(one, two) / max(1, len(one), len(two))


@dataclass(frozen=True)
class Matched:
    """Truths (by number) that were matched with what was read (by number)."""

    truths: tuple[int, ...]
    reads: tuple[int, ...]
    edits: int
    length: int


def matched(reads: list[str], truths: list[str]) -> list[Matched]:
    """Pairs of least edit distance; then neighbours on either side are joined as long as that lowers the edits in all.

    Texts without a partner are in the result alone, as wholly wrong.
    """
    groups: list[tuple[list[int], list[int]]] = []
    if reads and truths:
        cost = cdist(truths, reads, scorer=Levenshtein.normalized_distance)
        rows, columns = linear_sum_assignment(cost)
        groups = [([int(i)], [int(j)]) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 0.7]

    def edits(truth: list[int], read: list[int]) -> int:
        return Levenshtein.distance("".join(truths[i] for i in truth), "".join(reads[j] for j in read))

    taken_i = {i for truth, _ in groups for i in truth}
    taken_j = {j for _, read in groups for j in read}
    changed = True
    while changed:
        changed = False
        for truth, read in groups:
            before = edits(truth, read)
            for side, texts, taken in ((read, reads, taken_j), (truth, truths, taken_i)):
                for k in (min(side) - 1, max(side) + 1):
                    if 0 <= k < len(texts) and k not in taken:
                        new = sorted([*side, k])
                        after = edits(truth, new) if side is read else edits(new, read)
                        if after < before + 0.3 * len(texts[k]):
                            side[:] = new
                            taken.add(k)
                            before, changed = after, True
    found = [
        Matched(tuple(t), tuple(r), edits(t, r), max(sum(len(truths[i]) for i in t), sum(len(reads[j]) for j in r)))
        for t, r in groups
    ]
    found += [Matched((i,), (), len(t), len(t)) for i, t in enumerate(truths) if i not in taken_i]
    return found + [Matched((), (j,), len(t), len(t)) for j, t in enumerate(reads) if j not in taken_j]


def order_error(pairs: list[Matched]) -> float:
    """Edit distance between the order in which matched truths were read and that of the page, over their number."""
    both = sorted((pair for pair in pairs if pair.truths and pair.reads), key=lambda pair: pair.reads[0])
    order = [pair.truths[0] for pair in both]
    return Levenshtein.distance(order, sorted(order)) / max(1, len(order))


def pairs_of(one: list[str], two: list[str], least: float = SAME) -> int:
    """How many of both lists are the same, one to one."""
    one, two = [letters(t).lower() for t in one], [letters(t).lower() for t in two]
    if not one or not two:
        return 0
    alike = cdist(one, two, scorer=Levenshtein.normalized_similarity)
    rows, columns = linear_sum_assignment(-alike)
    return int(np.count_nonzero(alike[rows, columns] >= least))


def partners(read: list[Grid], truths: list[Grid]) -> dict[int, int]:
    """Which true table (by number) is which of those read: pairs of the likest texts."""
    if not read or not truths:
        return {}
    alike = cdist(
        [letters(t.text) for t in truths], [letters(r.text) for r in read], scorer=Levenshtein.normalized_similarity
    )
    rows, columns = linear_sum_assignment(-alike)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if alike[i, j] > 0.2}


def teds(read: list[Grid], truths: list[Grid]) -> list[tuple[float, float]]:
    """TEDS, and TEDS of the structure alone, of each true table with its partner; 0 where there is none."""
    if TEDS is None:
        return []
    whole, form, pairs = TEDS(), TEDS(structure_only=True), partners(read, truths)
    return [
        (whole(read[pairs[k]].html, true.html), form(read[pairs[k]].html, true.html)) if k in pairs else (0.0, 0.0)
        for k, true in enumerate(truths)
    ]


def formulas(markdown: str) -> list[str]:
    """All the formulas of a Markdown text, without their marks."""
    found = [piece.text for piece in pieces(markdown) if piece.kind == "formula"]
    rest = re.sub(r"\$\$.+?\$\$", "", markdown, flags=re.DOTALL)
    return found + re.findall(r"(?<![\\$])\$([^$\n]+)\$", rest) + re.findall(r"\\\((.+?)\\\)", rest)
