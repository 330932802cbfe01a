from typing import Any

from microfiche.nano.print import PRINT
from microfiche.weights import stored


def save(model: Any, path: Any) -> None:
    stored.save(PRINT, model, path)


def load_model(path: Any, device: Any = "cpu", dtype: Any = None) -> Any:
    return stored.load(PRINT, path, device, dtype)
