"""Draws docs/rooms.png: the rooms of the package, each below those that it imports.

    python tools/draw_rooms.py        (needs matplotlib)

The arrows are the imports in the source, without those that other arrows imply. Which rooms there are is read from the
table in docs/architecture.md; tests/test_rooms.py checks with the same functions that the imports keep to its order.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src/microfiche"
DOCUMENT = Path(__file__).parent.parent / "docs/architecture.md"
OUT = Path(__file__).parent.parent / "docs/rooms.png"
WIDTH, HEIGHT, ACROSS, DOWN = 2.6, 0.62, 3.0, 1.15  #: the size of a box and the steps between boxes, in inches


def rows_of(document: str) -> list[tuple[list[str], str]]:
    """Returns the rows of the table of rooms in a document: the rooms that each names, and what it says of them."""
    table = document.split("| room | holds |\n|---|---|\n")[1].split("\n\n")[0]
    rows = (line.strip("|").split("|") for line in table.splitlines())
    return [(re.findall(r"`(\w+)`", rooms), said) for rooms, said in rows]


def files_of(package: Path = SOURCE) -> Iterator[tuple[str, Path]]:
    """Yields the files of a package, each with its room. The package's own __init__ and __main__ are in no room."""
    for path in sorted(package.rglob("*.py")):
        if path.parent != package or not path.stem.startswith("__"):
            yield path.relative_to(package).parts[0].removesuffix(".py"), path


def imports(path: Path, package: Path = SOURCE) -> Iterator[tuple[str, int]]:
    """Yields what a file imports from the package, and the line where: a room, "" for the package itself, or the name
    of something else in it. Imports in functions, for types, by relative names and by `import_module` count too."""
    parents = path.relative_to(package.parent).parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom():
                above = parents[: -node.level] if node.level else ()
                module = ".".join([*above, *([node.module] if node.module else [])])
                names = [f"{module}.{alias.name}" for alias in node.names]
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)) | ast.JoinedStr(values=[ast.Constant(value=str(name)), *_]), *_],
            ):
                names = [name]
        for name in names:
            root, _, inside = name.partition(".")
            if root == package.name:
                yield inside.split(".")[0], node.lineno


def main() -> None:
    """Reads the imports and draws."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    box_of = {}  # the small modules of a row are drawn as one box
    for rooms, _ in rows_of(DOCUMENT.read_text("utf-8")):
        box_of |= dict.fromkeys(rooms, rooms[0] if len(rooms) == 1 else f"{', '.join(rooms[:3])}, …")
    above: dict[str, set[str]] = {box: set() for box in box_of.values()}
    for room, path in files_of():
        above[box_of[room]] |= {box_of[other] for other, _ in imports(path) if other in box_of} - {box_of[room]}

    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in above[room]), default=-1)

    floors: dict[int, list[str]] = {}
    for room in sorted(above):
        floors.setdefault(floor(room), []).append(room)
    widest = max(map(len, floors.values()))
    figure = Figure(figsize=(ACROSS * widest, DOWN * len(floors)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, ACROSS * widest), ylim=(DOWN * len(floors), 0))
    axes.axis("off")
    place = {
        room: ((i + 0.5 + (widest - len(rooms)) / 2) * ACROSS, (level + 0.5) * DOWN)
        for level, rooms in floors.items()
        for i, room in enumerate(rooms)
    }
    for room, others in above.items():
        reached = {two for one in others for two in above[one]}
        for other in others - reached:  # arrows that others imply are left out
            (x, y), (u, v) = place[room], place[other]
            ends = (x, y - HEIGHT / 2), (u, v + HEIGHT / 2)
            style = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "0.6", "shrinkA": 0, "shrinkB": 0}
            axes.add_patch(FancyArrowPatch(*ends, **style))
    for room, (x, y) in place.items():
        corner = x - WIDTH / 2, y - HEIGHT / 2
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, "round,pad=0,rounding_size=0.08", fc="#eef3fa", ec="#456"))
        axes.text(x, y, room, ha="center", va="center", fontsize=12, family="monospace")
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
