from typing import Any

from microfiche.nano.prompted import READER, load_prompted
from microfiche.weights import stored


def save(model: Any, encoder: Any, path: Any) -> None:
    stored.save(READER, model, path, encoder)


load = load_prompted
