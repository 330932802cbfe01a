"""The noise of the world: what happens to a page between the printer and the reader, in named steps.

A step takes a (H, W) uint8 picture and gives one and the 2×3 affine map of points, in px from the upper left corner
(the centre of pixel (i, j) is at x = j + 0.5, y = i + 0.5), so that the truth of a page moves with it. Knows nothing
of text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from microfiche.errors import UsageError
from microfiche.page import PAPER, Boxes, Page
from microfiche.typesetting.printed import Print
from microfiche.typesetting.shrink import as_jpeg

Picture = NDArray[np.uint8]
Map = NDArray[np.float64]
Step = Callable[[Picture, np.random.Generator], tuple[Picture, Map]]
STILL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
STILL.flags.writeable = False


def blur(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Out of focus: a Gaussian of 0.3 to 0.9 px."""
    image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.9))))
    return np.asarray(image), STILL


def rescale(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Smaller or larger, 70 to 140 %, and back to the same size, by one of three filters."""
    height, width = picture.shape
    scale = float(rng.uniform(0.7, 1.4))
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    there, back = (filters[int(i)] for i in rng.integers(3, size=2))
    small = Image.fromarray(picture).resize((max(round(width * scale), 1), max(round(height * scale), 1)), there)
    return np.asarray(small.resize((width, height), back)), STILL


def jpeg(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Saved as a JPEG of quality 30 to 95."""
    return as_jpeg(picture, int(rng.integers(30, 96))), STILL


def gamma(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Darker or lighter: a power of 0.5 to 2, ink of up to 80 and paper of 200 at least."""
    ink, paper, power = rng.uniform(0, 80), rng.uniform(200, 255), 2.0 ** rng.uniform(-1, 1)
    table = np.rint(ink + (paper - ink) * (np.arange(256) / 255) ** power).astype(np.uint8)
    return table[picture], STILL


def rotate(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Turned about its centre by up to 2°; what comes in from outside has the paper's grey."""
    return turned(picture, float(rng.uniform(-2, 2)))


def turned(picture: Picture, degrees: float) -> tuple[Picture, Map]:
    """A picture turned clockwise (as one sees it) about its centre."""
    height, width = picture.shape
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = width / 2, height / 2
    there = np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y]])
    # Pillow takes the map from the new picture's points to the old one's, with the same convention for centres.
    back = (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)
    image = Image.fromarray(picture).transform(
        (width, height), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR, fillcolor=_paper(picture)
    )
    return np.asarray(image), there


def scan(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """A scanner's: Gaussian grain of 2 to 10 grey levels, up to 0.2 % of dust, and light that falls off by up to 20 %
    to one side."""
    height, width = picture.shape
    dark = rng.uniform(0, 0.2)
    across, down = rng.uniform(-1, 1, 2)
    ramp = np.linspace(0, across, width, dtype=np.float32) + np.linspace(0, down, height, dtype=np.float32)[:, None]
    light = 1 - np.float32(dark) * (ramp - min(across, 0) - min(down, 0)) / np.float32(abs(across) + abs(down) + 1e-6)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    grain *= np.float32(rng.uniform(2, 10))
    grain += picture * light
    noisy = np.rint(grain).clip(0, 255).astype(np.uint8)
    count = int(rng.uniform(0, 0.002) * height * width)
    noisy.reshape(-1)[rng.integers(height * width, size=count)] = rng.integers(0, 256, count)
    return noisy, STILL


STEPS: dict[str, Step] = {
    "rotate": rotate, "blur": blur, "rescale": rescale, "gamma": gamma, "scan": scan, "jpeg": jpeg,
}  # fmt: skip


def steps(names: Iterable[str]) -> list[Step]:
    """The steps of these names; UsageError if there is none of a name."""
    names = list(names)
    for name in names:
        if name not in STEPS:
            raise UsageError(f"no noise {name!r}; there are {', '.join(STEPS)}")
    return [STEPS[name] for name in names]


def some(rng: np.random.Generator, share: float = 0.35) -> list[Step]:
    """Each step by itself with a chance of `share`, in the order of STEPS."""
    chosen = rng.random(len(STEPS)) < share
    return [step for step, taken in zip(STEPS.values(), chosen, strict=True) if taken]


def worn(print_: Print, steps: Sequence[Step], rng: np.random.Generator) -> Print:
    """A print after several steps, its boxes, lines, blocks and unknown places where they are then.

    Boxes are the upright hulls of the moved ones, cut at the page; empty ones stay empty. A line's size is scaled by
    the root of the map's determinant.
    """
    picture, moves = print_.page.image, STILL
    for step in steps:
        picture, move = step(picture, rng)
        moves = after(move, moves)
    if moves is STILL or (moves == STILL).all():
        return replace(print_, page=replace(print_.page, image=picture))
    height, width = picture.shape
    boxes = None if print_.page.boxes is None else moved_boxes(print_.page.boxes, moves, height, width)
    scale = float(np.sqrt(abs(np.linalg.det(moves[:, :2]))))
    ends = moved(np.array([line.baseline for line in print_.lines]).reshape(-1, 2), moves).reshape(-1, 4)
    regions = moved_boxes(np.array([b.box for b in print_.blocks], np.int32).reshape(-1, 4), moves, height, width)
    unknown = moved_boxes(np.array(print_.unknown, np.int32).reshape(-1, 4), moves, height, width)
    return replace(
        print_,
        page=Page(picture, print_.page.setting, print_.page.text, boxes),
        lines=tuple(
            replace(line, baseline=(a, b, c, d), size=line.size * scale)
            for line, (a, b, c, d) in zip(print_.lines, ends.tolist(), strict=True)
        ),
        blocks=tuple(
            replace(block, box=tuple(box)) for block, box in zip(print_.blocks, regions.tolist(), strict=True)
        ),
        unknown=tuple((a, b, c, d) for a, b, c, d in unknown.tolist()),
    )


def after(second: Map, first: Map) -> Map:
    """The map that does `first` and then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def moved(points: NDArray[np.floating], move: Map) -> NDArray[np.float64]:
    """(N, 2) points (x, y) → where a map takes them."""
    return points @ move[:, :2].T + move[:, 2]


def moved_boxes(boxes: Boxes, move: Map, height: int, width: int) -> Boxes:
    """(N, 4) boxes → the smallest upright boxes around the moved ones, within the page; of whole pixels if they are."""
    centres = moved((boxes[:, :2] + boxes[:, 2:]) / 2, move)
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 @ np.abs(move[:, :2]).T
    hulls = np.concatenate([centres - halves, centres + halves], 1)
    empty = (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
    hulls[empty] = centres[empty][:, [0, 1, 0, 1]]
    edges = [width, height, width, height]
    if boxes.dtype == np.float32:
        return hulls.clip(0, edges).astype(np.float32)
    hulls[:, :2], hulls[:, 2:] = np.floor(hulls[:, :2] + 1e-6), np.ceil(hulls[:, 2:] - 1e-6)
    hulls[empty, 2:] = hulls[empty, :2]
    return hulls.clip(0, edges).astype(np.int32)


def _paper(picture: Picture) -> int:
    """The most common grey of a picture, or white where the picture is empty."""
    return int(np.bincount(picture.reshape(-1), minlength=256).argmax()) if picture.size else PAPER
