"""Nano for print, as `train print` trains it: real pages to vision tokens, one for every 64×64 px with ink, and those
to lines of text. The weights `nano-pages` that ship are of this kind.

The readout is the mirror image of the encoder (nano/print_encoder.py). It unfolds tokens to the same maps of 8 and 4 px
and is asked twice. First, every 8-px column says in which pixel rows the middle of a line runs and how large its type
is. Then, along each line, a frame for every fifth of an em says which character stands there, and whether its centre
does.

This is a small version of Contexts Optical Compression (arXiv 2510.18234, section 3.2). It knows nothing of files, nor
of the order in which lines are read.

Margins are cut, so that the first row and column of squares begin where the ink does. The local stage runs only where
it can see ink that belongs to a token: in bands of rows of squares, each cut to its columns, with as much around them
as the stage sees. Wider blank areas cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.errors import CheckpointError
from microfiche.nano.encoder import ink_of
from microfiche.nano.galley import on_page
from microfiche.nano.language import LanguagePass
from microfiche.nano.print_encoder import (
    CELL,
    INKED,
    PARTS,
    PATCH,
    ChannelNorm,
    PrintConfig,
    PrintEncoder,
    Residual,
    inked,
    start_as_identity,
    start_as_nothing,
)
from microfiche.nano.segmentation import parted
from microfiche.nano.tracing import FIRST_PRINTED, PrintedLine, TracedLine, reading_of, trace
from microfiche.page import TOKEN_SIDE, UNTRAINED, Checkpoint, Page, Reading, VisionTokens
from microfiche.typesetting.alphabet import N_HALF
from microfiche.weights.stored import Kind

COLUMN = 8  #: side in px of the squares in which lines are found
FRAME = 0.2  #: width of a frame along a line, in em
MIDDLE = 0.3  #: em from a line's baseline up to its middle
BEYOND = 0.6  #: em by which the frames extend beyond both ends of a line
BETWEEN = 8  #: empty frames between two lines, so that no line sees another
RING = 2  #: patches of paper put around the squares with ink before lines are looked for: they begin at its edge
_PLACES = 8  #: into how many parts a cell's width is divided to say where a frame is


class Up(nn.Module):
    """(B, C, H, W) → (B, D, 2H, 2W); all zero at first."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.conv = nn.Conv2d(width, 4 * out, 1)
        start_as_nothing(self.conv)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d rows columns"]:
        """(B, C, H, W) → (B, D, 2H, 2W): a map twice as fine."""
        return F.pixel_shuffle(self.conv(self.norm(x)), 2).contiguous(memory_format=torch.channels_last)


class Along(nn.Module):
    """(1, C, F) frames → the same shape: the input plus a convolution over three frames that are `dilation` apart."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Float[Tensor, "1 c f"]) -> Float[Tensor, "1 c f"]:
        """(1, C, F) → (1, C, F): the input plus the convolution along the line."""
        return x + self.conv(F.gelu(self.norm(x.transpose(1, 2)).transpose(1, 2)))


@dataclass(frozen=True)
class Frames:
    """Where frames look; both int64. `cells` (F, 3) are the indices of the cell that each lies in and of those above
    and below it (−1 if that is off the page, or the frame is between two lines); `part` (F,) says in which part of its
    cell."""

    cells: NDArray[np.int64]
    part: NDArray[np.int64]


def frames_at(
    y: NDArray[np.floating], x: NDArray[np.floating], page: NDArray[np.int64] | int, height: int, width: int
) -> Frames:
    """Returns the Frames at px (y, x), each (F,), on pages of `height` × `width` px that lie one below another. y is
    NaN for frames between lines."""
    rows, columns = height // CELL, width // CELL
    real = np.isfinite(y)
    y, x = np.nan_to_num(y).clip(0, height - 0.01), np.nan_to_num(x).clip(0, width - 0.01)
    row, column = (y / CELL).astype(np.int64), (x / CELL).astype(np.int64)
    around = row[:, None] + np.array([0, -1, 1])
    inside = (around >= 0) & (around < rows) & real[:, None]
    cells = np.where(inside, (np.asarray(page).reshape(-1, 1) * rows + around) * columns + column[:, None], -1)
    down = (y - row * CELL).astype(np.int64)
    right = ((x / CELL - column) * _PLACES).astype(np.int64).clip(0, _PLACES - 1)
    return Frames(cells, down * _PLACES + right)


class PrintReadout(nn.Module):
    """Vision tokens → maps (`unfold`), lines in them (`line_logits`) and characters along lines (`frame_logits`)."""

    def __init__(self, config: PrintConfig) -> None:
        super().__init__()
        _, at_4, at_8, at_16 = config.widths
        part = config.token_width // PARTS**2
        self.mix = nn.Linear(config.token_width, config.token_width)
        start_as_identity(self.mix)
        self.unfold4 = nn.ConvTranspose2d(part, at_4, PATCH // CELL, PATCH // CELL)
        self.unfold8 = nn.ConvTranspose2d(part, at_8, PATCH // COLUMN, PATCH // COLUMN)
        self.widen = nn.Conv2d(part, at_16, 1)
        blocks = [nn.Sequential(*(Residual(w, still=True) for _ in range(n)))
                  for w, n in zip((at_16, at_8, at_4), config.readout_blocks, strict=True)]  # fmt: skip
        self.blocks16, self.blocks8, self.blocks4 = blocks
        self.up8, self.up4 = Up(at_16, at_8), Up(at_8, at_4)
        self.line_head = nn.Conv2d(at_8, COLUMN + 1, 1)
        self.see = nn.Linear(3 * at_4, config.hidden)
        self.part = nn.Parameter(torch.randn(CELL * _PLACES, 2 * config.hidden))
        self.along = nn.Sequential(*(Along(config.hidden, dilation) for dilation in config.context))
        self.frame_norm = nn.LayerNorm(config.hidden)
        self.frame_head = nn.Linear(config.hidden, N_HALF + 1)

    def unfold(
        self, tokens: Float[Tensor, "b n width"], height: int, width: int, ring: int = 0
    ) -> tuple[Float[Tensor, "b c8 h8 w8"], Float[Tensor, "b c4 h4 w4"]]:
        """(B, height · width, token width) → maps (B, C, …) of 8 and of 4 px, like the encoder's own, which extend
        beyond the squares by `ring` patches of paper, at most PARTS; channels last."""
        x = tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)
        if ring:
            x = F.pad(x, (1, 1, 1, 1))
        x = F.pixel_shuffle(self.mix(x.movedim(1, -1)).movedim(-1, 1), PARTS)
        if ring:
            cut = PARTS - ring
            x = x[..., cut : x.shape[-2] - cut, cut : x.shape[-1] - cut]
        x = x.contiguous(memory_format=torch.channels_last)
        at_8 = self.blocks8(self.unfold8(x) + self.up8(self.blocks16(self.widen(x))))
        return at_8, self.blocks4(self.unfold4(x) + self.up4(at_8))

    def line_logits(
        self, at_8: Float[Tensor, "b c h8 w8"]
    ) -> tuple[Float[Tensor, "b h w8"], Float[Tensor, "b h8 w8"]]:
        """(B, C, H/8, W/8) → (B, H, W/8) logits that the middle of a line runs through each pixel row of each column,
        and (B, H/8, W/8) the binary logarithm of the type's size in px per em."""
        found = self.line_head(at_8).float()
        rows = found[:, :COLUMN].permute(0, 2, 1, 3).flatten(1, 2)
        return rows - 3, found[:, COLUMN] + 3.3

    def frame_logits(
        self, at_4: Float[Tensor, "b c h4 w4"], cells: Int[Tensor, "f 3"], part: Int[Tensor, " f"]
    ) -> Float[Tensor, "f classes"]:
        """(B, C, H/4, W/4) map, (F, 3) cells and (F,) parts from Frames → (F, N_HALF + 1) logits of the character at
        each frame; the last is the logit that the character's centre is there."""
        flat = at_4.permute(0, 2, 3, 1).flatten(0, 2)
        seen = flat.index_select(0, cells.flatten().clamp(min=0)) * (cells.flatten() >= 0)[:, None]
        x = self.see(seen.view(len(cells), -1))
        scale, shift = F.embedding(part, self.part).to(x.dtype).chunk(2, dim=-1)
        x = torch.addcmul(shift, x, 1 + scale)
        x = self.along(x.T[None])[0].T
        logits: Tensor = self.frame_head(F.gelu(self.frame_norm(x)))
        return logits


class PrintModel(nn.Module):
    """Encoder and readout in one model: pages to vision tokens to lines of text. `checkpoint` is the name and SHA-256
    of its weights. `language` corrects what the readout sees by what text usually says; if it is None, a page is read
    as it was seen."""

    def __init__(self, config: PrintConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        super().__init__()
        self.config = config
        self.checkpoint = checkpoint
        self.encoder = PrintEncoder(config)
        self.readout = PrintReadout(config)
        self.language: LanguagePass | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

    @torch.inference_mode()
    def encode(self, pages: Sequence[Page], cut: bool = True) -> list[VisionTokens]:
        """Returns the vision tokens of each page, on the CPU: one for each square with ink, of a grid that begins where
        the ink does, or without `cut` at the page's corner. Pages may have any size up to MAX_SIDE (encoder.py); raises
        UsageError for larger ones."""
        return [self._encoded(page, cut) for page in pages]

    def _encoded(self, page: Page, cut: bool = True) -> VisionTokens:
        whole = torch.from_numpy(ink_of(page))
        if whole.amax() - whole.amin() <= INKED:  # a page of one shade is blank, be it black
            whole = torch.zeros_like(whole)
        ink, origin = _cut(whole) if cut else (_in_squares(whole), (0, 0))
        squares = inked(ink[None]).view(*(side // TOKEN_SIDE for side in ink.shape))
        weight = self.encoder.mix.weight
        values = self.encoder.kept(ink.to(weight.device, weight.dtype), squares.to(weight.device))
        places = squares[None].nonzero().numpy().astype(np.int32)  # all of them in view 0
        height, width = (-(-side // TOKEN_SIDE) for side in page.image.shape[:2])
        return VisionTokens(values.cpu(), height, width, page.setting, self.checkpoint, places, origin)

    @torch.inference_mode()
    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page, with a line of text for each line of type, from the top down. Raises
        CheckpointError for tokens of another checkpoint."""
        self.own(tokens)
        return [reading_of(self.lines(page)) for page in tokens]

    def printed(self, page: Page) -> list[PrintedLine]:
        """Encodes and reads a page; returns its lines, from the top down."""
        return self.lines(self._encoded(page))

    def lines(self, page: VisionTokens) -> list[PrintedLine]:
        """Returns the lines of a page, from the top down, with boxes in pixels of the page."""
        found, xs, logits = self.seen(page)
        if not found:
            return []
        if self.language is not None:
            logits = self.language.corrected(logits, [len(one) for one in xs])
        read = parted(found, xs, logits.cpu().numpy())
        if page.pieces is not None:
            return list(on_page(read, page.pieces).values())
        top, left = page.origin
        moved = np.array([left, top] * 2, np.int32)
        return [
            replace(
                one, boxes=one.boxes + moved,
                line=replace(one.line, left=one.line.left + left, right=one.line.right + left, y=one.line.y + top),
            )
            for one in read
        ]  # fmt: skip

    @torch.inference_mode()
    def seen(
        self, page: VisionTokens
    ) -> tuple[list[TracedLine], list[NDArray[np.float64]], Float[Tensor, "f classes"]]:
        """Returns the lines of type on a page, from the top down, in px from its tokens' origin; of each line the x of
        its frames' middles; and (F, N_HALF + 1) float32 logits of all their frames, one line after another: of the
        character at each frame, −∞ for those that print does not contain, and that the character's centre is there."""
        if not len(page):
            return [], [], torch.zeros(0, N_HALF + 1)
        grid = self._grid(page)
        at_8, at_4 = self.readout.unfold(grid.flatten(0, 1)[None], len(grid), grid.shape[1], RING)
        rows, log_size = self.readout.line_logits(at_8)
        chance = rows[0].sigmoid().view(-1, COLUMN, rows.shape[2]).transpose(1, 2).cpu().numpy()
        found = trace(chance, log_size[0].exp2().cpu().numpy())
        if not found:
            return [], [], torch.zeros(0, N_HALF + 1)
        height, width = (COLUMN * side for side in at_8.shape[2:])
        xs = [_frames(line, width) for line in found]
        gap = np.full(BETWEEN, np.nan)
        x = np.concatenate([part for one in xs for part in (gap, one)])
        y = np.concatenate([part for line, one in zip(found, xs, strict=True) for part in (gap, line.at(one))])
        frames = frames_at(y, x, 0, height, width)
        cells, part = (torch.from_numpy(a).to(grid.device) for a in (frames.cells, frames.part))
        logits = self.readout.frame_logits(at_4, cells, part).float()[torch.from_numpy(np.isfinite(y))]
        logits[:, 1:FIRST_PRINTED] = -torch.inf
        edge = RING * PATCH
        found = [replace(line, left=line.left - edge, right=line.right - edge, y=line.y - edge) for line in found]
        return found, [x - edge for x in xs], logits

    def _grid(self, page: VisionTokens) -> Float[Tensor, "rows columns width"]:
        """Returns the tokens of a page in the smallest grid that holds them, with zeros where there is none."""
        places = np.indices((1, page.height, page.width)).reshape(3, -1).T if page.places is None else page.places
        row, column = torch.from_numpy(places[:, 1:]).long().T
        weight = self.readout.mix.weight
        grid = weight.new_zeros(int(row.max()) + 1, int(column.max()) + 1, self.config.token_width)
        grid[row.to(weight.device), column.to(weight.device)] = page.values.to(grid)
        return grid

    def own(self, tokens: Sequence[VisionTokens]) -> None:
        """Raises CheckpointError if any of the `tokens` were made by another checkpoint, do not have the shape of its
        own, or stand for anything but squares of the page itself."""
        for page in tokens:
            page.check_made_by(self.checkpoint, self.config.token_width)
            view = 0 if page.pieces is None else 1
            if page.places is not None and (page.places[:, 0] != view).any():
                name = self.checkpoint.name
                raise CheckpointError(f"{name} makes tokens of a page's own squares; these stand for something else")


def _cut(ink: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Cuts (H, W) ink to what is above INKED and pads it with paper to whole squares. Returns it, and the px that were
    cut at the top and left. A blank page becomes one square."""
    ats = [(ink > INKED).any(axis).nonzero() for axis in (1, 0)]
    (top, bottom), (left, right) = ((int(at[0]), int(at[-1]) + 1) if len(at) else (0, 1) for at in ats)
    return _in_squares(ink[top:bottom, left:right]), (top, left)


def _in_squares(ink: Tensor) -> Tensor:
    """Pads (H, W) ink with paper to whole squares."""
    height, width = ink.shape
    return F.pad(ink, (0, -width % TOKEN_SIDE, 0, -height % TOKEN_SIDE))


def _frames(line: TracedLine, width: int) -> NDArray[np.float64]:
    """Returns the x of the middles of a line's frames, in px."""
    pitch = FRAME * line.size
    first, last = max(0.0, line.left - BEYOND * line.size), min(width, line.right + BEYOND * line.size)
    return np.asarray(first + (np.arange(max(1, int((last - first) / pitch))) + 0.5) * pitch, np.float64)


PRINT = Kind(
    "microfiche-print-2",
    lambda head, checkpoint: PrintModel(PrintConfig.of(head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
