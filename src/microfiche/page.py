"""The nouns that the whole package shares: a Page is one picture, VisionTokens are what an encoder makes of it, and a
Reading is what a reader makes of those."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microfiche.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    import torch
    from PIL import Image

PAPER, INK = 255, 0
_LARGEST = 4096  #: px of the longer side of a picture that is put together from pieces
_FARTHEST = 1e6  #: no page has so many px
OPAQUE = 64  #: of 255, from which on a pixel counts as ink
LIGHT, DARK = 170, 100  #: grey levels of ink that cannot be read on white, or on black
SOME = 0.1  #: the share of the ink that has to be so
BEYOND = 20  #: times the range of nearly all values, that all of them span where a few are wrong
PHOTOMETRIC = 262  #: the number of TIFF's tag that says whether 0 is black or white
TOKEN_SIDE = 64  #: side in pixels of the square that one vision token stands for
DOUBTED = "[?]"  #: what is put behind a word that was not read surely
_WIDE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]+")

Box = tuple[float, float, float, float]  #: left, top, right, bottom in pixels
#: (T, 4) boxes: int32, or float32 where fractions of pixels are known.
Boxes = NDArray[np.int32] | NDArray[np.float32]
#: "dense": a line end is drawn as a mark and the text runs on; "lines": each line end begins a new line; "words": as
#: dense, but lines break between words; "turns": as words, and labels, such as who speaks, stand white on black.
Layout = Literal["dense", "lines", "words", "turns"]
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


class Kept(NamedTuple):
    """The `text` of the lines of cells `row` to `row + rows`, counted from 0, which is kept beside the page because
    models that read cells do not know all that is drawn there."""

    row: int
    rows: int
    text: str


class Corrected(NamedTuple):
    """The `text` that stands in the line of cells `row` from its character `at` on, both counted from 0, where models
    read something else of the same length."""

    row: int
    at: int
    text: str


@dataclass(frozen=True)
class Setting:
    """How a page was typeset: the name of its density, its layout, and the `scale` that it was shrunk to afterwards.
    `kept` are the lines whose text is kept beside it, in their order, `lettered` those that hold letters beyond the
    alphabet and are read nevertheless, and `corrected` the characters whose text is kept because they are misread."""

    density: str
    layout: Layout = "dense"
    scale: float = 1.0
    kept: tuple[Kept, ...] = ()
    lettered: tuple[int, ...] = ()
    corrected: tuple[Corrected, ...] = ()

    @property
    def kept_text(self) -> str:
        """All text that is kept beside the page: of whole lines, and single characters that are misread."""
        return "".join([*(one.text for one in self.kept), *(one.text for one in self.corrected)])

    def without_above(self, rows: int) -> Setting:
        """The setting of what is left of a page once its first `rows` lines of cells are cut off."""
        below = [(one.row - rows, one.rows, one.text) for one in self.kept if one.row + one.rows > rows]
        return replace(
            self,
            kept=tuple(Kept(max(0, row), rows + min(0, row), text) for row, rows, text in below),
            lettered=tuple(row - rows for row in self.lettered if row >= rows),
            corrected=tuple(one._replace(row=one.row - rows) for one in self.corrected if one.row >= rows),
        )


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
    """A page that Microfiche typeset, so that its text and boxes are known. `beside` are the stretches of its text that
    cannot be drawn: a number, white on black, stands for each, from 1 on."""

    setting: Setting | None = field()
    text: str = field()
    boxes: Boxes = field()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pieces:
    """Where the parts of a picture come from that was put together from pieces of a page.

    `boxes` (P, 4) int32 are the pieces in that picture, in px; `sources` (P, 4) float32, for each piece, are the left
    and the top of its corner on the page in px, how many px of the page one of its px is, and by how many px it falls
    on the page for each px to the right; `lines` (P,) int32 says to which line of the page each belongs, from 0 in
    their order; a line can be there more than once, each time with type of another size. Raises UsageError for arrays
    of other types or shapes, for boxes that are empty or lie off a picture of 4096×4096 px, and for sources that no
    page has.
    """

    boxes: NDArray[np.int32]
    sources: NDArray[np.float32]
    lines: NDArray[np.int32]

    def __post_init__(self) -> None:
        count = len(self.boxes)
        for name, kind, shape in (
            ("boxes", np.int32, (count, 4)), ("sources", np.float32, (count, 4)), ("lines", np.int32, (count,)),
        ):  # fmt: skip
            found = getattr(self, name)
            if found.dtype != kind or found.shape != shape:
                wanted = f"{kind.__name__} {shape}"
                raise UsageError(f"{name} of {count} pieces are {found.dtype} {found.shape}, not {wanted}")
        first, last = self.boxes[:, :2], self.boxes[:, 2:]
        if (first < 0).any() or (last <= first).any() or (last > _LARGEST).any():
            size = f"{_LARGEST}×{_LARGEST} px"
            raise UsageError(f"pieces of a page have boxes that are empty, or off a picture of {size}")
        if not (np.abs(self.sources) < _FARTHEST).all() or (self.sources[:, 2] <= 0).any() or (self.lines < 0).any():
            raise UsageError("pieces of a page come from where no page is")

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class VisionTokens:
    """What an encoder makes of one page: `values` (n, D) float, n tokens of D numbers each.

    `height` × `width` is the size of the page in squares of 64×64 px; squares at the right and bottom edge may be
    incomplete. `setting` is the page's, and `checkpoint` names the weights that made the tokens. `places` (n, 3) int32
    are the view, row and column of the square that each token stands for, or −1 in all three if it stands for none (a
    newline or a separator). View 0 is the page itself, other views are the encoder's own pictures of it. No two tokens
    stand for the same square. If `places` is None, every square of the page has a token, row by row. `origin` is where
    on the page square (0, 0) begins, as (top, left) in pixels; it is (0, 0) unless the encoder cut margins. If view 1
    was put together from pieces of the page, `pieces` says where they come from.

    Raises UsageError if the places or the origin are impossible on a page of this size.
    """

    values: torch.Tensor
    height: int
    width: int
    setting: Setting | None
    checkpoint: Checkpoint
    places: NDArray[np.int32] | None = None
    origin: tuple[int, int] = (0, 0)
    pieces: Pieces | None = None

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
        if self.pieces is not None:
            right, bottom = -(-self.pieces.boxes[:, 2:].max(0, initial=0) // TOKEN_SIDE)
            beyond |= (real[:, 0] == 1) & (real[:, 1:] >= (bottom, right)).any(axis=1)
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

    def words(self) -> list[slice]:
        """Where the words stand; a character of Chinese, Japanese or Korean is a word."""
        return [slice(*match.span()) for match in _WORD.finditer(self.text)]

    def doubted(self, least: float) -> list[slice]:
        """Where the words stand of which a character was read less surely than `least`; none where the reader does not
        know how sure it is."""
        return [word for word in self.words() if len(self.confidence) and self.confidence[word].min() < least]

    def marked(self, least: float) -> str:
        """The text with "[?]" behind each word that is `doubted`."""
        text = self.text
        for word in reversed(self.doubted(least)):
            text = text[: word.stop] + DOUBTED + text[word.stop :]
        return text

    def without(self, words: Sequence[slice]) -> str:
        """The text without some words, in their order."""
        starts, ends = [0, *(word.stop for word in words)], [*(word.start for word in words), len(self.text)]
        return "".join(self.text[start:end] for start, end in zip(starts, ends, strict=True))

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


def upright_rgb(image: Image.Image) -> Image.Image:
    """Any picture as RGB of 8 bit: turned as its EXIF data says, scaled to 8 bit from any other range, and where it is
    transparent on paper that its ink stands out from: white if it can be."""
    from PIL import Image, ImageOps

    zero_is_white = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0  # Pillow heeds it in 1 and 8 bit only
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _eight_bit(image)
        return Image.fromarray(255 - grey if zero_is_white else grey).convert("RGB")
    if image.mode == "LAB":
        return image.getchannel("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, _ground(image)), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _ground(image: Image.Image) -> tuple[int, int, int, int]:
    """The paper for a picture (RGBA) that is partly transparent: white, unless its ink is so light that it would not be
    seen there; grey, if it is both light and dark."""
    ink = np.asarray(image.convert("L"))[np.asarray(image.getchannel("A")) > OPAQUE]
    light, dark = (ink > LIGHT).mean() if len(ink) else 0.0, (ink < DARK).mean() if len(ink) else 0.0
    shade = 255 if light < SOME else 128 if dark >= SOME else 0
    return shade, shade, shade, 255


def _eight_bit(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W): the values of a picture of one channel of 16 or 32 bit, or of floating point, from 0 to 255.

    Whole numbers keep their range if they fill it (16 bit, or 8 in more). Otherwise the least value becomes black and
    the greatest white, without the few that lie far beyond all others; what is not a number is white.
    """
    values = np.asarray(image, np.float64)
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, 255, np.uint8)
    low, high = float(values[known].min()), float(values[known].max())
    if image.mode != "F" and low >= 0 and 0x8000 <= high <= 0xFFFF:
        low, high = (0.0, 0xFFFF) if high - low > 0x1000 else (low, high)
    elif image.mode != "F" and low >= 0 and 0x80 <= high <= 0xFF:
        low, high = 0.0, 0xFF
    else:
        inner = np.quantile(values[known], (0.0001, 0.9999))
        if high - low > BEYOND * (inner[1] - inner[0]) > 0:
            low, high = inner
    scaled = (np.where(known, values, high) - low) * (255 / max(high - low, 1e-9))
    return scaled.clip(0, 255).astype(np.uint8)
