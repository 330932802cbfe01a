"""The encoders of the family: the views of pages → the vectors that stand for each page in the decoder's input.

DeepSeek-OCR and Unlimited-OCR put the outputs of SAM and CLIP side by side and project them to the decoder's width; a
newline vector ends each row, and the tiles are laid out as one canvas. DeepSeek-OCR 2 projects what Qwen2's queries
made of SAM's output, one view after another. In both, tiles come before the global view, and a separator comes last. It
knows nothing of modes or text. After arXiv 2510.18234, section 3.2, arXiv 2601.20552, section 3, and the published
code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from microfiche.deepseek_ocr.clip import CLIP, CLIPConfig
from microfiche.deepseek_ocr.qwen import Qwen, QwenConfig
from microfiche.deepseek_ocr.sam import SAM, SAMConfig
from microfiche.deepseek_ocr.views import Views

PIXELS_AT_ONCE = 16 * 1024 * 1024  #: pixels in a batch of views on an accelerator; the CPU gains nothing from batches


class Encoder(nn.Module):
    """The views of each page → (n, width) vectors. What differs between the models is in `features`, which sees single
    views, and in `arranged`."""

    def __init__(self, sam: SAMConfig, features: int, width: int) -> None:
        super().__init__()
        self.sam = SAM(sam)
        self.projector = nn.Linear(features, width)
        self.separator = nn.Parameter(torch.randn(width) * width**-0.5)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b g g width"]:
        """(B, 3, S, S) pixels in [-1, 1] → (B, g, g, width) with g = S/64."""
        raise NotImplementedError

    def arranged(
        self, page: Float[Tensor, "g g width"], tiles: list[Tensor], grid: tuple[int, int]
    ) -> Float[Tensor, "n width"]:
        """Puts the features of a page's global view and of its tiles, which make up a `grid`, into one sequence."""
        raise NotImplementedError

    def forward(self, pages: Sequence[Views]) -> list[Tensor]:
        """Returns (len(views), width) vectors for each page. Views of equal side are processed together."""
        seen = self._seen([view for page in pages for view in (page.page, *page.tiles)])
        return [self.arranged(next(seen), [next(seen) for _ in page.tiles], page.grid) for page in pages]

    def _seen(self, views: list[Tensor]) -> Iterator[Tensor]:
        """Yields the (g, g, width) features of each view."""
        device, dtype = self.separator.device, self.separator.dtype
        features: dict[int, Tensor] = {}
        for side in sorted({view.shape[-1] for view in views}):
            equal = [i for i, view in enumerate(views) if view.shape[-1] == side]
            at_once = 1 if device.type == "cpu" else max(1, PIXELS_AT_ONCE // side**2)
            for first in range(0, len(equal), at_once):
                some = equal[first : first + at_once]
                pixels = torch.stack([views[i] for i in some]).to(device, dtype)
                features.update(zip(some, self.features(pixels), strict=True))
        return iter([features[i] for i in range(len(views))])


class DeepEncoder(Encoder):
    """The encoder of DeepSeek-OCR and Unlimited-OCR, with CLIP after SAM."""

    def __init__(self, sam: SAMConfig, clip: CLIPConfig, width: int) -> None:
        super().__init__(sam, clip.width + sam.out[1], width)
        self.clip = CLIP(clip)
        self.newline = nn.Parameter(torch.randn(width) * width**-0.5)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b g g width"]:
        """(B, 3, S, S) pixels in [-1, 1] → (B, g, g, width) with g = S/64."""
        local = self.sam(pixels)
        both = torch.cat([self.clip(local), local.flatten(2).transpose(1, 2)], dim=-1)
        return self.projector(both).view(len(local), *local.shape[-2:], -1)

    def arranged(
        self, page: Float[Tensor, "g g width"], tiles: list[Tensor], grid: tuple[int, int]
    ) -> Float[Tensor, "n width"]:
        """Lays the tiles out as one canvas, ends each row of it and of the global view with a newline, and ends all
        with the separator."""
        rows = [self._rows(page), self.separator[None]]
        if tiles:
            w, h = grid
            canvas = torch.stack(tiles).view(h, w, *tiles[0].shape).transpose(1, 2)  # (h, q, w, q, D)
            rows.insert(0, self._rows(canvas.flatten(2, 3).flatten(0, 1)))
        return torch.cat(rows)

    def _rows(self, canvas: Tensor) -> Tensor:
        """(rows, columns, D) → (rows · (columns + 1), D), with a newline after each row."""
        newline = self.newline.expand(len(canvas), 1, -1)
        return torch.cat([canvas, newline], dim=1).flatten(0, 1)


class CausalFlowEncoder(Encoder):
    """The encoder of DeepSeek-OCR 2, with Qwen2 and its queries after SAM."""

    def __init__(self, sam: SAMConfig, qwen: QwenConfig, width: int) -> None:
        super().__init__(sam, qwen.width, width)
        self.qwen = Qwen(qwen)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b g g width"]:
        """(B, 3, S, S) pixels in [-1, 1], S 768 or 1024 → (B, g, g, width) with g = S/64; the g² vectors are in the
        queries' order."""
        local = self.sam(pixels)
        return self.projector(self.qwen(local)).view(len(local), *local.shape[-2:], -1)

    def arranged(
        self, page: Float[Tensor, "g g width"], tiles: list[Tensor], grid: tuple[int, int]
    ) -> Float[Tensor, "n width"]:
        """Puts the tiles one after another, then the global view, then the separator."""
        return torch.cat([*(tile.flatten(0, 1) for tile in tiles), page.flatten(0, 1), self.separator[None]])
