"""A room imports only rooms that stand before it: docs/architecture.md draws them in this order."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src/microfiche"
DOCUMENT = Path(__file__).parent.parent / "docs/architecture.md"
#: Modules at the root stand here too; the package itself, which names what is public, may import any of them.
ORDER = (
    "errors", "limits", "files", "sources", "endpoint", "devices", "precision", "page", "typesetting", "weights",
    "decoder", "nano", "deepseek_ocr", "readers", "fiche", "codec", "documents", "memory", "proxy", "pixel", "training",
    "evaluation", "cli",
)  # fmt: skip


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """The rooms that a file imports, within functions and for types too, and the lines where."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "microfiche":
            inside = node.module.split(".")[1:]
            for name in [inside[0]] if inside else [alias.name for alias in node.names]:
                yield name, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("microfiche."):
                    yield alias.name.split(".")[1], node.lineno


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if path.parent != SOURCE or not path.stem.startswith("__")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_rooms_that_stand_before_it(path: Path) -> None:
    own = ORDER.index(room_of(path))
    for room, line in imported(path):
        if room in ("__version__", "load") or room == room_of(path):
            continue
        assert ORDER.index(room) < own, f"{path}:{line} imports {room}, which stands behind {room_of(path)}"


def test_every_room_has_its_place_and_its_words() -> None:
    found = {room_of(path) for path in FILES}
    assert found == set(ORDER)
    said = DOCUMENT.read_text()
    assert [room for room in ORDER if f"`{room}" not in said] == []
