from typing import Any

from microfiche import readers
from microfiche.nano.cells import NANO, Nano
from microfiche.nano.first_print import NANO_PRINT
from microfiche.weights import stored


def save(model: Any, path: Any) -> None:
    stored.save(NANO if isinstance(model, Nano) else NANO_PRINT, model, path)


def load(kind: Any, name_or_path: Any = None, device: str = "cpu", dtype: Any = None) -> Any:
    which: Any = NANO if kind is Nano else NANO_PRINT
    return stored.load(which, name_or_path or ("nano" if kind is Nano else "nano-print"), device, dtype)


def load_either(name_or_path: Any, device: str = "cpu", dtype: Any = None) -> Any:
    return readers.load(str(name_or_path), device, dtype)
