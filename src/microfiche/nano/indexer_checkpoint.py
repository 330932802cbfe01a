from typing import Any

import torch

from microfiche.nano.indexer import INDEX
from microfiche.weights import stored


def save(model: Any, encoder: Any, path: Any) -> None:
    stored.save(INDEX, model, path, encoder)


def load(path: Any, encoder: Any) -> Any:
    return stored.load(INDEX, path or "nano-index", "cpu", torch.float32, encoder)
