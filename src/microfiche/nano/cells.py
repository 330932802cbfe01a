"""Nano, the codec: encoder and readout in one model, which encodes typeset pages to vision tokens and reads those back;
and the same with a line decoder that checks what the readout reads.

Lines with letters beyond the alphabet are read by a readout of their own (letters.py), where one was made for the
codec's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from microfiche.errors import CheckpointError, UsageError
from microfiche.nano.kept import checked, to_try
from microfiche.nano.letters import LETTERS, LetterReadout, letters_ship_for
from microfiche.nano.lines import LINES, LineDecoder, Lines
from microfiche.nano.model import NanoConfig, NanoModel
from microfiche.nano.readout import HALF_CLASSES, LEFT, RIGHT, SQUARES, Places, Readout, Squares, centres, places
from microfiche.page import (
    TOKEN_SIDE,
    UNTRAINED,
    Checkpoint,
    Kept,
    Page,
    Reading,
    Setting,
    TypesetPage,
    VisionTokens,
    dequantise,
    quantise,
)
from microfiche.typesetting import density as densities
from microfiche.typesetting.alphabet import CODE_POINT_OF_GLYPH, END, N_GLYPHS, N_HALF, code_points
from microfiche.typesetting.atlas import atlas
from microfiche.typesetting.density import Density
from microfiche.typesetting.repertoire import drawn_at
from microfiche.typesetting.typesetter import boxes, text_cells
from microfiche.weights.stored import Kind, load

AT_ONCE = 1024  #: cells whose logits are at hand at a time
EARLY_END = -100.0  #: log-probability of the end of the text in a cell that more text follows


class Nano(NanoModel):
    """The nano codec: `encoder` turns ink into vision tokens, `readout` turns those into characters."""

    readout: Readout

    def __init__(self, config: NanoConfig, checkpoint: Checkpoint = UNTRAINED) -> None:
        readout = Readout(
            config.stem[-1], config.token_width, config.readout_layers, config.square_width, config.hidden
        )
        super().__init__(config, readout, checkpoint)
        self._beside: dict[str, LetterReadout | None] = {}  # no part of the model: other weights, for its tokens

    @torch.inference_mode()
    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page, as NanoModel does. Of a typeset page, lines with letters beyond
        the alphabet, Greek or Cyrillic are read back from the tokens as they are stored (int8). In the setting of the
        tokens only what is misread there is kept as text."""
        return [self._tried(page, tokens) for page, tokens in zip(pages, self.unread(pages), strict=True)]

    def unread(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """The same without reading anything back: what a typeset page's setting keeps is what the alphabet lacks."""
        return super().encode(pages)

    def _tried(self, page: Page, tokens: VisionTokens) -> VisionTokens:
        if not isinstance(page, TypesetPage) or not page.setting or page.setting.scale != 1:
            return tokens
        setting, rows = to_try(page, self.letters.config.letters if self.letters else "")
        if not rows:
            return tokens
        stored = dequantise(quantise(tokens.values, "int8"))
        (reading,) = self.read([replace(tokens, values=stored, setting=setting)])
        return replace(tokens, setting=checked(page, setting, reading, rows))

    @torch.inference_mode()
    def read(
        self, tokens: Sequence[VisionTokens], decoder: LineDecoder | None = None, lines: range | None = None
    ) -> list[Reading]:
        """Reads the tokens of each page with the readout or, if there is one, with a `decoder` that checks and corrects
        it. With `lines`, counted from 0, only those lines of each page are returned. The lines whose text the page's
        setting has are not read but are that text.

        Raises CheckpointError for tokens of another checkpoint, and UsageError for those of a page that was not
        typeset.
        """
        readings = []
        for batch in self._batches(tokens, lambda t: (t.height, t.width)):
            self.own(batch)
            values = torch.stack([page.values for page in batch]).to(self._device, self._dtype)
            for page, one, squares in zip(batch, values, self._squares(values), strict=False):
                if page.setting is None:
                    raise UsageError("nano reads only pages that Microfiche typeset")
                readings.append(self._reading(page, page.setting, one, squares, decoder, lines))
        return readings

    def _reading(
        self, page: VisionTokens, setting: Setting, values: Tensor, squares: Tensor, decoder: LineDecoder | None,
        lines: range | None,
    ) -> Reading:
        """Reads one page from its (N, token width) `values` and the (N · 64, square width) squares that they unfold
        to."""
        density, scale = densities.density(setting.density), setting.scale
        rows = grid(density, page.height, page.width, scale)[0]
        lettered = np.array([row for row in setting.lettered if row < rows], np.int64)
        if decoder is None or len(lettered):
            cells, confidence = self._cells(squares, density, page, setting, values, lettered)
        if decoder is not None:
            unread = (*setting.kept, *(Kept(row, 1, "") for row in lettered.tolist()))
            decoded = _decoded(decoder, self.lines(values, page.height, page.width, density, squares, scale, unread))
            if len(lettered):
                decoded[0][lettered], decoded[1][lettered] = cells[lettered], confidence[lettered]
            cells, confidence = decoded
        columns = cells.shape[1]
        points, cells = self._points(cells)
        where = text_cells(cells, setting.layout)
        where = where[~_behind_text(cells, lettered)[where]] if len(lettered) else where
        for fixed in setting.corrected:
            at = where[where // columns == fixed.row][fixed.at : fixed.at + len(fixed.text)]
            points.reshape(-1)[at] = code_points(fixed.text)[: len(at)]
            confidence.reshape(-1)[at] = 1
        where = where if lines is None else where[np.isin(where // columns, lines)]
        parts: list[Reading] = []
        for one in (*(one for one in setting.kept if one.row < len(cells)), None):
            before = where if one is None else where[where < one.row * columns]
            where = where[:0] if one is None else where[where >= (one.row + one.rows) * columns]
            around = np.rint(boxes(before, cells.reshape(-1)[before], columns, density) * scale).astype(np.int32)
            text = points.reshape(-1)[before].astype("<u4").tobytes().decode("utf-32-le")
            parts.append(Reading(text, confidence.reshape(-1)[before], around))
            if one is not None and (lines is None or one.row in lines):
                parts.append(_as_kept(one, density, columns, scale))
        return Reading(
            "".join(part.text for part in parts),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.boxes for part in parts]),
        )

    def lines(
        self,
        values: Float[Tensor, "n d"],
        height: int,
        width: int,
        density: Density,
        squares: Float[Tensor, "squares width"] | None = None,
        scale: float = 1.0,
        kept: Sequence[Kept] = (),
    ) -> Lines:
        """Returns the line decoder's input for one page: (height · width, token width) tokens on the model's device,
        and the (height · width · 64, square width) squares that they unfold to, if the caller has them. Lines that are
        `kept` as text are blank."""
        rows, columns = grid(density, height, width, scale)
        squares = self.readout.unfold(values[None]) if squares is None else squares

        def see(full: bool) -> Tensor:
            at = places(density, rows, columns, height, width, full, scale)
            return self._see(squares, at, np.arange(rows * columns)).view(rows, columns, -1)

        seen = see(full=False)  # (rows, columns, hidden)
        base = self.readout.half_logits(seen).float().log_softmax(-1)
        if density.wide:
            wide = see(full=True)
            full = self.readout.full_logits(wide).float().log_softmax(-1) + base[..., LEFT : LEFT + 1]
            full[:, -1] = -torch.inf
            base, seen = torch.cat([base, full], dim=-1), torch.cat([seen, wide], dim=-1)
        else:
            seen = torch.cat([seen, torch.zeros_like(seen)], dim=-1)
        unreadable = ~_readable(density)
        unreadable[LEFT] = True
        never = torch.zeros(base.shape[-1], dtype=torch.bool)
        never[: len(unreadable)] = torch.from_numpy(unreadable)
        base = base.masked_fill(never.to(base.device), -torch.inf)
        for one in kept:
            base[one.row : one.row + one.rows] = -torch.inf
            base[one.row : one.row + one.rows, :, 0] = 0
        base[~_after_text(base), END] = EARLY_END
        row = centres(density, rows, columns, scale=scale)[0][:, 0] // TOKEN_SIDE
        tokens = values.view(height, width, -1)[torch.from_numpy(row).to(values.device)]
        return Lines(tokens, seen, base)

    def _see(self, squares: Tensor, at: Places, chosen: NDArray[np.int64]) -> Tensor:
        return _seen(self.readout, squares, at, chosen)

    def _cells(
        self, squares: Tensor, density: Density, page: VisionTokens, setting: Setting, values: Tensor,
        lettered: NDArray[np.int64],
    ) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
        """Reads one page from its (height · width · 64, square width) squares: (rows, columns) cells, letters beyond
        the alphabet numbered from N_GLYPHS on, and their probabilities. Lines that are kept as text are blank; the
        `lettered` ones are read from the (N, token width) `values`."""
        height, width, scale = page.height, page.width, setting.scale
        rows, columns = grid(density, height, width, scale)
        at = places(density, rows, columns, height, width, scale=scale)
        is_lettered = np.isin(np.arange(rows), lettered).repeat(columns)
        plain = np.flatnonzero(~is_lettered)
        parts = [_Cells(plain, self._see(squares, at, plain), self.readout.half_head, _readable(density))]
        if len(lettered):
            parts.append(self._lettered(values, at, np.flatnonzero(is_lettered), density))
        probability, half = np.empty(rows * columns, np.float32), np.empty(rows * columns, np.int64)
        for part in parts:
            probability[part.cells], half[part.cells] = part.likeliest()
        for one in setting.kept:
            half[one.row * columns : (one.row + one.rows) * columns] = 0
        last = int(np.flatnonzero(half)[-1]) if half.any() else 0
        early = (half == END) & (np.arange(rows * columns) < last)  # the text cannot end where more of it follows
        stray = (half == RIGHT) & (np.roll(half, 1) != LEFT)  # nor can a right half stand alone
        for wrong, never in ((early, [END]), (stray, [END, LEFT, RIGHT])):
            for part in parts:
                chosen = part.cells[wrong[part.cells]]
                if len(chosen):
                    probability[chosen], half[chosen] = part.likeliest(wrong[part.cells], never)
        beyond = np.where(half >= HALF_CLASSES, half - HALF_CLASSES + N_GLYPHS, 0)
        cells = np.where(half < N_HALF, half, beyond).astype(np.uint16)
        left = np.flatnonzero((half == LEFT) & (np.arange(rows * columns) % columns < columns - 1))
        if len(left):
            at = places(density, rows, columns, height, width, full=True, scale=scale)
            likeliest = _likeliest(self.readout.full_logits(self._see(squares, at, left)))
            sure, k = (found.cpu().numpy() for found in likeliest)
            cells[left] = N_HALF + 2 * k
            cells[left + 1] = N_HALF + 2 * k + 1
            probability[left] *= sure
        return cells.reshape(rows, columns), probability.reshape(rows, columns)

    def _lettered(self, values: Tensor, at: Places, cells: NDArray[np.int64], density: Density) -> _Cells:
        """What the readout of letters sees in some `cells` of a page, from its (N, token width) `values`."""
        model = self.letters
        if model is None:
            raise CheckpointError(f"{self.checkpoint.name} has no readout of letters beyond the alphabet")
        around = at.squares.reshape(-1, 4)[cells]
        tokens, own = np.unique(np.maximum(around, 0) // SQUARES, return_inverse=True)  # where anything is seen
        squares = model.unfolded(self.readout.decompressor, values[None, torch.from_numpy(tokens).to(values.device)])
        within = np.where(around < 0, -1, own.reshape(-1, 4) * SQUARES + around % SQUARES)
        few = Places(within, at.place.reshape(-1)[cells])
        may = np.concatenate([_readable(density), drawn_at(density, model.config.letters)])
        return _Cells(cells, _seen(model, squares, few, np.arange(len(cells))), model.head, may)

    @property
    def letters(self) -> LetterReadout | None:
        """The readout of letters beyond the alphabet that was made for this model's tokens, if there is one."""
        if "letters" not in self._beside:
            self._beside["letters"] = letter_readout(self) if letters_ship_for(self.checkpoint) else None
        return self._beside["letters"]

    def read_letters_by(self, model: LetterReadout | None) -> None:
        """Takes `model` as the readout of letters, in the place of the one that ships; without one, it reads none."""
        self._beside["letters"] = model

    def _points(self, cells: NDArray[np.uint16]) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """(rows, columns) code points of what `_cells` reads, and the cells with a letter of the alphabet for each one
        beyond it."""
        beyond = cells >= N_GLYPHS
        points = CODE_POINT_OF_GLYPH[np.where(beyond, 0, cells)]
        if not beyond.any() or self.letters is None:
            return points, cells
        points[beyond] = code_points(self.letters.config.letters)[cells[beyond].astype(np.int64) - N_GLYPHS]
        return points, np.where(beyond, np.uint16(N_HALF - 1), cells)


@dataclass(frozen=True)
class _Cells:
    """Half-width `cells` (n,) of a page, in order, which are read by one readout: what it has `seen` in them, (n,
    hidden), the `head` that gives a logit for each of its V classes, and which of those a cell `may` have, (V,)."""

    cells: NDArray[np.int64]
    seen: Tensor
    head: nn.Linear
    may: NDArray[np.bool_]

    def likeliest(
        self, chosen: NDArray[np.bool_] | None = None, never: Sequence[int] = ()
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(n,) the highest probability in each of the `chosen` cells (n,), or in all, and (n,) its class, which is none
        of those that it is `never`. Logits of a few cells at a time are at hand, and no others."""
        may = self.may.copy()
        may[list(never)] = False
        classes = torch.from_numpy(np.flatnonzero(may)).to(self.seen.device)
        weight, bias = self.head.weight[classes], self.head.bias[classes]
        seen = self.seen if chosen is None else self.seen[torch.from_numpy(chosen).to(self.seen.device)]
        found = [_likeliest(F.linear(some, weight, bias)) for some in torch.split(seen, AT_ONCE)]
        probability = torch.cat([one for one, _ in found]).cpu().numpy()
        return probability, classes[torch.cat([one for _, one in found])].cpu().numpy()


class NanoLines:
    """Nano with its line decoder: it encodes as nano does, and the decoder reads with the readout's reading as a
    draft."""

    def __init__(self, nano: Nano, decoder: LineDecoder) -> None:
        self.nano, self.decoder, self.checkpoint = nano, decoder, nano.checkpoint

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page; see `Nano.encode`."""
        return self.nano.encode(pages)

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page; see `Nano.read`."""
        return self.nano.read(tokens, self.decoder)


def _as_kept(one: Kept, density: Density, columns: int, scale: float) -> Reading:
    """Lines that are kept as text, as a reading that is sure; each of the characters has the box of all of them."""
    top, bottom = one.row * density.height, (one.row + one.rows) * density.height
    box = np.rint(np.array([0, top, columns * density.width, bottom]) * scale).astype(np.int32)
    return Reading(one.text, np.ones(len(one.text), np.float32), np.tile(box, (len(one.text), 1)))


def line_decoder(nano: Nano, path: str | Path = "nano-lines") -> LineDecoder:
    """Loads the line decoder for `nano` on its device, by default the one that ships. Raises CheckpointError if it is
    damaged or was trained on the tokens of another checkpoint."""
    table = nano.readout.table
    return load(LINES, path, table.device, table.dtype, nano.checkpoint)


def _seen(readout: Squares, squares: Tensor, at: Places, chosen: NDArray[np.int64]) -> Tensor:
    """Returns (n, hidden): what a readout sees at the `chosen` places of a page."""
    indices = torch.from_numpy(at.squares.reshape(-1, 4)[chosen]).to(squares.device)
    return readout.see(squares, indices, torch.from_numpy(at.place.reshape(-1)[chosen]).to(squares.device))


def _behind_text(cells: NDArray[np.uint16], lettered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(rows · columns,) the blank cells that end a `lettered` line where the next one begins with the end of the text.
    The typesetter puts the mark of that end there, because it did not count on the line's being read."""
    rows = lettered[(lettered + 1 < len(cells)) & (cells[np.minimum(lettered + 1, len(cells) - 1), 0] == END)]
    found = np.zeros(cells.shape, bool)
    found[rows] = np.maximum.accumulate(cells[rows, ::-1] != 0, axis=1)[:, ::-1] == 0
    return found.reshape(-1)


def letter_readout(nano: Nano, path: str | Path = "nano-letters") -> LetterReadout:
    """Loads the readout of letters beyond the alphabet for `nano` on its device, by default the one that ships. Raises
    CheckpointError if it is damaged or was trained on the tokens of another checkpoint."""
    table = nano.readout.table
    return load(LETTERS, path, table.device, table.dtype, nano.checkpoint)


def _likeliest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(n, V) logits → (n,) the highest probability of each row, and (n,) its class."""
    probability, found = logits.softmax(-1, dtype=torch.float32).max(-1)
    return probability, found


def grid(density: Density, height: int, width: int, scale: float = 1.0) -> tuple[int, int]:
    """Returns the rows and columns of half-width cells on a page of `height` × `width` tokens that was shrunk to
    `scale`."""
    rows, columns = (round(n * TOKEN_SIDE / scale) for n in (height, width))
    return rows // density.height, columns // density.width


def _decoded(decoder: LineDecoder, lines: Lines) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Returns the (rows, columns) cells as the decoder reads them, and their probabilities."""
    read, sure, _ = decoder.verified(lines, lines.base.argmax(-1))
    found = read.cpu().numpy()
    cells = np.where(found < N_HALF, found, 0).astype(np.uint16)
    rows, columns = np.nonzero(found >= HALF_CLASSES)
    cells[rows, columns] = N_HALF + 2 * (found[rows, columns] - HALF_CLASSES)
    cells[rows, columns + 1] = cells[rows, columns] + 1
    return cells, sure.cpu().numpy()


def _after_text(base: Tensor) -> Tensor:
    """(rows, columns) bool: whether no text is read in this cell or any later one, so that the text may end here."""
    read = base.argmax(-1).flatten()
    text = ((read != 0) & (read != END)).nonzero()
    last = int(text[-1]) if len(text) else -1
    return (torch.arange(len(read), device=read.device) > last).view(base.shape[:2])


def _readable(density: Density) -> NDArray[np.bool_]:
    """(HALF_CLASSES,) bool: whether a half-width cell of the density can have that class."""
    readable = np.zeros(HALF_CLASSES, bool)
    readable[:N_HALF] = atlas(density).drawn[:N_HALF]
    readable[N_HALF:] = density.wide
    return readable


NANO = Kind(
    "microfiche-nano-1",
    lambda head, checkpoint: Nano(NanoConfig.of(head["config"]), checkpoint),
    lambda model: {"config": asdict(model.config)},
)
