"""How servers that have one of the published models want to be asked: the form of the prompt, where the picture stands,
whether special tokens stay in the answer, and how repeated n-grams are banned.

Sources: vLLM's recipes, SGLang's page on DeepSeek-OCR and its template, llama.cpp's pull requests 17400 and 20975, and
Ollama's library. Prompts and bans are those of decoder/prompts.py, so that a server is asked what our own models are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from microfiche.decoder.prompts import BANS, NEVER_BANNED, Kind, ModelName, prompt
from microfiche.endpoint import Endpoint, Served, image_part
from microfiche.errors import UsageError

IMAGE = "<image>"
UNLIMITED = re.compile(r"unlimited[-_ .]?ocr", re.IGNORECASE)
SECOND = re.compile(r"ocr[-_ .]?v?2(?!\d|\.\d)", re.IGNORECASE)  #: and no date, nor the folder of a version
FAMILY = re.compile(rf"deep[-_ ]?seek[-_ .]?ocr|{UNLIMITED.pattern}", re.IGNORECASE)
OCR = re.compile(r"(?<![a-z])ocr(?![a-z])", re.IGNORECASE)
TAGGED = re.compile(r"[^:]+:[\w.-]+")  #: a name at Ollama
HUB = "deepseek-ai/DeepSeek-OCR"  #: what is asked for where a server does not say what it has
#: The most tokens of an answer: what the model's context leaves free beside a page, and for Unlimited-OCR its recipe's.
MAX_TOKENS: Mapping[ModelName, int] = {"deepseek-ocr": 6992, "deepseek-ocr-2": 6992, "unlimited-ocr": 8192}


@dataclass(frozen=True)
class Dialect:
    """One kind of server. `owner` is what its list of models says of itself.

    A server that is `literal` puts the picture where the text says <image>, and otherwise, with a line end, before it.
    One that is not `ordered` writes <image> before the text by itself, wherever the picture stands in the request.
    `special` says whether it takes skip_special_tokens, and `ban` under which key it takes the ban on n-grams.
    """

    name: str
    owner: str
    literal: bool = False
    ordered: bool = True
    special: bool = False
    ban: str | None = None


DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("vllm", "vllm", literal=True, ordered=False, special=True, ban="vllm_xargs"),
        Dialect("sglang", "sglang", ordered=False, special=True, ban="custom_params"),
        Dialect("llama.cpp", "llamacpp", ban="dry"),
        Dialect("ollama", "library"),
    )
}
#: What llama.cpp has in place of a ban on n-grams: the settings with which its authors compared the models.
DRY: Mapping[str, Any] = {
    "dry_multiplier": 0.8,
    "dry_base": 1.75,
    "dry_allowed_length": 2,
    "dry_penalty_last_n": -1,
    "dry_sequence_breakers": ["none"],
}

#: The processor of logits that bans n-grams at SGLang, as its recipe for Unlimited-OCR sends it: a pickle of its name.
PROCESSOR = "csglang.srt.sampling.custom_logit_processor\nDeepseekOCRNoRepeatNGramLogitProcessor\n."


@dataclass(frozen=True)
class Manner:
    """How one server is asked: its `dialect`, the name of the `model` there, and which published model that is."""

    dialect: Dialect
    model: str
    published: ModelName

    def request(
        self, png: bytes, task: str, kind: Kind, max_tokens: int | None = None
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Returns the body of a chat completion that asks for one page, and those of its keys that not every server
        knows. Raises UsageError for a task that the model does not know."""
        words = prompt(task, self.published)
        below = words.startswith(f"{IMAGE}\n")
        inline = self.dialect.literal and not below
        text = {"type": "text", "text": words if inline else words.removeprefix(IMAGE).lstrip("\n")}
        extra: dict[str, Any] = {"skip_special_tokens": False} if self.dialect.special else {}
        n, window = BANS[self.published][kind]
        never = NEVER_BANNED[self.published]
        if self.dialect.ban == "dry":
            extra |= DRY
        elif self.dialect.ban:
            allowed = {"whitelist_token_ids": list(never)} if never else {}
            extra[self.dialect.ban] = {"ngram_size": n, "window_size": window, **allowed}
        if self.dialect.name == "sglang" and self.published == "unlimited-ocr":
            extra["images_config"] = {"image_mode": "gundam"}
            extra["custom_logit_processor"] = json.dumps({"callable": PROCESSOR.encode().hex()})
        picture = image_part(png)
        body = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": max_tokens or MAX_TOKENS[self.published],
            **extra,
            "messages": [
                {"role": "user", "content": [picture, text] if below or self.dialect.ordered else [text, picture]}
            ],
        }
        return body, tuple(extra)


def dialect_named(name: str) -> Dialect:
    """Returns the dialect of that name. Raises UsageError, with the list, if there is none."""
    if name not in DIALECTS:
        raise UsageError(f"no dialect {name!r}; there are {', '.join(DIALECTS)}")
    return DIALECTS[name]


def manner_of(
    server: Endpoint, model: str | None = None, dialect: str | None = None, published: ModelName | None = None
) -> Manner:
    """Finds out how a server is asked, by its list of models: who it is, unless `dialect` says so, and which model it
    has, unless `model` does. Which of the published models that is, its name says or what it was loaded from, unless
    `published` does. A server that gives no list is asked as vLLM is, which most others understand."""
    listed = server.models() if model is None or dialect is None else []
    found = dialect_named(dialect) if dialect else _dialect(listed)
    if model is None:
        ours = [entry.name for entry in listed if FAMILY.search(entry.name) or FAMILY.search(entry.root)]
        names = [entry.name for entry in listed]
        alike = [name for name in names if OCR.search(name)]
        model = next(iter(ours or alike), names[0] if len(names) == 1 else HUB)
    root = next((entry.root for entry in listed if entry.name == model), "")
    return Manner(found, model, published or published_as(root if FAMILY.search(root) else model))


def _dialect(listed: Sequence[Served]) -> Dialect:
    """The dialect of a server by its list of models: by the owner that it names, or by the names, which at Ollama,
    where the owner is whoever uploaded a model, all have a tag."""
    for known in DIALECTS.values():
        if any(entry.owner == known.owner for entry in listed):
            return known
    tagged = bool(listed) and all(TAGGED.fullmatch(entry.name) for entry in listed)
    return DIALECTS["ollama" if tagged else "vllm"]


def published_as(name: str) -> ModelName:
    """Returns which published model a server's name for it means; DeepSeek-OCR for all others."""
    if UNLIMITED.search(name):
        return "unlimited-ocr"
    return "deepseek-ocr-2" if SECOND.search(name) else "deepseek-ocr"
