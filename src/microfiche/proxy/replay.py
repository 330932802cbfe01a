"""Recorded requests once more, without a provider: what each setting of the proxy would have saved or cost.

The provider's cache is simulated by its published rules, as for a request's twin, and pictures are counted by the
registry. How many characters are a token is an assumption, since no tokenizer of a vendor is at hand. What a model
would have answered to pages is not known: the answers are taken to be as long as they were.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import struct
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from microfiche.errors import InputError, UsageError
from microfiche.memory.billing import Usage
from microfiche.memory.models import HostedModel
from microfiche.page import Reading, TypesetPage
from microfiche.proxy.account import kept_by, registered
from microfiche.proxy.exchange import Drawer
from microfiche.proxy.protocols import Asked, Block, Route, asked, route
from microfiche.proxy.splice import Body, Replacement, Unreadable, Value, quoted
from microfiche.proxy.transcripts import Recorded
from microfiche.proxy.twin import CHARACTERS, PICTURE, Twins
from microfiche.proxy.verdict import Draw

_SHAPES = {"messages": ("anthropic",), "responses": ("responses", "openai"), "chat": ("openai", "responses"),
           "gemini": ("gemini",)}  # fmt: skip
_HEADER = 64  #: characters of base64 that hold the size of a PNG


Picture = tuple[int, int, str | None]


@dataclass(frozen=True)
class Prompt:
    """A request as it is billed: its route and what it asks, for each block the sizes of its pictures in px, with the
    resolution in which each is to be seen (None where one is no picture that can be opened), the second at which it
    came, and the tokens of its answer."""

    route: Route
    asked: Asked
    pictures: Mapping[int, Sequence[Picture | None]]
    at: float
    output: int = 0
    before: int = 0


@dataclass
class Bill:
    """What a provider charges for prompts, in their order, by the prices of a day (today if None). `dollars` is None
    once input was charged of which no price is known; output of which none is known costs nothing here."""

    model: HostedModel
    characters: float = CHARACTERS
    when: date | None = None
    caches: bool = True
    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    dollars: float | None = 0.0
    pictures: int = 0
    _cache: Twins = field(default_factory=Twins, repr=False)

    def add(self, prompt: Prompt) -> Usage:
        """Charges a prompt."""
        blocks, shift = prompt.asked.blocks, 0
        if prompt.before:
            blocks, shift = (Block(b"before", round(prompt.before * self.characters)), *blocks), 1
        weights = [block.characters / self.characters for block in blocks]
        for at, sizes in prompt.pictures.items():
            weights[at + shift] += sum(PICTURE if size is None else self.model.tokens(*size) for size in sizes)
            self.pictures += len(sizes)
        if self.caches:
            manner = kept_by(prompt.route.dialect, self.model)
            one = Asked(prompt.asked.model, prompt.asked.stream, prompt.asked.session, blocks)
            used = self._cache.charged(one, manner, weights, prompt.at)
        else:
            used = Usage(round(sum(weights)))
        return self.charge(replace(used, output=prompt.output))

    def charge(self, used: Usage) -> Usage:
        """Charges a usage that is known."""
        cost = self.model.cost(used, self.when) or self.model.cost(replace(used, output=0), self.when)
        self.dollars = None if cost is None or self.dollars is None else self.dollars + cost.dollars
        self.requests, self.usage = self.requests + 1, self.usage + used
        return used

    def as_json(self) -> dict[str, Any]:
        """The bill for `--json`."""
        return {"requests": self.requests, "input": self.usage.input, **asdict(self.usage), "pictures": self.pictures,
                "dollars": self.dollars}  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A recorded request, read: its body and what it asks. `noted` is why it was not read, where it was not."""

    recorded: Recorded
    route: Route
    body: Body
    asked: Asked

    def prompt(self) -> Prompt:
        """It as it stands."""
        return _prompt(self, self.body, self.asked)

    def drawn(self, drawer: Drawer) -> tuple[Prompt, tuple[str, ...]]:
        """It as the proxy sends it at its time, and the reasons for what was or was not drawn; as it stands where that
        fails."""
        from microfiche.proxy.drawer import LedgerDrawer

        if isinstance(drawer, LedgerDrawer):
            drawer.now = lambda: self.recorded.at
        try:
            drawing = drawer.draw(self.route, self.body, self.asked)
            if not drawing.replacements:
                return self.prompt(), drawing.reasons
            body = Body.read(self.body.spliced(drawing.replacements))
        except Exception as error:  # as in the relay, whatever fails in drawing, the request goes as it came
            return self.prompt(), (f"not drawn: {type(error).__name__}",)
        said = replace(asked(self.route, body, self.recorded.headers), model=self.asked.model)
        return _prompt(self, body, said), drawing.reasons


def opened(recorded: Recorded, model: str | None = None) -> Opened | None:
    """A recorded request for its own model, or for another of the same dialect; None where it asks for no answer or
    cannot be read."""
    found = route("POST", recorded.path)
    if found is None or found.purpose != "answer":
        return None
    try:
        body = Body.read(recorded.body)
        if model is not None and found.dialect == "gemini":
            found = replace(found, model=model)
        elif model is not None and (named := body.root.at("model")) is not None:
            body = Body.read(body.spliced([Replacement(named.start, named.end, quoted(model))]))
        return Opened(recorded, found, body, asked(found, body, recorded.headers))
    except Unreadable:
        return None


def _prompt(one: Opened, body: Body, said: Asked) -> Prompt:
    ends = sorted((block.end, at) for at, block in enumerate(said.blocks))
    pictures: dict[int, list[Picture | None]] = {}
    for start, data, grade in _pictures(body.root, body.root.words("generationConfig", "mediaResolution")):
        if ends:
            at = ends[min(bisect_right(ends, (start, len(ends))), len(ends) - 1)][1]
            size = size_of(data)
            pictures.setdefault(at, []).append(None if size is None else (*size, grade))
    recorded = one.recorded
    return Prompt(one.route, said, pictures, recorded.at, recorded.output, recorded.before)


def _pictures(value: Value, level: str | None = None) -> Iterator[tuple[int, str, str | None]]:
    """Where each picture stands in a body, its base64, and the resolution in which Gemini is to see it, which is
    `level` where it says none."""
    if value.text is not None and value.text.startswith("data:image/"):
        yield value.start, value.text.partition(",")[2], None
    elif value.members is not None:
        data = value.words("data")
        if data is not None and any(value.at(kind) for kind in ("media_type", "mimeType", "mime_type")):
            yield value.start, data, level.removeprefix("MEDIA_RESOLUTION_").lower() if level else None
        else:
            own = value.words("mediaResolution", "level") or level
            for inner in value.members.values():
                yield from _pictures(inner, own)
    for inner in value.items or ():
        yield from _pictures(inner, level)


def size_of(data: str) -> tuple[int, int] | None:
    """The width and height in px of a picture in base64; None where it cannot be opened."""
    try:
        head = base64.b64decode(data[:_HEADER])
        if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
            width, height = struct.unpack(">II", head[16:24])
            return width, height
        from PIL import Image

        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            return picture.size
    except (binascii.Error, ValueError, OSError):
        return None


@dataclass(frozen=True)
class Replayed:
    """The same requests in several ways: the bill of each, by its name, and how often each reason was given in it."""

    model: str
    dated: str
    sessions: int
    bills: dict[str, Bill]
    reasons: dict[str, dict[str, int]]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"model": self.model, "prices": self.dated, "sessions": self.sessions, "reasons": self.reasons,
                "ways": {name: bill.as_json() for name, bill in self.bills.items()}}  # fmt: skip


def replay(
    every: Iterable[Recorded],
    drawers: Mapping[str, Callable[[], Drawer | None]],
    model: str | None = None,
    characters: float = CHARACTERS,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Replayed]:
    """Replays requests as text without and with a cache, and with each of the `drawers`, which are made anew for it;
    one result a model. `progress` is called with how many requests are drawn, and of how many. InputError where there
    is nothing to replay, UsageError where `model` is of another shape."""
    found = [one for recorded in every if (one := opened(recorded, model)) is not None]
    if not found:
        raise InputError("there is no request in it that asks for an answer")
    if not all(one.asked.model for one in found):
        raise UsageError("the requests name no model; name one with --model")
    results, done = [], 0
    for name in dict.fromkeys(one.asked.model for one in found):
        mine = [one for one in found if one.asked.model == name]
        known = registered(name)
        if model is not None and not known.guess and known.shape not in _SHAPES[mine[0].route.dialect]:
            raise UsageError(f"{model} is not asked in the way that these requests are; name a model of the same maker")
        bills = {"text, never cached": Bill(known, characters, caches=False), "text": Bill(known, characters)}
        reasons: dict[str, dict[str, int]] = {}
        for one in mine:
            for bill in bills.values():
                bill.add(one.prompt())
        for setting, make in drawers.items():
            bill, said = Bill(known, characters), reasons.setdefault(setting, {})
            drawer = make()
            for one in mine:
                prompt, why = (one.prompt(), ()) if drawer is None else one.drawn(drawer)
                bill.add(prompt)
                done += 1
                progress(done, len(found) * len(drawers))
                for reason in why:
                    said[reason] = said.get(reason, 0) + 1
            bills[setting] = bill
        prices = known.prices_at()
        sessions = len({one.asked.session for one in mine})
        results.append(Replayed(name, prices.dated if prices else "", sessions, bills, reasons))
    return results


class Remembered:
    """Nano, which reads no picture twice: each setting and model draws the same pages."""

    def __init__(self) -> None:
        from microfiche.proxy.pages import Proofreader

        self._reader, self._held = Proofreader(), dict[bytes, Reading]()

    def __call__(self, pages: Sequence[TypesetPage]) -> list[Reading]:
        """The readings of pages as they were set."""
        names = [hashlib.sha256(page.image.tobytes() + str(page.setting).encode()).digest() for page in pages]
        new = {name: page for name, page in zip(names, pages, strict=True) if name not in self._held}
        self._held.update(zip(new, self._reader(list(new.values())), strict=True))
        return [self._held[name] for name in names]


def drawers() -> dict[str, Callable[[], Drawer | None]]:
    """What makes the drawer of each setting, with a ledger of its own that is gone with it. They share a reader."""
    from microfiche.proxy.drawer import LedgerDrawer
    from microfiche.proxy.ledger import Ledger

    reader = Remembered()

    def made(draw: Draw) -> Drawer | None:
        if draw == Draw.off:
            return None
        folder = TemporaryDirectory(prefix="microfiche-replay-", ignore_cleanup_errors=True)
        drawer = LedgerDrawer(lambda: Ledger(Path(folder.name) / "ledger", timeout=30), draw, reader)
        weakref.finalize(drawer, folder.cleanup)
        return drawer

    return {draw.value: partial(made, draw) for draw in Draw}
