"""The endless stream of examples: pages set in print, with noise, or in cells, and a task for each.

Example t of seed s is always the same, whatever was drawn before it, so a training goes on by number alone, and
workers share a stream by taking every n-th. Documents and typefaces that are held out are in a stream of their own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from microfiche.errors import UsageError
from microfiche.files import whole_file
from microfiche.page import INK, PAPER, Layout, Setting, TypesetPage
from microfiche.training.cell_pages import CellPages
from microfiche.training.noise import some, worn
from microfiche.training.recipe import Choice, check_names, check_sides
from microfiche.training.set_pages import SetPages
from microfiche.training.tasks import NAMES, Name, Task, task
from microfiche.typesetting.alphabet import END
from microfiche.typesetting.atlas import atlas, draw
from microfiche.typesetting.density import LEARNED, Density
from microfiche.typesetting.fonts import Typeface
from microfiche.typesetting.print import LARGEST, Line, Print, Region
from microfiche.typesetting.typesetter import boxes, break_lines, expand, ids_to_text, text_cells

EVEN = dict.fromkeys(NAMES, 1.0)


@dataclass(frozen=True)
class Example:
    """Number `number` of a stream: a page with its text and boxes, all else that is known of it, and a task."""

    number: int
    print: Print
    task: Task

    @property
    def page(self) -> TypesetPage:
        """Its `image`, `text` and `boxes`."""
        return self.print.page


class Stream:
    """Examples from the text files under `folder`; `held_out` gives those that no training sees.

    `sides` are heights and widths of pages with their shares, `tasks` tasks with theirs. `dense_share` of the pages
    are set in cells; each step of noise (noise.STEPS) is done to `noise` of the printed ones; `random_share` hold
    random strings. `faces` are typefaces to take instead of the fixed lists. InputError where there is no text or a
    font is missing, UsageError for shares and sides that are impossible.
    """

    def __init__(
        self,
        folder: Path,
        seed: int = 0,
        held_out: bool = False,
        sides: Mapping[tuple[int, int], float] | None = None,
        tasks: Mapping[Name, float] = EVEN,
        dense_share: float = 0.3,
        noise: float = 0.35,
        random_share: float = 0.2,
        faces: Sequence[Typeface] | None = None,
    ) -> None:
        sides = {(640, 640): 1.0} if sides is None else sides
        try:
            check_sides(itertools.chain(*sides), LARGEST)
            check_names(tasks, NAMES)
            self._sides, self._tasks = Choice.of(sides), Choice.of(tasks)
        except ValueError as error:
            raise UsageError(str(error)) from error
        self.seed, self.noise, self.dense_share, self.random_share = seed, noise, dense_share, random_share
        self._set = SetPages(folder, held_out, faces, random_share)
        self._cells = CellPages(folder, held_out, {density.name: 1.0 for density in LEARNED}, random_share)

    def __getitem__(self, number: int) -> Example:
        """The example of that number: a function of the seed, the arguments, the text and nothing else."""
        rng = np.random.default_rng([self.seed, number])
        height, width = self._sides.one(rng)
        if rng.random() < self.dense_share:
            page = self.dense(rng, height, width)
        else:
            page = worn(self._set.page(rng, height, width), some(rng, self.noise), rng)
        chosen = task(self._tasks.one(rng), page, rng) or task("free", page, rng)
        assert chosen is not None
        return Example(number, page, chosen)

    def with_random(self, share: float) -> Stream:
        """The same stream, but that `share` of the pages hold random strings; no text is read again."""
        other = copy(self)
        other.random_share, other._set = share, self._set.with_random(share)
        return other

    def examples(self, first: int = 0, step: int = 1) -> Iterator[Example]:
        """Every `step`-th example from number `first` on, without end."""
        return (self[number] for number in itertools.count(first, step))

    def dense(self, rng: np.random.Generator, height: int, width: int) -> Print:
        """A page in cells, as the codec's: full, dense or with line ends, at any density."""
        pages = self._cells
        density = pages.densities[int(rng.integers(len(pages.densities)))]
        layout: Layout = "dense" if rng.random() < 0.8 else "lines"
        rows, columns = height // density.height, width // density.width
        random = rng.random() < self.random_share
        ids = (pages.random if random else pages.language)(rng, density, rows * columns)
        if rng.random() < 0.1:
            ids = np.append(ids[: int(rng.integers(len(ids)))], np.uint16(END))
        return cells_print(break_lines(expand(ids), columns, layout)[0][:rows], density, layout, height, width)


def cells_print(
    cells: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], density: Density, layout: Layout, height: int, width: int
) -> Print:
    """(rows, columns) cells as a page. Their lines lie on the cells' lower edges; the one block has no Markdown."""
    pictures = np.where(atlas(density).cells == 1, np.uint8(INK), np.uint8(PAPER))
    where = text_cells(cells, layout)
    ids = cells.reshape(-1)[where]
    columns = cells.shape[1]
    found = boxes(where, ids, columns, density)
    page = TypesetPage(draw(cells, pictures, height, width), Setting(density.name, layout), ids_to_text(ids), found)
    bounds = np.searchsorted(where, np.arange(len(cells) + 1) * columns).tolist()
    lines = tuple(
        Line(
            start,
            stop,
            (float(found[start, 0]), float(found[start, 3]), float(found[stop - 1, 2]), float(found[start, 3])),
            float(density.height),
        )
        for start, stop in itertools.pairwise(bounds)
        if stop > start
    )
    if not lines:
        return Print(page, (), (), (), ())
    left, top = found[:, :2].min(0).tolist()
    right, bottom = found[:, 2:].max(0).tolist()
    return Print(page, lines, (Region("text", (left, top, right, bottom), 0, len(ids), ()),), (), ())


def write(stream: Stream, numbers: Iterable[int], folder: Path) -> None:
    """Writes examples to look at: NNNNNN.png each, and its text, boxes, lines, blocks and task in examples.jsonl."""
    with whole_file(folder / "examples.jsonl") as beside, beside.open("w", encoding="utf-8") as lines:
        for number in numbers:
            example = stream[number]
            name = f"{number:06d}.png"
            with whole_file(folder / name) as picture:
                Image.fromarray(example.page.image).save(picture, "PNG")
            lines.write(json.dumps({"page": name, **described(example)}, ensure_ascii=False) + "\n")


def described(example: Example) -> dict[str, object]:
    """What is known of an example's page, and its task, as JSON has it."""
    page, task = example.page, example.task
    return {
        "text": page.text,
        "boxes": page.boxes.tolist(),
        "lines": [
            {"start": line.start, "stop": line.stop, "baseline": line.baseline, "size": line.size}
            for line in example.print.lines
        ],
        "blocks": [
            {"kind": b.kind, "box": b.box, "start": b.start, "stop": b.stop, "markdown": b.markdown}
            for b in example.print.blocks
        ],
        "density": page.setting.density if page.setting else None,
        "task": {"name": task.name, "prompt": task.prompt, "prefix": task.prefix, "answer": task.answer},
    }
