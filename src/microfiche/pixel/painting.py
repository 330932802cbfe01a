"""What PIXEL paints where it is not shown a text: the strip, what was masked of it, and its painting, as pictures.

It knows nothing of checkpoints or fonts; strips are drawn elsewhere.
"""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from microfiche.pixel.masking import spans
from microfiche.pixel.model import Pixel, patches_of, targets
from microfiche.pixel.strips import PATCH, Strip

ROW = 40  #: patches beside each other in a picture; longer strips go on below
HIDDEN = (176, 190, 206)  #: what a masked patch looks like
BAR = (214, 93, 14)  #: the bar under what was masked
_MARGIN, _LABEL, _GAP = 12, 16, 6  #: px of the picture
LABELS = ("input", "masked", "painted")


@dataclass(frozen=True)
class Filled:
    """Three strips (16, 16·N, 3) uint8, which of the patches were `masked` (N,) bool, and the mean `loss` on those."""

    input: NDArray[np.uint8]
    hidden: NDArray[np.uint8]
    painted: NDArray[np.uint8]
    masked: NDArray[np.bool_]
    loss: float


@torch.no_grad()
def fill(model: Pixel, strip: Strip, seed: int = 0, ratio: float = 0.25) -> Filled:
    """Masks `ratio` of a strip by spans and paints what is masked from the rest.

    The model paints normalised pixels; they get the mean and deviation that the visible written patches have on
    average, so nothing under the mask is used.
    """
    device = model.encoder.start.device
    patches, attended = (x.to(device) for x in patches_of([strip], channels=model.config.channels))
    n = patches.shape[1]
    masked = torch.from_numpy(spans(np.random.default_rng(seed), n, ratio))[None].to(device)
    normalised = model(patches, attended, masked)
    visible = torch.cat([patches[~masked], torch.ones_like(patches[0, :1])])  # a white one, lest there be none
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
    """The three strips under each other, labelled and `scale` times enlarged; a bar lies under what was masked."""
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
    """The same as a web page that needs no other file."""
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
