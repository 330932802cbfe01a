"""The nouns of the street: a Page is one picture, VisionTokens are what an encoder makes of it, a Reading is what a
reader makes of those."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    import torch

PAPER, INK = 255, 0
TOKEN_SIDE = 64  #: pixels of a page's side that one vision token stands for

Box = tuple[float, float, float, float]  #: left, top, right, bottom in pixels
#: (T, 4) boxes; float32 where parts of pixels are known.
Boxes = NDArray[np.int32] | NDArray[np.float32]
#: "dense": text flows on after the mark of a line end; "lines": each line end begins a new line.
Layout = Literal["dense", "lines"]
TokenType = Literal["int8", "float16"]
#: How a reading ended: "truncated" by a limit or the context, "looped" where it repeated itself and was cut.
Status = Literal["ok", "truncated", "looped"]


class Checkpoint(NamedTuple):
    """The name and the SHA-256 of weights; both are empty, or nearly, for weights that come from no file."""

    name: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:12]})"


UNTRAINED = Checkpoint("untrained", "")


@dataclass(frozen=True)
class Setting:
    """How a page was typeset: the name of its density, its layout, and the `scale` to which it was shrunk since."""

    density: str
    layout: Layout = "dense"
    scale: float = 1.0


@dataclass(frozen=True)
class Page:
    """`image` is (H, W) uint8 grey or (H, W, 3) uint8 RGB, where white paper is 255.

    `setting` says how the page was typeset, if it was; `text` is the text on it and `boxes` (T, 4) has a box for each
    character of that, in pixels, where they are known.
    """

    image: NDArray[np.uint8]
    setting: Setting | None = None
    text: str | None = None
    boxes: Boxes | None = None

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        text = "" if self.text is None else f", {self.text[:40]!r}{' …' if len(self.text) > 40 else ''}"
        return f"{type(self).__name__}({width}×{height} px{text})"


@dataclass(frozen=True, repr=False)
class TypesetPage(Page):
    """A page whose text is known, because it was set here."""

    setting: Setting | None = field()
    text: str = field()
    boxes: Boxes = field()


@dataclass(frozen=True)
class VisionTokens:
    """What an encoder makes of one page: `values` (n, D) float, n tokens of D numbers each.

    `height` × `width` is the page's size in squares of 64×64 px, of which the last ones may be begun only. `setting` is
    the page's, `checkpoint` names the weights that made the tokens. `places` (n, 3) int32 are the view, row and column
    of the square that each token stands for, −1 in all three where it stands for none (a newline, a separator). View 0
    is the page itself, other views are an encoder's own pictures of it; no two tokens stand for the same square. None
    means that every square of the page has a token, row by row. `origin` is how many pixels from the page's top and
    left edge square (0, 0) begins, where margins were cut.

    Raises UsageError for places or an origin that no tokens of such a page can have.
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
        """Raises CheckpointError where other weights than `checkpoint` made the tokens, or where their values are not
        of the `width` that those weights give tokens, one for each place or square."""
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
    """What a reader makes of one page: its `text`, and for each character of that the probability, `confidence` (T,)
    float32, and the box where it was read, `boxes` (T, 4) int32 pixels of the page; both are empty, (0,) and (0, 4),
    where the reader cannot say so.

    `status` says how the reading ended; `reason` says in a line what happened where it is not "ok".
    """

    text: str
    confidence: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    boxes: NDArray[np.int32] = field(default_factory=lambda: np.empty((0, 4), np.int32))
    status: Status = "ok"
    reason: str = ""

    def __repr__(self) -> str:
        ended = "" if self.status == "ok" else f", {self.status}"
        return f"Reading({self.text[:40]!r}{' …' if len(self.text) > 40 else ''}{ended})"


def quantise(values: torch.Tensor, token_type: TokenType) -> dict[str, torch.Tensor]:
    """(n, D) tokens as they are stored: as float16, or as int8 with one float16 scale for each token."""
    import torch

    values = values.float()
    if token_type == "float16":
        return {"tokens": values.half()}
    scale = (values.abs().amax(dim=1, keepdim=True) / 127).clamp(min=1e-7).half()
    return {"tokens": (values / scale.float()).round().clamp(-127, 127).to(torch.int8), "scale": scale}


def dequantise(stored: dict[str, torch.Tensor]) -> torch.Tensor:
    """(n, D) float32 tokens of what `quantise` made."""
    values = stored["tokens"].float()
    return values * stored["scale"].float() if "scale" in stored else values
