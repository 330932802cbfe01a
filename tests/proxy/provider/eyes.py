"""A model that answers by what it was sent: text as it stands, pages as nano reads their pictures, and on top of that
the errors that were published of real models. What it does not find as exact text, it looks up if it can, or guesses.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from microfiche.memory.exact import kind_of
from microfiche.page import Page, Setting
from microfiche.readers import load
from provider.cache import picture_in

ALIKE = str.maketrans("0O1lI5S8B6G9gaceonmuvHK3", "O0lI1S5B8G6g9eoeamnvuKH8")  # what is taken for what
_STANDS = re.compile(r"([^\s,]) stands for (a tab|\S+?)[,\]]")


@dataclass
class Seen:
    """What stands in a request: all of its `text`, and what the `pages` say, as they were read."""

    text: str = ""
    pages: list[str] = field(default_factory=list)


class Eyes:
    """Reads requests. `density` and `layout` are those of the pages; no picture is read twice."""

    def __init__(self, density: str = "5x8", layout: Any = "dense") -> None:
        self.nano, self.setting = load("nano"), Setting(density, layout)
        self._held: dict[bytes, str] = {}
        self._stands: dict[str, dict[int, str]] = {}
        self.pictures = 0

    def seen(self, parts: Iterable[Any]) -> Seen:
        """What stands in parts of a request, in their order."""
        found, texts = Seen(), list[str]()
        self._look(list(parts), texts, found.pages)
        found.text = "\n".join(texts)
        return found

    def _look(self, value: Any, texts: list[str], pages: list[str]) -> None:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, dict):
            png = picture_in(value)
            if png is not None:
                pages.append(self._translated(self.read(png), texts[-1] if texts else ""))
                return
            for key, inner in value.items():
                if key not in ("signature", "encrypted_content", "type", "id", "tool_use_id", "name", "role"):
                    self._look(inner, texts, pages)
        elif isinstance(value, list):
            for inner in value:
                self._look(inner, texts, pages)

    def read(self, png: bytes) -> str:
        """What nano reads of a picture, with white paper around it up to whole squares of 64 px."""
        name = hashlib.sha256(png).digest()
        if name not in self._held:
            self.pictures += 1
            with Image.open(io.BytesIO(png)) as opened:
                image = np.asarray(opened.convert("L"))
            height, width = image.shape
            padded = np.pad(image, ((0, -height % 64), (0, -width % 64)), constant_values=255)
            (reading,) = self.nano.read(self.nano.encode([Page(padded, self.setting)]))  # type: ignore[attr-defined]
            self._held[name] = reading.text
        return self._held[name]

    def _translated(self, text: str, caption: str) -> str:
        """A reading with what the caption of the first page of its block says that other characters stand for."""
        line = caption.rpartition("[page ")[2].partition("\n")[0]
        found = {ord(a): "\t" if b == "a tab" else b for a, b in _STANDS.findall(line)}
        return text.translate(self._stands.setdefault(line.partition("-")[0], found))


@dataclass
class Model:
    """Answers questions about what it has seen. `rates` are the shares of strings of each kind that it reads right, and
    `look` gives the exact line for some words, where it may look things up."""

    rates: dict[str, float] = field(default_factory=dict)
    look: Callable[[str], str | None] | None = None
    looked: int = 0

    def exact(self, seen: Seen, label: str, pattern: str) -> tuple[str | None, str | None]:
        """The string that fits a `pattern` after a label where it stands as exact text, or else what a page says."""
        wanted = re.compile(re.escape(label) + r"[^\n]*?(" + pattern + ")")
        if (found := wanted.search(seen.text)) is not None:
            return found[1], None
        on_page = next((m[1] for page in seen.pages if (m := wanted.search(page)) is not None), None)
        said = None if on_page is None else self._misread(on_page)
        if said is not None and re.search(r"(?<![\w.])" + re.escape(said) + r"(?![\w])", seen.text):
            return said, None  # it stands beside its page, exactly
        return None, said

    def value(self, seen: Seen, label: str, pattern: str) -> str | None:
        """The string that fits a `pattern` after a label. Where it stands on a page alone, it is looked up, or guessed
        where nothing can be looked up."""
        exact, guess = self.exact(seen, label, pattern)
        if exact is not None or self.look is None:
            return exact or guess
        self.looked += 1
        found = re.search(re.escape(label) + r"[^\n]*?(" + pattern + ")", self.look(label) or "")
        return None if found is None else found[1]

    def following(self, seen: Seen, words: str) -> str | None:
        """The word after some words, for which nothing is looked up; where the line stands beside its page, by that, as
        the banner says."""
        wanted = re.compile(r"\s+".join(map(re.escape, words.split())) + r"\s+(\S+)")
        if (exact := wanted.search(seen.text)) is not None:
            return exact[1]
        for text in seen.pages:
            if (found := wanted.search(text)) is not None:
                return self._misread(found[1])
        return None

    def _misread(self, string: str) -> str:
        rate = self.rates.get(kind_of(string)[0], 1.0)
        rng = random.Random(f"misread {string}")
        if rng.random() < rate:
            return string
        at = rng.randrange(len(string))
        other = string[at].translate(ALIKE)
        return string[:at] + (other if other != string[at] else rng.choice("aeos0137")) + string[at + 1 :]


def published(model: str) -> dict[str, float]:
    """The shares that were published of a model; of names, numbers and paths none was, and they are taken to be read as
    hexadecimal digits are."""
    stored = tomllib.loads((files("microfiche.proxy") / "published.toml").read_text("utf-8"))["models"][model]
    exact = stored["hex"][0] / stored["hex"][1]
    prose = stored["gist"][0] / stored["gist"][1]
    return {"prose": prose, **dict.fromkeys(("hex", "identifiers", "numbers", "paths"), exact)}
