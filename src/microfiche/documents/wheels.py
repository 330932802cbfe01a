"""Models that come in the wheels of other packages, which run them by ONNX Runtime: from the wheel, or not at all."""

from __future__ import annotations

import logging
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NoReturn

from microfiche.errors import InputError


def from_wheel(package: str, name: str, **options: Any) -> Any:
    """`package.name(**options)`, a model, in silence.

    InputError if the package cannot be imported, or if its wheel lacks the model, which it would download.
    """
    try:
        made = getattr(import_module(package), name)
        fetching = import_module(f"{package}.utils.download_file")
    except ImportError as error:
        raise InputError(f"{package} cannot start ({error}); on a machine without libGL.so.1, "
                         "pip install --force-reinstall opencv-python-headless") from error

    def refuse(url: str, **_: Any) -> NoReturn:
        raise InputError(f"{package}: {url.rsplit('/', 1)[-1]} is missing or damaged, and nothing is downloaded; "
                         f"pip install --force-reinstall {package}")

    fetching.requests = SimpleNamespace(get=refuse, RequestException=())  # type: ignore[attr-defined]
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # it tells where its models lie, on loggers that it makes as it starts
    try:
        return made(**options)
    finally:
        logging.disable(before)
