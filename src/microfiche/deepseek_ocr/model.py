"""DeepSeek-OCR: encoder, decoder and tokenizer as one model that turns images into text. Files are read in
checkpoint.py.

Prompts, arrangement and decoding are those of the published model (deepseek-ai/DeepSeek-OCR). A page is encoded once
and can then be asked any number of questions. A text that loops or does not end is cut, and its reading says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from jaxtyping import Float
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

from microfiche.decoder.generation import IMAGE, Generated, NoRepeat, generate
from microfiche.decoder.moe import MoEConfig, MoEDecoder, Routing
from microfiche.decoder.prompts import prompt as prompt_for
from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.clip import CLIPConfig
from microfiche.deepseek_ocr.encoder import DeepEncoder
from microfiche.deepseek_ocr.sam import SAMConfig
from microfiche.devices import free_memory
from microfiche.errors import UsageError
from microfiche.page import TOKEN_SIDE, UNTRAINED, Checkpoint, Page, Reading, VisionTokens

SECOND_TRY = MappingProxyType(
    {"tiny": "small", "small": "base", "base": "large", "large": "base", "gundam": "large"}
)  #: the mode in which a page is read again if its first reading did not end
ENCODED_AT_ONCE = 8  #: pages that an accelerator encodes at a time; the CPU gains nothing from batches
PAGES_AT_ONCE = 16  #: the most pages that are read together; fewer if their keys and values would not fit


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
class Example:
    """An example for training: the views of a page, the prompt's ids `before` and `after` it, and the ids of the
    `answer`, with its end token."""

    views: views.Views
    before: list[int]
    after: list[int]
    answer: list[int]

    def __len__(self) -> int:
        """The number of positions in the decoder's input: all but the last of the answer, which is only predicted."""
        return len(self.before) + len(self.views) + len(self.after) + len(self.answer) - 1


class DeepSeekOCR(nn.Module):
    """The published model; `tokenizer` is its own, from tokenizer.json."""

    def __init__(self, config: DeepSeekOCRConfig, tokenizer: Tokenizer, checkpoint: Checkpoint = UNTRAINED) -> None:
        super().__init__()
        self.config = config
        self.checkpoint = checkpoint
        self.tokenizer = tokenizer
        self.encoder = DeepEncoder(config.sam, config.clip, config.decoder.width)
        self.decoder = MoEDecoder(config.decoder)

    def forward(self, examples: Sequence[Example]) -> tuple[Float[Tensor, "answered v"], list[Routing]]:
        """Runs the model on examples, for training. Returns (n, V) float32 logits of the n ids of all answers, each
        given the true ones before it, and the routing of each layer for the (B, T) positions of the sequences, which
        are padded on the right to the longest."""
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
        """Returns the ids before the image, including the begin token, and those after it, for a task or, if given, for
        `prompt`. Raises UsageError for an unknown task or a prompt without exactly one <image>."""
        prompt = prompt or prompt_for(task)
        parts = prompt.strip().split("<image>")
        if len(parts) != 2:
            raise UsageError(f"a prompt holds <image> once, this one {len(parts) - 1} times: {prompt!r}")
        before, after = (self.tokenizer.encode(part, add_special_tokens=False).ids for part in parts)
        return [self.config.begin, *before], after

    @torch.inference_mode()
    def encode(self, pages: Sequence[Image.Image | Page], mode: str = "gundam") -> list[VisionTokens]:
        """Returns the vision tokens of each page in a mode. The length of `views.Views` says how many there are, and
        `views.places` which square of which view each stands for.

        Raises UsageError for an unknown mode, and InputError, with the file's name, for a picture that cannot be
        decoded.
        """
        chosen = views.mode(mode)
        at_once = 1 if self.encoder.newline.device.type == "cpu" else ENCODED_AT_ONCE
        tokens: list[VisionTokens] = []
        for first in range(0, len(pages), at_once):
            some = pages[first : first + at_once]
            seen = [views.views(page, chosen) for page in some]
            for page, view, values in zip(some, seen, self.encoder(seen), strict=True):
                width, height = views.size_of(page)
                setting = page.setting if isinstance(page, Page) else None
                tokens.append(
                    VisionTokens(
                        values.cpu(),
                        -(-height // TOKEN_SIDE),
                        -(-width // TOKEN_SIDE),
                        setting,
                        self.checkpoint,
                        views.places(view),
                    )
                )
        return tokens

    def read(
        self,
        tokens: Sequence[VisionTokens],
        task: str = "markdown",
        prompt: str | None = None,
        limit: int | None = None,
        no_repeat: NoRepeat | None = IMAGE,
    ) -> list[Reading]:
        """Reads the tokens of each page with the prompt of a task, or with `prompt`, which must contain `<image>` once.

        `limit` is the most tokens that the text of a page may take; None means all that fit into the context. Raises
        UsageError for an unknown task or a wrong prompt, and CheckpointError for tokens of other weights.
        """
        return [
            Reading(
                self.tokenizer.decode(list(one.tokens), skip_special_tokens=False),
                status=one.status,
                reason="" if one.status == "ok" else one.status,
            )
            for one in self.generate(tokens, task, prompt, limit, no_repeat)
        ]

    @torch.inference_mode()
    def generate(
        self,
        tokens: Sequence[VisionTokens],
        task: str = "markdown",
        prompt: str | None = None,
        limit: int | None = None,
        no_repeat: NoRepeat | None = IMAGE,
    ) -> list[Generated]:
        """Returns what `read` reads of each page as token ids, and how each answer ended."""
        before, after = self.prompt(task, prompt)
        for page in tokens:
            page.check_made_by(self.checkpoint, self.config.decoder.width)
        done: list[Generated] = []
        at_once = self._pages_at_once()
        ids = torch.tensor(before + after, device=self.encoder.newline.device)
        around = self.decoder.embed_tokens(ids).split([len(before), len(after)])
        for first in range(0, len(tokens), at_once):
            some = tokens[first : first + at_once]
            prompts = [torch.cat([around[0], page.values.to(around[0]), around[1]]) for page in some]
            done += generate(self.decoder, prompts, self.config.end, limit, no_repeat)
        return done

    def asking(self, mode: str = "gundam", task: str = "markdown", no_repeat: NoRepeat | None = IMAGE) -> Asking:
        """Returns the model as a Reader with a fixed mode and task. Raises UsageError if either is unknown."""
        views.mode(mode)
        self.prompt(task)
        return Asking(self, mode, task, no_repeat)

    def _pages_at_once(self) -> int:
        """How many pages fit into 4/5 of the free memory, each with a full context (0.5 GB a page in bfloat16)."""
        c, weight = self.config.decoder, self.encoder.newline
        page = 2 * c.layers * c.width * c.context * weight.element_size()
        free = free_memory(weight.device)
        return PAGES_AT_ONCE // 4 if free is None else max(1, min(PAGES_AT_ONCE, free * 4 // 5 // page))


@dataclass(frozen=True)
class Asking:
    """The model with a fixed `mode` and `task`, as a Reader; see `DeepSeekOCR.asking`."""

    model: DeepSeekOCR
    mode: str
    task: str
    no_repeat: NoRepeat | None

    @property
    def checkpoint(self) -> Checkpoint:
        """The name and hash of the model's weights."""
        return self.model.checkpoint

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page."""
        return self.model.encode(pages, self.mode)

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page; the reason of one that is not "ok" names the mode."""
        readings = self.model.read(tokens, self.task, no_repeat=self.no_repeat)
        return [one if one.status == "ok" else replace(one, reason=f"{one.reason} in {self.mode}") for one in readings]
