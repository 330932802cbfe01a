"""The networks in RapidOCR's wheel, run directly: where text stands on a picture, and what a picture of one line says.

Detection is differentiable binarisation (Liao et al., 2020), recognition is CTC over PP-OCR's characters. Knows nothing
of pages: no lines, no spaces beyond those that the recogniser writes, no order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from microfiche.documents.networks import network
from microfiche.documents.scans.lookalikes import ALIKE, settled
from microfiche.errors import SetUpError

Pixels = NDArray[np.uint8]  #: (H, W, 3), RGB
HEIGHT = 48  #: px, of a line as the recogniser sees it
FRAME = 8  #: px of the line's picture that one column of the recogniser's output stands for
NARROWEST = 160  #: px, to which a shorter line is filled up
BATCH = 8  #: lines of nearly the same width that are recognised at once
LIKELY = 0.3  #: probability of text from which on a pixel counts as text
CERTAIN = 0.5  #: mean probability in a box below which it is no text
LEVEL = 0.05  #: of its height, that a box may rise from one end to the other and count as level
GROWTH = 1.6  #: area ÷ perimeter by which a box grows, since the detector sees the cores of lines


@dataclass(frozen=True)
class Found:
    """A box of text on a picture: its centre, width and height in px, its `angle` in degrees clockwise (within 45), and
    the detector's mean probability there."""

    x: float
    y: float
    width: float
    height: float
    angle: float
    score: float


@dataclass(frozen=True)
class Recognised:
    """What stands on the picture of a line: `text`, with the probability and the horizontal place (from 0 to 1, of its
    middle) of each character. `engine` read it, where that is not the page's engine."""

    text: str
    sure: NDArray[np.float32]  # (T,)
    places: NDArray[np.float32]  # (T,)
    engine: str | None = None

    @property
    def confidence(self) -> float:
        """The mean probability of the characters; 0 where there are none."""
        return float(self.sure.mean()) if len(self.sure) else 0.0


Recogniser = Callable[[Sequence[Pixels]], list[Recognised]]  #: what each picture of one line says


def detect(picture: Pixels, scale: float = 1.0) -> list[Found]:
    """The boxes of text on a picture, which the detector sees at `scale`."""
    height, width = picture.shape[:2]
    seen = (max(32, round(width * scale / 32) * 32), max(32, round(height * scale / 32) * 32))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = picture if seen == (width, height) else cv2.resize(picture, seen, interpolation=how)
    fed = small[..., ::-1].astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    session = _detector()
    likely = session.run(None, {session.get_inputs()[0].name: fed})[0][0, 0]  # (H, W)
    mask = cv2.dilate((likely > LIKELY).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        (x, y), (wide, high), angle = cv2.minAreaRect(contour)
        if angle > 45:
            wide, high, angle = high, wide, angle - 90
        elif angle < -45:
            wide, high, angle = high, wide, angle + 90
        if min(wide, high) < 3:
            continue
        score = _mean_within(likely, np.asarray(cv2.boxPoints(((x, y), (wide, high), angle)), np.float32))
        if score < CERTAIN:
            continue
        growth = GROWTH * wide * high / (wide + high)  # both sides together
        found.append(Found(x * width / seen[0], y * height / seen[1], (wide + growth) * width / seen[0],
                           (high + growth) * height / seen[1], angle, score))
    return found


def _mean_within(likely: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """The mean of a map over a quadrilateral."""
    high, wide = likely.shape
    left, top = np.floor(corners.min(0)).astype(int).clip(0, (wide - 1, high - 1))
    right, bottom = np.ceil(corners.max(0)).astype(int).clip(0, (wide - 1, high - 1))
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [corners.astype(np.int32) - np.array((left, top), np.int32)], 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], mask)[0])


def cut(picture: Pixels, box: Found) -> Pixels:
    """The part of a picture in a box, set level."""
    wide, high = max(2, round(box.width)), max(2, round(box.height))
    if abs(np.deg2rad(box.angle)) * box.width < LEVEL * box.height:
        left, top = round(box.x - wide / 2), round(box.y - high / 2)
        part = picture[max(0, top) : top + high, max(0, left) : left + wide]
        return part if part.size else np.full((2, 2, 3), 255, np.uint8)
    turn = np.asarray(cv2.getRotationMatrix2D((box.x, box.y), box.angle, 1.0), np.float64)
    turn[:, 2] += np.array((wide / 2 - box.x, high / 2 - box.y))
    level = cv2.warpAffine(picture, turn, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(level, np.uint8)


def recognise(parts: Sequence[Pixels]) -> list[Recognised]:
    """What each picture of one line says."""
    session, characters = _recogniser()
    name = session.get_inputs()[0].name
    widths = [max(FRAME, round(part.shape[1] * HEIGHT / part.shape[0])) for part in parts]
    order = sorted(range(len(parts)), key=widths.__getitem__)
    out: list[Recognised | None] = [None] * len(parts)
    while order:
        batch = [i for i in order[:BATCH] if widths[i] <= max(NARROWEST, 1.12 * widths[order[0]])]
        order = order[len(batch) :]
        wide = max(NARROWEST, -(-widths[batch[-1]] // FRAME) * FRAME)
        fed = np.zeros((len(batch), 3, HEIGHT, wide), np.float32)
        for row, i in zip(fed, batch, strict=True):
            how = cv2.INTER_AREA if parts[i].shape[0] > 1.5 * HEIGHT else cv2.INTER_LINEAR
            part = cv2.resize(parts[i], (widths[i], HEIGHT), interpolation=how)
            row[:, :, : widths[i]] = part[..., ::-1].transpose(2, 0, 1) / np.float32(127.5) - 1
        likely = session.run(None, {name: fed})[0]  # (B, frames, characters)
        for i, frames in zip(batch, likely, strict=True):
            out[i] = _decoded(frames, characters, widths[i] / FRAME)
    return [one for one in out if one is not None]


def _decoded(frames: NDArray[np.float32], characters: Sequence[str], width: float) -> Recognised:
    """The best path: of each run of equal characters, the probability of the surest frame and the run's middle; of
    characters that look alike, the one that fits."""
    best = frames.argmax(1)
    sure = frames[np.arange(len(best)), best]
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    stops = np.append(starts[1:], len(best))
    runs = [(a, b) for a, b in zip(starts, stops, strict=True) if best[a]]
    surest = [a + int(sure[a:b].argmax()) for a, b in runs for _ in characters[best[a]]]
    middles = [(a + b) / 2 / max(width, 1) for a, b in runs for _ in characters[best[a]]]

    def likely(k: int, sign: str) -> float:
        return float(frames[surest[k], numbers[sign]])

    numbers = _numbers()
    text = settled("".join(characters[best[a]] for a, _ in runs), likely)
    return Recognised(text, sure[surest].astype(np.float32), np.array(middles, np.float32).clip(0, 1))


@cache
def _detector() -> Any:
    return _session("det")


@cache
def _recogniser() -> tuple[Any, list[str]]:
    """The recogniser, and its characters by number; 0 is CTC's blank."""
    session = _session("rec")
    return session, ["", *session.get_modelmeta().custom_metadata_map["character"].splitlines(), " "]


@cache
def _numbers() -> dict[str, int]:
    """The numbers of the characters that look like others, among the recogniser's."""
    characters = _recogniser()[1]
    return {sign: characters.index(sign) for sign in ALIKE}


def _session(part: str) -> Any:
    try:
        folder = Path(str(import_module("rapidocr").__file__)).parent / "models"
    except ImportError as error:
        raise SetUpError(f"rapidocr cannot start ({error}); pip install --force-reinstall rapidocr") from error
    files = sorted(folder.glob(f"*_{part}_*.onnx"))
    try:
        return network(files[0])
    except Exception as error:
        named = files[0].name if files else f"{part}.onnx"
        raise SetUpError(f"rapidocr: {named} is missing or damaged, and nothing is downloaded; "
                         "pip install --force-reinstall rapidocr") from error
