"""The engines that a process of the server reads with, each loaded once, and how many vision tokens they have made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from microfiche.documents.engines import NANO, EndpointEngine, Engine, Engines, ReaderEngine, deepseek_engine, engines
from microfiche.documents.sheet import Sheet
from microfiche.endpoint import Endpoint
from microfiche.errors import UsageError
from microfiche.serving.settings import Scans, engine_names

SURE = 0.995  #: confidence of a line that the page does not shade


class ReadersAtHand:
    """Makes engines by their names, and keeps what they load. `engine` reads where a request names none."""

    def __init__(self, engine: str | None, scans: dict[str, Any]) -> None:
        self.engine, self.scans = engine, Scans(**scans)
        self.vision_tokens = 0
        self.unsure: dict[int, list[dict[str, Any]]] = {}  #: the lines of each page that are not surely right
        self._loaded: dict[str, Engine] = {}

    def warm(self) -> None:
        """Loads what reads scans, so that the first page does not wait for it."""
        if self.scans.endpoint:
            return
        blank = Image.new("RGB", (64, 64), "white")
        self.engines(None).pictures.read([Sheet(1, blank)])

    def engines(self, name: str | None, task: str = "markdown") -> Engines:
        """The engines to read with, by what a request names; UsageError for another name, or for a task of the
        published models where none is at hand."""
        asked = name or self.engine
        if asked is not None and asked not in engine_names(self.engine, self.scans):
            raise UsageError(f"no engine {asked!r} here; there are {', '.join(engine_names(self.engine, self.scans))}")
        found = self._found(asked, self._scans(task), task)
        if hasattr(found.pictures, "heard"):
            found.pictures.heard = self._hear
        return found

    def _hear(self, page: int, lines: list[tuple[Any, float, str]]) -> None:
        self.unsure[page] = [{"box": box, "confidence": round(sure, 4), "text": text} for box, sure, text in lines
                             if sure < SURE]  # fmt: skip

    def _found(self, asked: str | None, pictures: Engine | None, task: str) -> Engines:
        if task != "markdown" and (pictures is None or asked not in (None, pictures.name)):
            raise UsageError(f"the task {task!r} needs a model that knows it, which this server was started without")
        if pictures is not None and (asked == pictures.name or task != "markdown"):
            return Engines(pictures, None, forced=True)
        if asked in (None, "text"):
            return engines(asked, pictures)
        return Engines(self._ours(asked), None, forced=True)

    def _ours(self, name: str) -> Engine:
        if name not in self._loaded:
            engine = engines(name).pictures
            if isinstance(engine, ReaderEngine):
                self._count(engine.reader)
            elif name in NANO:
                self._count(engine.model)  # type: ignore[attr-defined]  # a NanoEngine
            self._loaded[name] = engine
        return self._loaded[name]

    def _scans(self, task: str) -> Engine | None:
        given = self.scans
        if given.endpoint:
            return _Metered(given.endpoint, given.model, given.key, task, owner=self)
        return deepseek_engine(self._model, given.mode, task) if given.weights else None

    @cached_property
    def _model(self) -> Any:
        from microfiche.devices import fast_dtype
        from microfiche.readers import load

        model = load(None, self.scans.device, fast_dtype(self.scans.device), path=self.scans.weights)
        self._count(model)
        return model

    def _count(self, reader: Any) -> None:
        """Lets `reader` count the tokens that it makes, of every page and every try."""
        encode = reader.encode

        def counted(*given: Any, **named: Any) -> Any:
            tokens = encode(*given, **named)
            self.vision_tokens += sum(map(len, tokens))
            return tokens

        object.__setattr__(reader, "encode", counted)


@dataclass(frozen=True)
class _Metered(EndpointEngine):
    """An endpoint whose answers say how many tokens a page took there."""

    owner: ReadersAtHand | None = None

    @property
    def _server(self) -> Endpoint:
        return _MeteredEndpoint(self.url, self.key, self.timeout, self.tries, self.pause, owner=self.owner)


@dataclass(frozen=True)
class _MeteredEndpoint(Endpoint):
    owner: ReadersAtHand | None = None

    def answer(self, body: dict[str, Any], optional: Any = ()) -> bytes:
        """The whole answer; the tokens of its prompt are counted."""
        answer = super().answer(body, optional)
        try:
            usage = json.loads(answer).get("usage") or {}
            tokens = usage.get("prompt_tokens", 0)
        except (ValueError, AttributeError):
            return answer
        if self.owner is not None and isinstance(tokens, int):
            self.owner.vision_tokens += tokens
        return answer
