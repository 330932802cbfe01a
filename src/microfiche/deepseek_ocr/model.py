"""DeepSeek-OCR: encoder, decoder and tokenizer as one model, images in, text out. Files are checkpoints' business.

Prompts, arrangement and decoding are those of the published model (deepseek-ai/DeepSeek-OCR). A page whose text loops
or does not end is cut, read once more in another mode and marked; none is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

from microfiche.decoder.generation import IMAGE, Generated, NoRepeat, Status, generate
from microfiche.decoder.moe import MoEConfig, MoEDecoder, Routing
from microfiche.decoder.prompts import prompt as prompt_for
from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.encoder import DeepEncoder
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.devices import free_memory
from microfiche.errors import UsageError
from microfiche.page import Page

SECOND_TRY = MappingProxyType(
    {"tiny": "small", "small": "base", "base": "large", "large": "base", "gundam": "large"}
)  #: the mode a page is read in again where the first did not come to an end
ENCODED_AT_ONCE = 8  #: pages whose pixels an accelerator is given at a time; the CPU gains nothing from several
PAGES_AT_ONCE = 16  #: that are generated together at most; fewer where their keys and values would not fit


@dataclass(frozen=True)
class DeepSeekOCRConfig:
    """Sizes of the parts and ids of the special tokens; the defaults are the published checkpoint's."""

    sam: SAMConfig = field(default_factory=SAMConfig)
    clip: CLIPConfig = field(default_factory=CLIPConfig)
    decoder: MoEConfig = field(default_factory=MoEConfig)
    begin: int = 0
    end: int = 1
    image: int = 128815


@dataclass(frozen=True)
class Reading:
    """What was read of one image: its `text`, the ids of it in `tokens`, and the `mode` it was read in.

    `status` is "ok", "truncated" (the context or the limit ended it) or "looped" (it repeated itself and was cut
    behind the first occurrence); `reason` says in a line what happened, empty where all went well at once.
    """

    text: str
    status: Status
    reason: str
    mode: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """A page as it is seen, the prompt's ids `before` and `after` it, and the ids of the `answer` with its end."""

    views: views.Views
    before: list[int]
    after: list[int]
    answer: list[int]

    def __len__(self) -> int:
        """Positions that the decoder is given: all but the answer's last, which is only to be foretold."""
        return len(self.before) + len(self.views) + len(self.after) + len(self.answer) - 1


class DeepSeekOCR(nn.Module):
    """The published model; `tokenizer` is its own, of tokenizer.json."""

    def __init__(self, config: DeepSeekOCRConfig, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self.encoder = DeepEncoder(config.sam, config.clip, config.decoder.width)
        self.decoder = MoEDecoder(config.decoder)

    def forward(self, examples: Sequence[Example]) -> tuple[Tensor, list[Routing]]:
        """(n, vocabulary) float32 logits of the n ids of all answers, each after the true ones before it, and where
        each layer sent the (B, T) positions of the sequences, padded on the right to the longest; for training.
        """
        routings: list[Routing] = []
        device = self.encoder.newline.device
        rows, asked = [], []
        for example, page in zip(examples, self.encoder([e.views for e in examples]), strict=True):
            ids = torch.tensor(example.before + example.after + example.answer[:-1], device=device)
            before, after = self.decoder.embed_tokens(ids).split([len(example.before), len(ids) - len(example.before)])
            rows.append(torch.cat([before, page.to(before), after]))
            asked.append(torch.arange(len(example), device=device) >= len(example) - len(example.answer))
        hidden = self.decoder(nn.utils.rnn.pad_sequence(rows, batch_first=True), routings=routings)
        return self.decoder.logits(hidden[nn.utils.rnn.pad_sequence(asked, batch_first=True)]), routings

    def prompt(self, task: str, prompt: str | None = None) -> tuple[list[int], list[int]]:
        """Ids before the image, the first of all included, and after it, of a task or of a `prompt` in its place."""
        prompt = prompt or prompt_for(task)
        parts = prompt.strip().split("<image>")
        if len(parts) != 2:
            raise UsageError(f"a prompt holds <image> once, this one {len(parts) - 1} times: {prompt!r}")
        before, after = (self.tokenizer.encode(part, add_special_tokens=False).ids for part in parts)
        return [self.config.begin, *before], after

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image | Page], mode: str = "gundam") -> list[Tensor]:
        """The (N, 1280) vectors of each image; N is what `views.Views` of it counts.

        Raises UsageError for an unknown mode, InputError, naming the file, for an image that cannot be decoded.
        """
        chosen = views.mode(mode)
        at_once = 1 if self.encoder.newline.device.type == "cpu" else ENCODED_AT_ONCE
        vectors: list[Tensor] = []
        for first in range(0, len(images), at_once):
            vectors += self.encoder([views.views(image, chosen) for image in images[first : first + at_once]])
        return vectors

    def read(
        self,
        images: Sequence[Image.Image | Page],
        mode: str = "gundam",
        task: str = "markdown",
        prompt: str | None = None,
        limit: int | None = None,
        no_repeat: NoRepeat | None = IMAGE,
        again: bool = True,
    ) -> list[Reading]:
        """The reading of each image, in order.

        `prompt` takes the place of the task's; it holds `<image>` once. `limit` is the most tokens a page may
        become, None for all that the context holds. `again` reads a page that looped or was truncated once more in
        another mode. Raises UsageError for an unknown mode or task or a prompt without its `<image>`, InputError for
        an image that cannot be decoded.
        """
        before, after = self.prompt(task, prompt)
        views.mode(mode)
        readings = [self._reading(one, mode) for one in self._generate(images, mode, before, after, limit, no_repeat)]
        failed = [i for i, reading in enumerate(readings) if reading.status != "ok"]
        if not (failed and again):
            return readings
        other = SECOND_TRY[mode]
        seconds = self._generate([images[i] for i in failed], other, before, after, limit, no_repeat)
        for i, generated in zip(failed, seconds, strict=True):
            first, second = readings[i], self._reading(generated, other)
            if second.status == "ok":
                readings[i] = replace(second, reason=f"{first.status} in {mode}, read again in {other}")
            else:
                readings[i] = replace(first, reason=f"{first.status} in {mode}, {second.status} in {other} as well")
        return readings

    def _reading(self, generated: Generated, mode: str) -> Reading:
        text = self.tokenizer.decode(list(generated.tokens), skip_special_tokens=False)
        reason = "" if generated.status == "ok" else f"{generated.status} in {mode}"
        return Reading(text, generated.status, reason, mode, generated.tokens)

    def _generate(
        self,
        images: Sequence[Image.Image | Page],
        mode: str,
        before: list[int],
        after: list[int],
        limit: int | None,
        no_repeat: NoRepeat | None,
    ) -> list[Generated]:
        done: list[Generated] = []
        at_once = self._pages_at_once()
        for first in range(0, len(images), at_once):
            vectors = self.encode(images[first : first + at_once], mode)
            with torch.inference_mode():
                ids = torch.tensor(before + after, device=vectors[0].device)
                around = self.decoder.embed_tokens(ids).split([len(before), len(after)])
                prompts = [torch.cat([around[0], page, around[1]]) for page in vectors]
            done += generate(self.decoder, prompts, self.config.end, limit, no_repeat)
        return done

    def _pages_at_once(self) -> int:
        """As many as 4/5 of the free memory hold with a full context each (0.5 GB a page in bfloat16)."""
        c, weight = self.config.decoder, self.encoder.newline
        page = 2 * c.layers * c.width * c.context * weight.element_size()
        free = free_memory(weight.device)
        return PAGES_AT_ONCE // 4 if free is None else max(1, min(PAGES_AT_ONCE, free * 4 // 5 // page))
