"""A published model, DeepSeek-OCR, DeepSeek-OCR 2 or Unlimited-OCR: encoder, decoder and tokenizer as one that turns
images into text. Files are read in checkpoint.py.

Prompts, arrangement and decoding are those of the published models. A page is encoded once
and can then be asked any number of questions. A text that loops or does not end is cut, and its reading says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn

from microfiche.decoder.generation import Generated, NoRepeat, generate, published_ban
from microfiche.decoder.moe import MoEDecoder, Routing
from microfiche.decoder.prompts import BANS, TOGETHER, Kind
from microfiche.decoder.prompts import prompt as prompt_for
from microfiche.deepseek_ocr import views
from microfiche.deepseek_ocr.encoder import CausalFlowEncoder, DeepEncoder
from microfiche.deepseek_ocr.family import DeepSeekOCRConfig
from microfiche.deepseek_ocr.qwen import QwenConfig
from microfiche.devices import free_memory
from microfiche.errors import UsageError
from microfiche.page import TOKEN_SIDE, UNTRAINED, Checkpoint, Page, Reading, VisionTokens

ENCODED_AT_ONCE = 8  #: pages that an accelerator encodes at a time; the CPU gains nothing from batches
PAGE = "<PAGE>"  #: stands before each page of an answer to a request of several
PAGE_TOKENS = 2048  #: left free for the text of each page of such a request
PAGES_AT_ONCE = 16  #: the most pages that are read together; fewer if their keys and values would not fit


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
        self.encoder: DeepEncoder | CausalFlowEncoder
        if isinstance(config.second, QwenConfig):
            self.encoder = CausalFlowEncoder(config.sam, config.second, config.decoder.width)
        else:
            self.encoder = DeepEncoder(config.sam, config.second, config.decoder.width)
        self.decoder = MoEDecoder(config.decoder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.checkpoint})"

    def forward(self, examples: Sequence[Example]) -> tuple[Float[Tensor, "answered v"], list[Routing]]:
        """Runs the model on examples, for training. Returns (n, V) float32 logits of the n ids of all answers, each
        given the true ones before it, and the routing of each layer for the (B, T) positions of the sequences, which
        are padded on the right to the longest."""
        routings: list[Routing] = []
        device = self.encoder.separator.device
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
        `prompt`. Raises UsageError for an unknown task or a prompt without exactly one <image> or with characters that
        are none (lone surrogates)."""
        prompt = prompt_for(task, self.config.name) if prompt is None else prompt
        parts = prompt.strip().split("<image>")
        if len(parts) != 2:
            raise UsageError(f"a prompt holds <image> once, this one {len(parts) - 1} times: {prompt!r}")
        if any("\ud800" <= sign <= "\udfff" for sign in prompt):
            raise UsageError(f"a prompt has characters alone, this one has a half of one: {prompt!r}")
        before, after = (self.tokenizer.encode(part, add_special_tokens=False).ids for part in parts)
        return [self.config.begin, *before], after

    @torch.inference_mode()
    def encode(self, pages: Sequence[Image.Image | Page], mode: str = "gundam") -> list[VisionTokens]:
        """Returns the vision tokens of each page in a mode. The length of `views.Views` says how many there are, and
        `views.places` which square of which view each stands for.

        Raises UsageError for an unknown mode, and InputError, with the file's name, for a picture that cannot be
        decoded.
        """
        chosen = views.mode(mode, self.config.resolutions)
        at_once = 1 if self.encoder.separator.device.type == "cpu" else ENCODED_AT_ONCE
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
        no_repeat: NoRepeat | Kind | None = "image",
    ) -> list[Reading]:
        """Reads the tokens of each page with the prompt of a task, or with `prompt`, which must contain `<image>` once.

        The same tokens can be read again with another task or prompt. `limit` is the most tokens that the text of a
        page may take; None means all that fit into the context. `no_repeat` is the ban on repeated n-grams: the one
        that the model was published with for pictures ("image") or for pages of PDFs ("pdf"), one of your own, or none.
        Raises UsageError for an unknown task or a wrong prompt, and CheckpointError for tokens of other weights.
        """
        return [self._reading(one) for one in self.generate(tokens, task, prompt, limit, no_repeat)]

    def generate(
        self,
        tokens: Sequence[VisionTokens],
        task: str = "markdown",
        prompt: str | None = None,
        limit: int | None = None,
        no_repeat: NoRepeat | Kind | None = "image",
    ) -> list[Generated]:
        """Returns what `read` reads of each page as token ids, and how each answer ended."""
        asked = prompt_for(task, self.config.name) if prompt is None else prompt
        if limit is not None and (type(limit) is not int or limit < 0):
            raise UsageError(f"limit is {limit!r}; it is a number of tokens, 0 or more, or None")
        return self._answers([[page] for page in tokens], asked, limit, no_repeat)

    def read_together(
        self, tokens: Sequence[VisionTokens], no_repeat: NoRepeat | Kind | None = "pages"
    ) -> list[Reading]:
        """Reads several pages in one request, which Unlimited-OCR was trained for; returns a Reading for each page.

        `tokens` are the pages' in the mode base. A request takes as many pages as leave PAGE_TOKENS tokens in the
        context for the text of each. If an answer is cut off, the pages behind the cut are asked for again. A page that
        loops, or one that leaves no room for others, is read alone, and so is each page of an answer whose <PAGE> marks
        do not match the pages sent; the reason of such a reading says so. Raises UsageError for another model or mode,
        and CheckpointError for tokens of other weights.
        """
        if "pages" not in BANS[self.config.name]:
            raise UsageError(f"{self.config.name} was not trained to read several pages in one request")
        if any(len(page) != views.vectors(1024, 1024, (0, 0)) for page in tokens):
            raise UsageError("several pages in one request are read in the mode base")
        readings: list[Reading] = []
        while len(readings) < len(tokens):
            rest = tokens[len(readings) :]
            sent = rest[: max(1, self.config.decoder.context // (len(rest[0]) + PAGE_TOKENS))]
            if len(sent) == 1:
                readings += self.read(sent)
                continue
            (answer,) = self._answers([sent], TOGETHER, None, no_repeat)
            texts = self._text(answer).split(PAGE)
            texts = [text.strip("\n") for text in (texts[1:] if not texts[0].strip() else texts)]
            if len(texts) > len(sent) or (answer.status == "ok" and len(texts) != len(sent)):
                why = f"{len(texts)} pages were read of {len(sent)} in one request; read alone"
                readings += [replace(one, reason=_also(why, one)) for one in self.read(sent)]
                continue
            whole = texts if answer.status == "ok" else texts[:-1]
            readings += [Reading(text) for text in whole]
            if answer.status == "looped" or not whole:
                why = f"{answer.status} among {len(sent)} pages in one request; read alone"
                readings += [replace(one, reason=_also(why, one)) for one in self.read(sent[len(whole) :][:1])]
        return readings

    @torch.inference_mode()
    def _answers(
        self,
        requests: Sequence[Sequence[VisionTokens]],
        prompt: str,
        limit: int | None,
        no_repeat: NoRepeat | Kind | None,
    ) -> list[Generated]:
        """Returns the answer to each request, whose pages all stand at the one <image> of the prompt."""
        before, after = self.prompt("", prompt)
        for page in (page for pages in requests for page in pages):
            page.check_made_by(self.checkpoint, self.config.decoder.width)
        ban = published_ban(self.config.name, no_repeat) if isinstance(no_repeat, str) else no_repeat
        ids = torch.tensor(before + after, device=self.encoder.separator.device)
        first, last = self.decoder.embed_tokens(ids).split([len(before), len(after)])
        done: list[Generated] = []
        while len(done) < len(requests):
            some = requests[len(done) :]
            some = some[: self._at_once(max((sum(map(len, pages)) for pages in some), default=0) + len(ids))]
            prompts = [torch.cat([first, *(page.values.to(first) for page in pages), last]) for pages in some]
            done += generate(self.decoder, prompts, self.config.end, limit, ban)
        return done

    def _text(self, answer: Generated) -> str:
        return self.tokenizer.decode(list(answer.tokens), skip_special_tokens=False)

    def _reading(self, answer: Generated) -> Reading:
        return Reading(self._text(answer), status=answer.status, reason="" if answer.status == "ok" else answer.status)

    def asking(
        self,
        mode: str = "gundam",
        task: str = "markdown",
        no_repeat: NoRepeat | Kind | None = "image",
        together: bool = False,
    ) -> Asking:
        """Returns the model as a Reader with a fixed mode and task, which reads pages one by one, or, if `together`,
        several in one request (see `read_together`). Raises UsageError if the mode or the task is unknown, or if the
        model was not trained for several pages."""
        views.mode(mode, self.config.resolutions)
        self.prompt(task)
        if together and "pages" not in BANS[self.config.name]:
            raise UsageError(f"{self.config.name} was not trained to read several pages in one request")
        if together and (mode, task) != ("base", "markdown"):
            raise UsageError("several pages in one request are read in the mode base, by the task markdown")
        return Asking(self, mode, task, no_repeat, together)

    def _at_once(self, prompt: int) -> int:
        """How many requests of a `prompt` of so many tokens fit into 4/5 of the free memory, each with a full context
        (0.5 GB in bfloat16 for DeepSeek-OCR), or with as much of it as the decoder's window keeps."""
        c, weight = self.config.decoder, self.encoder.separator
        kept = c.context if c.window is None else min(c.context, prompt + c.window)
        page = 2 * c.layers * c.width * kept * weight.element_size()
        free = free_memory(weight.device)
        return PAGES_AT_ONCE // 4 if free is None else max(1, min(PAGES_AT_ONCE, free * 4 // 5 // page))


def _also(why: str, reading: Reading) -> str:
    """The reason of a reading, after what came before it."""
    return f"{why}, {reading.reason}" if reading.reason else why


@dataclass(frozen=True)
class Asking:
    """The model with a fixed `mode` and `task`, as a Reader; see `DeepSeekOCR.asking`."""

    model: DeepSeekOCR
    mode: str
    task: str
    no_repeat: NoRepeat | Kind | None
    together: bool = False

    @property
    def checkpoint(self) -> Checkpoint:
        """The name and hash of the model's weights."""
        return self.model.checkpoint

    def encode(self, pages: Sequence[Page]) -> list[VisionTokens]:
        """Returns the vision tokens of each page."""
        return self.model.encode(pages, self.mode)

    def read(self, tokens: Sequence[VisionTokens]) -> list[Reading]:
        """Returns the reading of each page; the reason of one that is not "ok" names the mode."""
        if self.together:
            readings = self.model.read_together(tokens)
        else:
            readings = self.model.read(tokens, self.task, no_repeat=self.no_repeat)
        return [one if one.status == "ok" else replace(one, reason=f"{one.reason} in {self.mode}") for one in readings]
