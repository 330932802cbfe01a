"""No regular expression of the package goes through endless ways of matching one text: texts come from anywhere.

Each is tried on its own signs, one or two of them over and over. Where it may part such a text in ever more ways, as
`(a+)+$` does, 64 repetitions would take it longer than anybody waits.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from microfiche.errors import UsageError

SOURCE = Path(__file__).parent.parent / "src"
OFTEN = 64
PATIENCE = 60  #: seconds of the processor, for what takes microseconds
CLASSES = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "1", "CATEGORY_WORD": "a"}


def written(path: Path) -> Iterator[str]:
    """The patterns that stand in a file as they are given to `re`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name("re")), args=[ast.Constant(str(pattern)), *_]):
                yield pattern


def held(values: tuple[Any, ...]) -> Iterator[re.Pattern[str]]:
    """The regular expressions among values and within tables of them."""
    for value in values:
        if isinstance(value, re.Pattern):
            yield value
        elif isinstance(value, tuple):
            yield from held(value)


def patterns(path: Path) -> set[tuple[str, int]]:
    """The regular expressions of a module with their flags."""
    found = {(pattern, 0) for pattern in written(path)}
    if "re." in path.read_text("utf-8") and path.stem != "__main__":
        try:
            module = importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
        except (ImportError, UsageError):  # of an extra
            return found
        found |= {(p.pattern, p.flags) for p in held(tuple(vars(module).values())) if p.flags & re.U}
    return found


def signs(parsed: Any) -> Iterator[str]:
    """A character for each thing that a pattern looks for."""
    for kind, value in parsed:
        match str(kind):
            case "LITERAL":
                yield chr(value)
            case "IN":
                for sort, what in value:
                    if str(sort) in ("LITERAL", "RANGE"):
                        yield chr(what if isinstance(what, int) else what[0])
                    else:
                        yield CLASSES.get(str(what), "~")
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT" | "SUBPATTERN":
                yield from signs(value[-1])
            case "ATOMIC_GROUP":
                yield from signs(value)
            case "ASSERT" | "ASSERT_NOT":
                yield from signs(value[1])
            case "BRANCH":
                for branch in value[1]:
                    yield from signs(branch)


def endless(pattern: str, flags: int) -> str:
    """What a pattern cannot be done with, over and over; or nothing."""
    tried = re.compile(pattern, flags)
    all_signs = list(dict.fromkeys(signs(parser.parse(pattern, flags))))
    own = list(dict.fromkeys([*random.Random(len(pattern)).sample(all_signs, min(8, len(all_signs))), " ", "a"]))

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, give_up)
    try:
        for unit in [*own, *map("".join, itertools.product(own, repeat=2))]:
            for start, end in itertools.product(("", "".join(all_signs[:3])), ("", "\x01")):
                signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
                try:
                    list(tried.finditer(start + unit * OFTEN + end))
                except TimeoutError:
                    return unit
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return ""


@pytest.mark.parametrize("room", sorted({p.relative_to(SOURCE / "microfiche").parts[0] for p in SOURCE.rglob("*.py")}))
def test_no_pattern_of_a_room_is_endless(room: str) -> None:
    place = SOURCE / "microfiche" / room
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        for pattern, flags in sorted(patterns(path)):
            assert not endless(pattern, flags), f"{path.name}: {pattern}"


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(?:\s*[.·]\s?){3,}$", r"R(?:[Rc]|E[Ec]*)*R"])
def test_endless_ones_are_found(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PATIENCE", 1)
    assert endless(pattern, 0)
