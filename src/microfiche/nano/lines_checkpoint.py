from typing import Any

from microfiche.nano.cells import line_decoder
from microfiche.nano.lines import LINES
from microfiche.weights import stored


def save(model: Any, encoder: Any, path: Any) -> None:
    stored.save(LINES, model, path, encoder)


def load(nano: Any, path: Any = None) -> Any:
    return line_decoder(nano, path or "nano-lines")
