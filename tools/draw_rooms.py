"""Draws docs/rooms.png: the rooms of the package, each above those that it imports.

    python tools/draw_rooms.py        (needs matplotlib)

The arrows are the imports in the source, without those that other arrows imply.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

SOURCE = Path(__file__).parent.parent / "src/microfiche"
OUT = Path(__file__).parent.parent / "docs/rooms.png"
LEAVES = ("errors", "limits", "files", "sources", "endpoint", "devices", "precision")  #: drawn as one room
WIDTH, HEIGHT, ACROSS, DOWN = 2.6, 0.62, 3.0, 1.15  #: the size of a box and the steps between boxes, in inches


def room_of(path: Path) -> str:
    """Returns the room that a file belongs to; the small modules at the root are one room."""
    name = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "errors, files, …" if name in LEAVES else name


def imports(path: Path) -> set[str]:
    """Returns the rooms that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("microfiche."):
            found.add(room_of(SOURCE / node.module.split(".")[1]))
    return found - {room_of(path)}


def main() -> None:
    """Reads the imports and draws."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    files = [path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or not path.stem.startswith("__")]
    above: dict[str, set[str]] = {}
    for path in files:
        above.setdefault(room_of(path), set()).update(imports(path))

    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in above[room]), default=-1)

    floors: dict[int, list[str]] = {}
    for room in sorted(above):
        floors.setdefault(floor(room), []).append(room)
    widest = max(map(len, floors.values()))
    figure = Figure(figsize=(ACROSS * widest, DOWN * len(floors)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, ACROSS * widest), ylim=(0, DOWN * len(floors)))
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
