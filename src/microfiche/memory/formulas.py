"""How providers count a picture in tokens: one class for each published rule, and its figures are fields.

models.toml says which model counts by which rule with which figures, where that is published, and as of when. This
module knows nothing of models or prices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Seen:
    """A picture as a model sees it: the `tokens` that it makes, and the `width` × `height` px to which it is scaled."""

    tokens: int
    width: int
    height: int


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Squares(_Rule):
    """A token for every square of `side` px begun, times `factor`, rounded up. A picture is first fitted into `edge`
    px, and one with more than `most` squares is shrunk until it has no more, and to whole squares.

    Source: OpenAI, guide "Images and vision", section "Calculating costs": f = √(side² · most / (w · h)), then times
    min(⌊a⌋ / a, ⌊b⌋ / b) with a, b the sides in squares.
    """

    rule: Literal["squares"]
    side: int = Field(gt=0)
    edge: int | None = Field(None, gt=0)
    most: int | None = Field(None, gt=0)
    factor: float = Field(1.0, gt=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        w, h = _within(width, height, self.edge) if self.edge else (float(width), float(height))
        squares = _begun(w, self.side) * _begun(h, self.side)
        if self.most is not None and squares > self.most:
            shrink = math.sqrt(self.side**2 * self.most / (w * h))
            across, down = w * shrink / self.side, h * shrink / self.side
            shrink *= min(max(1, math.floor(across)) / across, max(1, math.floor(down)) / down)
            w, h = w * shrink, h * shrink
            squares = min(self.most, _begun(w, self.side) * _begun(h, self.side))
        return Seen(math.ceil(round(squares * self.factor, 6)), _px(w), _px(h))


class Fitted(_Rule):
    """Claude: a token for every square of `side` px begun, once a picture was scaled to the longest edge, at most
    `edge` px, at which it has at most `most` squares and both sides, filled up to whole squares, are within `edge`.

    Source: Anthropic, "Vision" and "Coordinates and bounding boxes".
    """

    rule: Literal["fitted"]
    side: int = Field(28, gt=0)
    edge: int = Field(gt=0)
    most: int = Field(gt=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        longest, shortest = max(width, height), min(width, height)

        def at(edge: int) -> tuple[int, int]:
            """The sides, the longer one first, at a longest edge; the shorter is rounded half to even."""
            return edge, max(1, round(shortest * edge / longest))

        def fits(edge: int) -> bool:
            across, down = (_begun(px, self.side) for px in at(edge))
            return across * self.side <= self.edge and across * down <= self.most

        low, high = (longest if fits(longest) else 1), longest  # the largest edge that fits lies between the two
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if fits(middle) else (low, middle - 1)
        w, h = at(low) if width >= height else at(low)[::-1]
        return Seen(_begun(w, self.side) * _begun(h, self.side), w, h)


class Tiles(_Rule):
    """OpenAI's models that see tiles: a picture is fitted into 2048 px, then its shorter side is brought to 768 px
    where it is longer, and it costs `base` and, for every 512-px square begun, `tile` tokens.

    Source: OpenAI, guide "Images and vision", section "Calculating costs".
    """

    rule: Literal["tiles"]
    base: int = Field(ge=0)
    tile: int = Field(ge=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        w, h = _within(width, height, 2048)
        if min(w, h) > 768:
            w, h = w * 768 / min(w, h), h * 768 / min(w, h)
        return Seen(self.base + self.tile * _begun(w, 512) * _begun(h, 512), _px(w), _px(h))


class Crops(_Rule):
    """Gemini up to 2.5: `tile` tokens where both sides are at most 384 px; a larger picture is cut into squares of its
    shorter side / 1.5, at least 256 and at most 768 px, each of `tile` tokens.

    Source: Gemini API, "Image understanding", and Vertex AI, "Understand token counts for images".
    """

    rule: Literal["crops"]
    tile: int = Field(258, gt=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        if max(width, height) <= 384:
            return Seen(self.tile, width, height)
        unit = min(768, max(256, math.floor(min(width, height) / 1.5)))
        return Seen(self.tile * math.ceil(width / unit) * math.ceil(height / unit), width, height)


class Ceiling(_Rule):
    """At most `most` tokens for a picture of any size, which is what is counted; what is used is a little less.

    Source: Gemini API, "Media resolution", for Gemini 3 and 4; DeepSeek API, for V4's vision. That a picture keeps its
    shape and is scaled, up or down, to as many whole squares as there are tokens at most is what Google's guide "Vision
    understanding" says of Gemma 4, and what others counted of Gemini 3: 1,078 tokens for 1568 × 728 px (pxpipe), and
    1,089, 1,081 and 1,056 for pictures whose sides are as 1, 2 and 4 to 1 (AlaskanTuna/Rokabot, issue 121).
    """

    rule: Literal["ceiling"]
    most: int = Field(gt=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px, whose scaled size is not published."""
        return Seen(self.most, width, height)

    def squares(self, width: int, height: int) -> tuple[int, int]:
        """How many squares a picture of `width` × `height` px has across and down."""
        scale = math.sqrt(self.most / (width * height))
        across, down = (max(1, math.floor(round(side * scale, 6))) for side in (width, height))
        return across, down

    def coarseness(self, width: int, height: int) -> float:
        """How many px of a picture one of its squares takes, along the side where it is more."""
        across, down = self.squares(width, height)
        return max(width / across, height / down)


class Rounded(_Rule):
    """Qwen-VL and GLM-V: the sides are rounded to multiples of `side` px and the picture is scaled to between `least`
    and `most` px; every square of `side` px is a token, and `marks` more stand around the picture.

    Source: `smart_resize` in Qwen's qwen-vl-utils and in transformers' glm4v. There a still of GLM's counts as two
    frames against the limits, so that half of each stands in the table.
    """

    rule: Literal["rounded"]
    side: int = Field(gt=0)
    least: float = Field(gt=0)
    most: float = Field(gt=0)
    marks: int = Field(0, ge=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        w, h = (max(self.side, round(side / self.side) * self.side) for side in (width, height))
        if h * w > self.most:
            w, h = self._scaled(width, height, math.sqrt(self.most / (height * width)), math.floor)
        elif h * w < self.least:
            w, h = self._scaled(width, height, math.sqrt(self.least / (height * width)), math.ceil)
        return Seen(h * w // self.side**2 + self.marks, w, h)

    def _scaled(self, width: int, height: int, by: float, whole: Callable[[float], int]) -> tuple[int, int]:
        w, h = (max(self.side, whole(round(side * by / self.side, 9)) * self.side) for side in (width, height))
        return w, h


class Merged(_Rule):
    """Kimi: patches of 14 px, four of them a token. A picture is scaled down until it has at most `most` patches and
    `edge` px a side, and filled up to multiples of 28 px.

    Source: the image processor of the published checkpoints of Kimi K2.5; what the server bills may differ.
    """

    rule: Literal["merged"]
    most: int = Field(gt=0)
    edge: int = Field(7168, gt=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        patches = max(1, width // 14) * max(1, height // 14)
        scale = min(1.0, math.sqrt(self.most / patches), self.edge / width, self.edge / height)
        across, down = (math.ceil(max(1, int(side * scale)) / 28) for side in (width, height))
        return Seen(across * down, 28 * across, 28 * down)


class Modes(_Rule):
    """DeepSeek-OCR in the smallest native mode into which a picture fits: 64 tokens at 512 px, 100 at 640, 256 at 1024
    and 400 at 1280; with the newline at each row's end and the separator of the published code these are 73, 111, 273
    and 421.

    Source: DeepSeek-OCR (arXiv 2510.18234), Table 1, and `modeling_deepseekocr.py` of its checkpoint.
    """

    rule: Literal["modes"]

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        side = next((s for s in (512, 640, 1024, 1280) if max(width, height) <= s), 1280)
        n = side // 64
        w, h = _within(width, height, side)
        return Seen(n * (n + 1) + 1, _px(w), _px(h))


class Area(_Rule):
    """`million` tokens for a million px, as somebody measured it."""

    rule: Literal["area"]
    million: float = Field(gt=0)

    def seen(self, width: int, height: int) -> Seen:
        """The picture of `width` × `height` px as the model sees it."""
        return Seen(max(1, math.ceil(width * height * self.million / 1e6)), width, height)


Formula = Annotated[
    Squares | Fitted | Tiles | Crops | Ceiling | Rounded | Merged | Modes | Area, Field(discriminator="rule")
]


def _within(width: float, height: float, most: float) -> tuple[float, float]:
    """The sides scaled down so that the longer one is at most `most`."""
    scale = min(1.0, most / max(width, height))
    return width * scale, height * scale


def _begun(px: float, side: int) -> int:
    """How many squares of `side` px are begun along `px`; a rounding error begins none."""
    return max(1, math.ceil(round(px / side, 6)))


def _px(side: float) -> int:
    return max(1, round(side))
