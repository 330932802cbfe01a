"""Says how large the install and the wheel are, and fails if either is more than 5 % above what docs/dependencies.md
says of it.

    python -m pip wheel --no-deps -w WHEELS . && python tools/check_size.py WHEELS/*.whl

The install is what lies in the running Python's site-packages, without pip, which an environment has before; run it
where nothing but Microfiche was installed. Sizes are those of the files' content, without byte code, of which there may
be any share of what there is to compile.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

TABLE = Path(__file__).parent.parent / "docs/dependencies.md"
MORE = 1.05
BEFORE = re.compile(r"pip(-[\d.]+\.dist-info)?$")


def install_size(packages: Path) -> int:
    """The bytes of all files below a site-packages folder, but for byte code and what an empty environment has."""
    tops = (top for top in packages.iterdir() if not BEFORE.match(top.name))
    files = (file for top in tops for file in ((top,) if top.is_file() else top.rglob("*")))
    files = (file for file in files if "__pycache__" not in file.parts and file.is_file() and not file.is_symlink())
    return sum(file.lstat().st_size for file in files)


def stated(document: str) -> dict[str, float]:
    """The megabytes (of 10⁶ bytes) that the rows "the install" and "the wheel" of a table say."""
    rows = re.findall(r"^\| the (install|wheel)\b[^|]*\| ([\d,.]+) MB \|", document, re.MULTILINE)
    return {name: float(size.replace(",", "")) for name, size in rows}


def faults(sizes: dict[str, int], allowed: dict[str, float]) -> list[str]:
    """What is larger than it is allowed to be, in words."""
    return [
        f"the {name} has {size / 1e6:,.1f} MB, more than 5 % above the {allowed[name]:,.1f} MB of {TABLE.name}"
        for name, size in sizes.items() if size > MORE * 1e6 * allowed[name]
    ]  # fmt: skip


def main() -> None:
    sizes = {"install": install_size(Path(sysconfig.get_path("purelib")))}
    if len(sys.argv) > 1:
        sizes["wheel"] = Path(sys.argv[1]).stat().st_size
    for name, size in sizes.items():
        print(f"the {name}: {size / 1e6:,.1f} MB")
    if found := faults(sizes, stated(TABLE.read_text("utf-8"))):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
