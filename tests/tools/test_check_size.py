"""tools/check_size.py counts what an install brings, and lets neither it nor the wheel grow unseen."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("check_size", ROOT / "tools/check_size.py")
assert _spec is not None and _spec.loader is not None
check_size = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_size)


def test_byte_code_and_what_an_empty_environment_has_are_not_counted(tmp_path: Path) -> None:
    for name, size in {"a/b.py": 3, "a/deep/c.so": 40, "one.py": 500, "pip/x.py": 6000, "pip-23.2.1.dist-info/R": 7000,
                       "pipes/x": 80_000, "a/__pycache__/b.pyc": 900_000}.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    (tmp_path / "linked.py").symlink_to(tmp_path / "one.py")
    assert check_size.install_size(tmp_path) == 80_543


def test_more_than_five_per_cent_above_what_is_stated_is_a_fault() -> None:
    table = "| the install, bare | 1,000 MB | x |\n| the wheel | 50.5 MB | y |\n| the rest | 1 MB |"
    allowed = check_size.stated(table)
    assert allowed == {"install": 1000, "wheel": 50.5}
    assert check_size.faults({"install": 1_049_000_000, "wheel": 53_000_000}, allowed) == []
    (fault,) = check_size.faults({"install": 1_051_000_000, "wheel": 50_000_000}, allowed)
    assert fault.startswith("the install has 1,051.0 MB")


def test_the_document_states_both() -> None:
    stated = check_size.stated((ROOT / "docs/dependencies.md").read_text("utf-8"))
    assert stated.keys() == {"install", "wheel"} and stated["install"] <= 1450


def test_a_wheel_that_grew_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"")
    with wheel.open("rb+") as file:
        file.truncate(200_000_000)
    monkeypatch.setattr(check_size, "install_size", lambda packages: 1)
    monkeypatch.setattr("sys.argv", ["check_size.py", str(wheel)])
    with pytest.raises(SystemExit, match=r"the wheel has 200\.0 MB"):
        check_size.main()
