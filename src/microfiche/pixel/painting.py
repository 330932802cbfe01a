"""Which patches of a strip are masked, and what PIXEL paints there, as pictures.

Masks are spans, apart from each other, that cover exactly a share of the strip, after Language Modelling with Pixels
(arXiv 2207.06991, section 2.3); they follow the published SpanMaskingGenerator with spacing "span" choice by choice.
This module knows nothing of checkpoints or fonts.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from microfiche.pixel.model import Pixel, patches_of, targets
from microfiche.pixel.strips import PATCH, Strip

WEIGHTS = (0.2, 0.2, 0.2, 0.2, 0.1, 0.1)  #: probabilities of spans of 1, 2, … patches
TRIES = 100  #: for each span; if none of them fits, there are no more spans
_AHEAD = 64  #: random numbers drawn at a time
ROW = 40  #: patches beside each other in a picture; longer strips continue below
HIDDEN = (176, 190, 206)  #: colour of a masked patch
BAR = (214, 93, 14)  #: colour of the bar under masked patches
_MARGIN, _LABEL, _GAP = 12, 16, 6  #: px of the picture
LABELS = ("input", "masked", "painted")


def masked_count(patches: int, ratio: float) -> int:
    """How many patches of a strip are masked: all but the ⌊patches · (1 − ratio)⌋ that are kept."""
    return patches - floor(patches * (1 - ratio))


def spans(
    rng: np.random.Generator,
    patches: int,
    ratio: float = 0.25,
    text: int | None = None,
    weights: Sequence[float] = WEIGHTS,
) -> NDArray[np.bool_]:
    """(patches,) bool, which patches are masked: `masked_count` of them.

    `weights` are the probabilities of a span's length; on both sides of it as many patches, or all up to the strip's
    end, are not masked. The first span lies in the first `text` patches (all if None), so that something written is
    masked; the others lie anywhere. When no further span fits, the rest is masked at random.
    """
    wanted = masked_count(patches, ratio)
    up_to = np.cumsum(weights) / np.sum(weights)
    mask = count = 0  # the mask as the bits of a number
    written = text
    lengths: list[int] = []
    lefts: list[float] = []
    tries = 0
    while count < wanted and tries < TRIES:
        if not lengths:
            lengths = (1 + np.searchsorted(up_to, rng.random(_AHEAD), "right")).tolist()
            lefts = rng.random(_AHEAD).tolist()
        span, place = lengths.pop(), lefts.pop()
        tries += 1
        if span >= patches:
            continue
        left = int(place * (1 + max(0, (patches if written is None else written) - span)))
        left, written = min(left, patches - span), None
        inside = ((1 << span) - 1) << left
        around = ((1 << 3 * span) - 1) << left >> span
        new = span - (mask & inside).bit_count()
        if mask & around & ~inside or not 0 < new <= min(wanted - count, len(weights)):
            continue
        mask |= inside
        count += new
        tries = 0
    found = _bits(mask, patches)
    if count < wanted:
        found[rng.choice(np.flatnonzero(~found), wanted - count, replace=False)] = True
    return found


def _bits(number: int, count: int) -> NDArray[np.bool_]:
    data = np.frombuffer(number.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(data, count=count, bitorder="little").astype(bool)


@dataclass(frozen=True)
class Filled:
    """Three strips, `input`, `hidden` and `painted`, (16, 16·N, 3) uint8; which patches were `masked`, (N,) bool; and
    the mean squared error (`loss`) of their normalised pixels."""

    input: NDArray[np.uint8]
    hidden: NDArray[np.uint8]
    painted: NDArray[np.uint8]
    masked: NDArray[np.bool_]
    loss: float


@torch.no_grad()
def fill(model: Pixel, strip: Strip, seed: int = 0, ratio: float = 0.25) -> Filled:
    """Masks a share of `ratio` of a strip and paints the masked patches from the rest.

    The model paints normalised pixels. They get the average mean and deviation of those visible patches that have ink,
    so that nothing under the mask is used.
    """
    device = model.encoder.start.device
    patches, attended = (x.to(device) for x in patches_of([strip], channels=model.config.channels))
    n = patches.shape[1]
    masked = torch.from_numpy(spans(np.random.default_rng(seed), n, ratio))[None].to(device)
    normalised = model(patches, attended, masked)
    visible = torch.cat([patches[~masked], torch.ones_like(patches[0, :1])])  # and a white one, in case there are none
    deviation, mean = torch.std_mean(visible, dim=-1)
    written = deviation > 0
    brightness, contrast = (x[written].mean() if written.any() else x.new_tensor(0.5) for x in (mean, deviation))
    painted = torch.where(masked[..., None], normalised.float() * contrast + brightness, patches)
    seen, filled = (_strip(x[0], model.config.channels) for x in (patches, painted))
    hidden = seen.copy()
    where = masked[0].cpu().numpy()
    hidden[:, where.repeat(PATCH)] = HIDDEN
    errors = (normalised.float() - targets(patches)).square().mean(-1)
    return Filled(seen, hidden, filled, where, errors[masked & attended].mean().item())


def _strip(patches: torch.Tensor, channels: int) -> NDArray[np.uint8]:
    """(N, 16·16·C) values in [0, 1] → (16, 16·N, 3) pixels."""
    pixels = (patches.clamp(0, 1) * 255).round().to("cpu", torch.uint8).view(-1, PATCH, PATCH, channels)
    return pixels.permute(1, 0, 2, 3).reshape(PATCH, -1, channels).expand(-1, -1, 3).numpy()


def picture(filled: Filled, scale: int = 3) -> Image.Image:
    """The three strips under each other, labelled and enlarged `scale` times, with a bar under masked patches."""
    n = len(filled.masked)
    across, side = min(n, ROW), PATCH * scale
    height = 3 * (_LABEL + side + _GAP) + _GAP
    rows = -(-n // ROW)
    sheet = Image.new("RGB", (2 * _MARGIN + max(across * side, 60), _MARGIN + rows * (height + _GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for row in range(rows):
        first, last = row * ROW, min(n, (row + 1) * ROW)
        for i, (label, strip) in enumerate(zip(LABELS, (filled.input, filled.hidden, filled.painted), strict=True)):
            top = _MARGIN + row * (height + _GAP) + i * (_LABEL + side + _GAP)
            draw.text((_MARGIN, top), label, fill=(110, 110, 110), font=font)
            part = Image.fromarray(strip[:, first * PATCH : last * PATCH])
            part = part.resize((part.width * scale, side), Image.Resampling.NEAREST)
            sheet.paste(part, (_MARGIN, top + _LABEL))
            for at in np.flatnonzero(filled.masked[first:last]):
                left, under = _MARGIN + int(at) * side, top + _LABEL + side
                draw.rectangle((left, under + 1, left + side - 1, under + 2), fill=BAR)
    return sheet


def page(filled: Filled, text: str, model_name: str, scale: int = 3) -> str:
    """The same as a web page in one file; `model_name` is mentioned in it."""
    n = len(filled.masked)
    strips = []
    for first in range(0, n, ROW):
        part = slice(first * PATCH, (first + ROW) * PATCH)
        row = "".join(
            f'<figure class="{label}"><figcaption>{label}</figcaption>{_image(strip[:, part], scale, label)}</figure>'
            for label, strip in zip(LABELS, (filled.input, filled.hidden, filled.painted), strict=True)
        )
        strips.append(f"<section>{row}</section>")
    told = (
        f"{int(filled.masked.sum())} of {n} patches masked; mean squared error of their normalised pixels "
        f"{filled.loss:.3f} (1.0: plain grey), painted by {html.escape(model_name)}"
    )
    return _PAGE.format(text=html.escape(text), told=told, strips="\n".join(strips))


def _image(strip: NDArray[np.uint8], scale: int, label: str) -> str:
    data = io.BytesIO()
    Image.fromarray(strip).save(data, "PNG")
    source = base64.b64encode(data.getvalue()).decode()
    width, height = strip.shape[1] * scale, strip.shape[0] * scale
    return f'<img alt="{label}" width="{width}" height="{height}" src="data:image/png;base64,{source}">'


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>PIXEL fills in</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 122rem; padding: 0 1rem; color: #222 }}
figure {{ margin: 0 0 .4rem; overflow-x: auto }}
figcaption {{ font-size: .8rem; color: #777 }}
img {{ image-rendering: pixelated; display: block; border: 1px solid #ddd }}
section {{ margin-bottom: 1.6rem }}
blockquote {{ margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }}
</style>
<h1>PIXEL fills in</h1>
<blockquote>{text}</blockquote>
<p>{told}.</p>
{strips}
</html>
"""
