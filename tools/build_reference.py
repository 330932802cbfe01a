"""Builds the reference of the library from its docstrings, as pages of HTML: the public names, then room by room.

    pip install 'microfiche[reference]'
    python tools/build_reference.py FOLDER

It fails where a public name or a room cannot be documented.
"""

from __future__ import annotations

import argparse
import warnings
from importlib import import_module
from pathlib import Path

import pdoc

import microfiche

ROOMS = (
    "page", "typesetting", "weights", "decoder", "nano", "deepseek_ocr", "readers", "fiche", "codec", "documents",
    "memory", "proxy", "serving", "cluster", "pixel", "training", "evaluation", "errors", "limits",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for module in (microfiche, *(import_module(f"microfiche.{room}") for room in ROOMS)):
        for name in getattr(module, "__all__", ()):  # which are imported when they are first used
            setattr(module, name, getattr(module, name))
    warnings.filterwarnings("error", "Found .* in .*__all__")
    pdoc.render.configure(docformat="markdown", footer_text=f"Microfiche {microfiche.__version__}")
    pdoc.pdoc("microfiche", *(f"microfiche.{room}" for room in ROOMS), output_directory=folder)
    page = (folder / "microfiche.html").read_text("utf-8")
    if missing := [name for name in microfiche.__all__ if f'id="{name}"' not in page]:
        raise SystemExit(f"not in the reference: {', '.join(missing)}")
    print(f"{folder / 'index.html'}: {len(list(folder.rglob('*.html')))} pages")


if __name__ == "__main__":
    main()
