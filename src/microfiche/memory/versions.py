"""What changed between two versions of a text: which old pages still stand in it, and a page that shows the rest.

A page whose text stands unchanged in the new version, in order, is used again; only what lies between is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice

SHORTEST = 256  #: characters of a page that is looked for further on; a shorter one only where it would follow
NEAR = 1 << 20  #: characters further on that a page is looked for, and twice those of the pages that were not found
LINES = 4000  #: of a changed stretch that are compared line by line


@dataclass(frozen=True)
class Stretch:
    """Characters `start` to `end` of the new text: old page `kept`, or to be set anew."""

    start: int
    end: int
    kept: int | None = None


def stretches(new: str, old: Sequence[tuple[int, str]]) -> list[Stretch]:
    """The new text cut where the `old` pages (id, text), in their order, stand in it."""
    found: list[Stretch] = []
    at = lost = 0
    for page, text in old:
        until = at + len(text) + NEAR + 2 * lost
        where = at if new.startswith(text, at) else new.find(text, at, until) if len(text) >= SHORTEST else -1
        if where < 0 or not text:
            lost += len(text)
            continue
        if where > at:
            found.append(Stretch(at, where))
        found.append(Stretch(where, where + len(text), page))
        at, lost = where + len(text), 0
    if at < len(new) or not found:
        found.append(Stretch(at, len(new)))
    return found


def changes(new: str, old: Sequence[tuple[int, str]], cut: Sequence[Stretch], title: str) -> str:
    """A unified diff of what changed, compared only between pages that stayed."""
    texts = dict(old)
    order = [page for page, _ in old]
    parts = [f"{title}\n"]
    gone: list[str] = []
    fresh: list[str] = []
    at = 0
    for stretch in [*cut, None]:
        if stretch is not None and stretch.kept is None:
            fresh.append(new[stretch.start : stretch.end])
            continue
        until = len(order) if stretch is None else order.index(stretch.kept or 0, at)
        gone += [texts[page] for page in order[at:until]]
        at = until + 1
        if gone or fresh:
            parts.append(_compared("".join(gone), "".join(fresh)))
        gone, fresh = [], []
    return "".join(parts)


def _compared(old: str, new: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > LINES:
        return f"@@ {len(before)} lines replaced by {len(after)} lines @@\n"
    lines = islice(unified_diff(before, after, n=1, lineterm=""), 2, None)
    return "".join(f"{line}\n" for line in lines)
