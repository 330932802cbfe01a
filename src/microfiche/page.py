"""The nouns that the whole package shares: a Page is one picture, VisionTokens are what an encoder makes of it, and a
Reading is what a reader makes of those."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    import torch

PAPER, INK = 255, 0
TOKEN_SIDE = 64  #: side in pixels of the square that one vision token stands for

Box = tuple[float, float, float, float]  #: left, top, right, bottom in pixels
#: (T, 4) boxes: int32, or float32 where fractions of pixels are known.
Boxes = NDArray[np.int32] | NDArray[np.float32]
#: "dense": a line end is drawn as a mark and the text runs on; "lines": each line end begins a new line.
Layout = Literal["dense", "lines"]
TokenType = Literal["int8", "float16"]
#: How a reading ended: "truncated" by a limit or the context, "looped" if it repeated itself and was cut.
Status = Literal["ok", "truncated", "looped"]


class Checkpoint(NamedTuple):
    """The name and the SHA-256 of the weights. Weights that come from no file are UNTRAINED: ("untrained", "")."""

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:12]})"


UNTRAINED = Checkpoint("untrained", "")


@dataclass(frozen=True)
class Setting:
    """How a page was typeset: the name of its density, its layout, and the `scale` that it was shrunk to afterwards."""

    density: str
    layout: Layout = "dense"
    scale: float = 1.0


@dataclass(frozen=True)
class Page:
    """A picture of a page. `image` is (H, W) uint8 grey or (H, W, 3) uint8 RGB; white paper is 255.

    `setting` says how the page was typeset, if it was. `text` is the text on it, and `boxes` (T, 4) the box of each of
    its characters in pixels, where they are known. Raises UsageError for an image of another shape or type.
    """

    image: NDArray[np.uint8]
    setting: Setting | None = None
    text: str | None = None
    boxes: Boxes | None = None

    def __post_init__(self) -> None:
        image = self.image
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise UsageError(
                f"an image of {image.dtype} and shape {image.shape} is no page; give (height, width) uint8 grey, or "
                "(height, width, 3) uint8 RGB, white 255"
            )

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        text = "" if self.text is None else f", {self.text[:40]!r}{' …' if len(self.text) > 40 else ''}"
        return f"{type(self).__name__}({width}×{height} px{text})"


@dataclass(frozen=True, repr=False)
class TypesetPage(Page):
    """A page that Microfiche typeset, so that its text and boxes are known."""

    setting: Setting | None = field()
    text: str = field()
    boxes: Boxes = field()


@dataclass(frozen=True)
class VisionTokens:
    """What an encoder makes of one page: `values` (n, D) float, n tokens of D numbers each.

    `height` × `width` is the size of the page in squares of 64×64 px; squares at the right and bottom edge may be
    incomplete. `setting` is the page's, and `checkpoint` names the weights that made the tokens. `places` (n, 3) int32
    are the view, row and column of the square that each token stands for, or −1 in all three if it stands for none (a
    newline or a separator). View 0 is the page itself, other views are the encoder's own pictures of it. No two tokens
    stand for the same square. If `places` is None, every square of the page has a token, row by row. `origin` is where
    on the page square (0, 0) begins, as (top, left) in pixels; it is (0, 0) unless the encoder cut margins.

    Raises UsageError if the places or the origin are impossible on a page of this size.
    """

    values: torch.Tensor
    height: int
    width: int
    setting: Setting | None
    checkpoint: Checkpoint
    places: NDArray[np.int32] | None = None
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        size = self.height, self.width
        if any(not 0 <= px < max(1, n * TOKEN_SIDE) for px, n in zip(self.origin, size, strict=True)):
            raise UsageError(f"origin {self.origin} lies off a page of {self.height} × {self.width} squares")
        if self.places is None:
            return
        if self.places.shape != (len(self.values), 3) or self.places.dtype != np.int32:
            found = f"{self.places.dtype} {self.places.shape}"
            raise UsageError(f"places of {len(self.values)} tokens are {found}, not int32 ({len(self.values)}, 3)")
        real = self.places[(self.places != -1).any(axis=1)]
        beyond = (real[:, 0] == 0) & (real[:, 1:] >= size).any(axis=1)
        wrong = (real < 0).any(axis=1) | beyond
        if wrong.any():
            view, row, column = real[wrong][0].tolist()
            at = f"row {row}, column {column} of view {view}"
            raise UsageError(f"places: {at} lies off a page of {self.height} × {self.width} squares")
        once, times = np.unique(real, axis=0, return_counts=True)
        if (times > 1).any():
            view, row, column = once[times > 1][0].tolist()
            raise UsageError(f"places: {times.max()} tokens stand for row {row}, column {column} of view {view}")

    def __len__(self) -> int:
        return len(self.values)

    def check_made_by(self, checkpoint: Checkpoint, width: int) -> None:
        """Raises CheckpointError if the tokens were made by other weights than `checkpoint`, or if their values are not
        one vector of `width` numbers for each place or square."""
        if self.checkpoint.sha256 != checkpoint.sha256:
            raise CheckpointError(f"tokens of checkpoint {self.checkpoint} cannot be read by {checkpoint}")
        count = self.height * self.width if self.places is None else len(self.places)
        if self.values.shape != (count, width):
            shape = " × ".join(map(str, self.values.shape))
            raise CheckpointError(
                f"tokens of {shape} numbers cannot be read by {checkpoint.name}, "
                f"which makes {count} × {width} of such a page"
            )

    def __repr__(self) -> str:
        page = f"a page of {self.width}×{self.height} squares"
        return f"VisionTokens({len(self)} of {self.values.shape[1]} numbers, {page}, by {self.checkpoint.name})"


@dataclass(frozen=True)
class Reading:
    """What a reader makes of one page: its `text`, and for each character its probability, `confidence` (T,) float32,
    and the box where it was read, `boxes` (T, 4) int32 in pixels of the page. Both are empty, (0,) and (0, 4), if the
    reader does not know them.

    `status` says how the reading ended; if it is not "ok", `reason` says in one line what happened. Raises UsageError
    if `confidence` or `boxes` are not empty and do not fit the text.
    """

    text: str
    confidence: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    boxes: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 4), np.int32))
    status: Status = "ok"
    reason: str = ""

    def __post_init__(self) -> None:
        shapes = {"confidence": (self.confidence.shape, ()), "boxes": (self.boxes.shape, (4,))}
        for name, (found, rest) in shapes.items():
            whole = (len(self.text), *rest)
            if found not in (whole, (0, *rest)):
                raise UsageError(f"{name} of a text of {len(self.text)} characters is {found}, not {whole}")

    def __repr__(self) -> str:
        ended = "" if self.status == "ok" else f", {self.status}"
        return f"Reading({self.text[:40]!r}{' …' if len(self.text) > 40 else ''}{ended})"


def quantise(values: torch.Tensor, token_type: TokenType) -> dict[str, torch.Tensor]:
    """Converts (n, D) tokens to what is stored: float16, or int8 with one float16 scale for each token."""
    import torch

    values = values.float()
    if token_type == "float16":
        return {"tokens": values.half()}
    scale = (values.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-7).half()
    return {"tokens": (values / scale.float()).round().clamp(-127, 127).to(torch.int8), "scale": scale}


def dequantise(stored: dict[str, torch.Tensor]) -> torch.Tensor:
    """Converts what `quantise` returned back to (n, D) float32 tokens."""
    values = stored["tokens"].float()
    return values * stored["scale"].float() if "scale" in stored else values
