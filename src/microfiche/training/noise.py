"""The noise of the world: what happens to a page between the printer and the reader, in named steps.

A step takes a (H, W) uint8 picture and returns another one, and the homography by which points move: a 3×3 map of
(x, y, 1) in px from the upper left corner, where the centre of pixel (i, j) is at x = j + 0.5, y = i + 0.5. The boxes
and lines of a page move with it. It knows nothing of text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from microfiche.errors import UsageError
from microfiche.page import PAPER, Boxes, TypesetPage
from microfiche.typesetting.print import Print
from microfiche.typesetting.shrink import as_jpeg

Picture = NDArray[np.uint8]
Map = NDArray[np.float64]
Step = Callable[[Picture, np.random.Generator], tuple[Picture, Map]]
STILL = np.eye(3)
STILL.flags.writeable = False


def blur(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Out of focus: a Gaussian blur of 0.3 to 0.9 px."""
    image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.9))))
    return np.asarray(image), STILL


def rescale(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Resizes the picture to 70 to 140 % and back, each time with one of three filters."""
    height, width = picture.shape
    scale = float(rng.uniform(0.7, 1.4))
    filters = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    there, back = (filters[int(i)] for i in rng.integers(3, size=2))
    small = Image.fromarray(picture).resize((max(round(width * scale), 1), max(round(height * scale), 1)), there)
    return np.asarray(small.resize((width, height), back)), STILL


def jpeg(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Saves the picture as a JPEG of quality 30 to 95."""
    return as_jpeg(picture, int(rng.integers(30, 96))), STILL


def gamma(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Changes brightness and contrast: a power of 0.5 to 2, with ink up to 80 and paper at least 200."""
    ink, paper, power = rng.uniform(0, 80), rng.uniform(200, 255), 2.0 ** rng.uniform(-1, 1)
    table = np.rint(ink + (paper - ink) * (np.arange(256) / 255) ** power).astype(np.uint8)
    return table[picture], STILL


def rotate(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Rotates the picture about its centre by up to 2°; what comes in from outside has the paper's grey."""
    return turned(picture, float(rng.uniform(-2, 2)))


def turned(picture: Picture, degrees: float) -> tuple[Picture, Map]:
    """Rotates a picture clockwise, as one sees it, about its centre."""
    height, width = picture.shape
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = width / 2, height / 2
    there = np.array([[cos, -sin, x - cos * x + sin * y], [sin, cos, y - sin * x - cos * y], [0, 0, 1]])
    # Pillow wants the map from points of the new picture to those of the old one, with the same convention for centres.
    back = (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)
    image = Image.fromarray(picture).transform(
        (width, height), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR, fillcolor=_paper(picture)
    )
    return np.asarray(image), there


def scan(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """A scanner: Gaussian grain of 2 to 10 grey levels, up to 0.2 % of dust, and light that falls off by up to 20 % to
    one side."""
    height, width = picture.shape
    dark = rng.uniform(0, 0.2)
    across, down = rng.uniform(-1, 1, 2)
    ramp = np.linspace(0, across, width, dtype=np.float32) + np.linspace(0, down, height, dtype=np.float32)[:, None]
    light = 1 - np.float32(dark) * (ramp - min(across, 0) - min(down, 0)) / np.float32(abs(across) + abs(down) + 1e-6)
    grain = rng.standard_normal((height, width), dtype=np.float32)
    grain *= np.float32(rng.uniform(2, 10))
    grain += picture * light
    noisy = _grey(grain)
    count = int(rng.uniform(0, 0.002) * height * width)
    noisy.reshape(-1)[rng.integers(height * width, size=count)] = rng.integers(0, 256, count)
    return noisy, STILL


def ink(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Ink that has spread by up to 0.6 px or worn off by up to 0.4 px, more in some places than in others."""
    spread = float(rng.uniform(-0.4, 0.6))
    framed = np.pad(picture, 1, mode="edge")
    extreme = np.minimum if spread > 0 else np.maximum
    across = extreme(framed[1:-1, :-2], framed[1:-1, 2:])
    other = extreme(extreme(framed[:-2, 1:-1], framed[2:, 1:-1]), extreme(across, picture))
    share = _waves(picture.shape, rng) * np.float32(abs(spread))
    return _grey(picture * (1 - share) + other * share), STILL


def show_through(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """The back of the sheet shines through: the picture itself, mirrored, moved and blurred, 5 to 20 % as dark."""
    height, width = picture.shape
    back = Image.fromarray(np.roll(picture[:, ::-1], (int(rng.integers(height)), int(rng.integers(width))), (0, 1)))
    blurred = np.asarray(back.filter(ImageFilter.BoxBlur(float(rng.uniform(0.5, 1.5)))))
    ink = np.maximum(np.float32(_paper(picture)) - blurred, 0) / 255
    return _grey(picture * (1 - np.float32(rng.uniform(0.05, 0.2)) * ink)), STILL


def gutter(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """The shadow of a book's fold at the left or right edge. It takes 35 to 75 % of the light there, and about a third
    of that at a distance of 3 to 15 % of the width."""
    width = picture.shape[1]
    away = (np.arange(width, dtype=np.float32) + 0.5) / max(width, 1)
    light = 1 - np.float32(rng.uniform(0.35, 0.75)) * np.exp(-away / np.float32(rng.uniform(0.03, 0.15)))
    return _grey(picture * (light if rng.random() < 0.5 else light[::-1])), STILL


def bilevel(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """Black and white only."""
    return np.asarray(_sharp(picture).point(_parting(picture, rng))), STILL


def fax(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """A fax as one looks at it: black and white at twice the size, then reduced."""
    height, width = picture.shape
    large = _sharp(picture).resize((2 * width, 2 * height), Image.Resampling.BILINEAR)
    return np.asarray(large.point(_parting(picture, rng)).reduce(2)), STILL


def perspective(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """A photograph from 1.5 to 4 times the longer side away: the page is tilted by up to 12° about both axes and
    rotated by up to 2°. What comes in from outside has the paper's grey."""
    height, width = picture.shape
    tilt, swing, turn = np.deg2rad(rng.uniform([-12, -12, -2], [12, 12, 2]))
    away = float(rng.uniform(1.5, 4)) * max(height, width, 1)
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    about_y = np.array([[np.cos(swing), 0, np.sin(swing)], [0, 1, 0], [-np.sin(swing), 0, np.cos(swing)]])
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    seen = np.diag([away, away, 1.0]) @ about_z @ about_x @ about_y
    seen[:, 2] = 0, 0, away  # the page is where z = 0, and its centre is what the camera looks at
    centre = np.array([[1, 0, width / 2], [0, 1, height / 2], [0, 0, 1]])
    there = centre @ seen @ np.linalg.inv(centre)
    there /= there[2, 2]
    back = np.linalg.inv(there)
    image = Image.fromarray(picture).transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        (back / back[2, 2]).reshape(-1)[:8].tolist(),
        Image.Resampling.BILINEAR,
        fillcolor=_paper(picture),
    )
    return np.asarray(image), there


def shade(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """The uneven light of a photograph: soft shadows that take up to 20 to 60 % of the light."""
    return _grey(picture * (1 - np.float32(rng.uniform(0.2, 0.6)) * _waves(picture.shape, rng))), STILL


def glare(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """The reflection of a lamp: a soft spot, anywhere, in the middle of which dark pixels come 30 to 70 % closer to
    white."""
    rise = np.float32(rng.uniform(0.3, 0.7))
    down, across = (
        np.exp(-(((np.arange(side, dtype=np.float32) / side - place) / size) ** 2), dtype=np.float32)
        for side, place, size in zip(picture.shape, rng.random(2), rng.uniform(0.1, 0.4, 2), strict=True)
    )
    return _grey(picture + np.outer(rise * down, across) * (255 - picture.astype(np.float32))), STILL


def moire(picture: Picture, rng: np.random.Generator) -> tuple[Picture, Map]:
    """A photograph of a screen, whose pixels are about as large as the camera's or twice as large: the two grids
    interfere, in fringes down and across that take up to 5 to 25 % of the light."""
    pitch, angle = float(rng.integers(1, 3) * rng.uniform(0.92, 1.08)), float(rng.uniform(-0.08, 0.08))
    y, x = (np.arange(side) + rng.uniform(-0.02, 0.02) * np.arange(side) ** 2 / max(side, 1) for side in picture.shape)
    fringes = np.zeros(picture.shape, np.float32)
    for turn in (angle, angle + np.pi / 2):
        a, b = 2 * np.pi / pitch * np.cos(turn) * x, 2 * np.pi / pitch * np.sin(turn) * y
        # The cosine of a + b at every pixel, from the cosines and sines of columns and rows.
        fringes += np.outer(np.cos(b).astype(np.float32), np.cos(a).astype(np.float32))
        fringes -= np.outer(np.sin(b).astype(np.float32), np.sin(a).astype(np.float32))
    return _grey(picture * (1 - np.float32(rng.uniform(0.05, 0.25)) / 4 * (2 - fringes))), STILL


STEPS: dict[str, Step] = {
    "rotate": rotate, "blur": blur, "rescale": rescale, "gamma": gamma, "scan": scan, "jpeg": jpeg,
}  # fmt: skip
#: What happens to whole pages in scanners, fax machines and cameras; `scanned` combines these steps.
SCANS: dict[str, Step] = {
    "ink": ink, "show-through": show_through, "gutter": gutter, "bilevel": bilevel, "fax": fax,
    "perspective": perspective, "shade": shade, "glare": glare, "moire": moire,
}  # fmt: skip
#: The ways in which pages become pictures: the share of each, and its steps in order with their probabilities.
WAYS: dict[str, tuple[float, dict[str, float]]] = {
    "flatbed": (0.45, {
        "ink": 0.6, "show-through": 0.4, "rotate": 0.7, "gutter": 0.35, "gamma": 0.2, "scan": 1, "jpeg": 0.7,
    }),
    "fax": (0.1, {"rotate": 0.6, "scan": 0.5, "fax": 1}),
    "bilevel": (0.05, {"rotate": 0.6, "bilevel": 1}),
    "photograph": (0.25, {
        "ink": 0.2, "show-through": 0.15, "perspective": 1, "gutter": 0.15, "shade": 0.8, "glare": 0.15, "blur": 0.5,
        "scan": 0.5, "jpeg": 0.9,
    }),
    "screen": (0.15, {"perspective": 0.8, "moire": 1, "glare": 0.3, "blur": 0.4, "gamma": 0.4, "jpeg": 0.9}),
}  # fmt: skip


def steps(names: Iterable[str]) -> list[Step]:
    """Returns the steps of these names. Raises UsageError for an unknown name."""
    known, names = STEPS | SCANS, list(names)
    for name in names:
        if name not in known:
            raise UsageError(f"no noise {name!r}; there are {', '.join(known)}")
    return [known[name] for name in names]


def some(rng: np.random.Generator, share: float = 0.35) -> list[Step]:
    """Draws steps at random: each with probability `share`, in the order of STEPS."""
    chosen = rng.random(len(STEPS)) < share
    return [step for step, taken in zip(STEPS.values(), chosen, strict=True) if taken]


def scanned(rng: np.random.Generator) -> list[Step]:
    """Draws the steps of one of the WAYS, for a whole page; there is at least one step."""
    shares = np.array([share for share, _ in WAYS.values()])
    chances = list(WAYS.values())[int(rng.choice(len(WAYS), p=shares / shares.sum()))][1]
    return steps(name for name, chance in chances.items() if rng.random() < chance)


def worn(one: Print, steps: Sequence[Step], rng: np.random.Generator) -> Print:
    """Applies several steps to a page and moves its boxes, lines, blocks and unknown places along.

    Boxes become the upright hulls of the moved ones, cut at the edge of the page; empty ones stay empty. The size of a
    line is scaled by the square root of the growth of areas at its middle.
    """
    picture, moves = one.page.image, STILL
    for step in steps:
        picture, move = step(picture, rng)
        moves = after(move, moves)
    if moves is STILL or (moves == STILL).all():
        return replace(one, page=replace(one.page, image=picture))
    height, width = picture.shape
    boxes = None if one.page.boxes is None else moved_boxes(one.page.boxes, moves, height, width)
    baselines = np.array([line.baseline for line in one.lines]).reshape(-1, 4)
    ends = moved(baselines.reshape(-1, 2), moves).reshape(-1, 4)
    depths = (baselines[:, :2] + baselines[:, 2:]) / 2 @ moves[2, :2] + moves[2, 2]
    scales = np.sqrt(np.abs(np.linalg.det(moves) / depths**3))
    regions = moved_boxes(np.array([b.box for b in one.blocks], np.int32).reshape(-1, 4), moves, height, width)
    unknown = moved_boxes(np.array(one.unknown, np.int32).reshape(-1, 4), moves, height, width)
    return replace(
        one,
        page=TypesetPage(picture, one.page.setting, one.page.text, boxes),
        lines=tuple(
            replace(line, baseline=(a, b, c, d), size=line.size * scale)
            for line, (a, b, c, d), scale in zip(one.lines, ends.tolist(), scales.tolist(), strict=True)
        ),
        blocks=tuple(
            replace(block, box=tuple(box)) for block, box in zip(one.blocks, regions.tolist(), strict=True)
        ),
        unknown=tuple((a, b, c, d) for a, b, c, d in unknown.tolist()),
    )


def after(second: Map, first: Map) -> Map:
    """Composes two maps: `first`, then `second`."""
    return second @ first


def moved(points: NDArray[np.floating], move: Map) -> NDArray[np.float64]:
    """(N, 2) points (x, y) → (N, 2): where a map takes them."""
    there = points @ move[:, :2].T + move[:, 2]
    return there[:, :2] / there[:, 2:]


def moved_boxes(boxes: Boxes, move: Map, height: int, width: int) -> Boxes:
    """(N, 4) boxes → (N, 4): the smallest upright boxes around the moved ones, within the page; int32 boxes become
    whole pixels again."""
    corners = moved(boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2).astype(np.float64), move).reshape(-1, 4, 2)
    hulls = np.concatenate([corners.min(1), corners.max(1)], 1)
    empty = (boxes[:, 0] >= boxes[:, 2]) | (boxes[:, 1] >= boxes[:, 3])
    hulls[empty] = corners[empty].mean(1)[:, [0, 1, 0, 1]]
    edges = [width, height, width, height]
    if boxes.dtype == np.float32:
        return hulls.clip(0, edges).astype(np.float32)
    hulls[:, :2], hulls[:, 2:] = np.floor(hulls[:, :2] + 1e-6), np.ceil(hulls[:, 2:] - 1e-6)
    hulls[empty, 2:] = hulls[empty, :2]
    return hulls.clip(0, edges).astype(np.int32)


def _paper(picture: Picture) -> int:
    """The most common grey of a picture, or white if the picture is empty."""
    return int(np.bincount(picture.reshape(-1), minlength=256).argmax()) if picture.size else PAPER


def _grey(values: NDArray[np.floating]) -> Picture:
    """Rounds to the nearest greys, 0 to 255."""
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _waves(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Returns smooth (H, W) values from 0 to 1: a random grid of 3×3, enlarged."""
    grid = Image.fromarray(rng.random((3, 3), dtype=np.float32))
    return np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)).clip(0, 1)


def _sharp(picture: Picture) -> Image.Image:
    """Sharpens the picture, so that hairlines are still ink after thresholding."""
    around = np.asarray(Image.fromarray(picture).filter(ImageFilter.BoxBlur(2)))
    return Image.fromarray((2 * picture.astype(np.int16) - around).clip(0, 255).astype(np.uint8))


def _parting(picture: Picture, rng: np.random.Generator) -> list[int]:
    """Returns, for each grey, 0 or 255. The threshold is at 50 to 70 % of the way from ink to paper, which are the
    darkest and the lightest hundredth of the pixels. They count as at least 160 levels apart, so that the grain of an
    empty page does not become ink."""
    counts = np.cumsum(Image.fromarray(picture).histogram())
    dark, light = np.searchsorted(counts, [0.01 * counts[-1], 0.99 * counts[-1]]).tolist()
    dark = min(dark, light - 160)
    threshold = dark + rng.uniform(0.5, 0.7) * (light - dark)
    return [255 * (grey >= threshold) for grey in range(256)]
