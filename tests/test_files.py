"""Walking folders that are not as one hopes, unpacking what may be anything, and writing files whole."""

from __future__ import annotations

import io
import lzma
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microfiche import files
from microfiche.documents.opening import documents_in
from microfiche.errors import InputError
from microfiche.files import NO_FILE, OUTSIDE, files_below, plain, unpacked_xz, whole_file
from microfiche.limits import Limits
from microfiche.sources import sources


def found(folder: Path, **options: object) -> dict[str, str]:
    return {str(one.path.relative_to(folder)): one.left_out for one in files_below(folder, **options)}  # type: ignore[arg-type]


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder of 3,000 levels, the innermost beyond any path that can be named, with a file at levels 0 and 1,500."""
    top = tmp_path / "deep"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for level in range(3000):
        if level in (0, 1500):
            os.close(os.open(f"{level}.txt", os.O_CREAT, dir_fd=at))
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    yield top
    subprocess.run(["rm", "-rf", top], check=True)


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "c/x/y", "b.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert list(found(tmp_path)) == ["a", "b/1", "b/2", "b.txt", "c/x/y"]
    assert list(found(tmp_path, passed_over=lambda path, is_folder: path.name == "b" and is_folder)) == [
        "a", "b.txt", "c/x/y",
    ]


def test_links_are_followed_to_files_in_the_folder_only(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    for folder in (home / "in", away, tmp_path / "home-too"):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("x")
    targets = {
        "file": "in/a.txt", "up": "..", "self": "self", "nothing": "none", "here": ".", "folder": "in",
        "away": away, "away.txt": away / "a.txt", "twin.txt": "../home-too/a.txt", "round": "in/../../home/in/a.txt",
        "in/back": home, "one": "two", "two": "one", "chain": "away",
    }  # fmt: skip
    for name, target in targets.items():
        (home / name).symlink_to(target)
    loop = "a link that leads to itself"
    assert found(home) == {
        "in/a.txt": "", "file": "", "round": "", "up": OUTSIDE, "away": OUTSIDE, "away.txt": OUTSIDE,
        "twin.txt": OUTSIDE, "chain": OUTSIDE, "self": loop, "one": loop, "two": loop,
        "nothing": "No such file or directory",
    }  # fmt: skip
    (tmp_path / "link").symlink_to(home)
    assert found(tmp_path / "link") == found(home), "a folder may be named by a link"


def test_pipes_sockets_and_devices_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    os.mkfifo("pipe.txt")
    Path("zero.txt").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.txt")
        assert found(tmp_path) == {"pipe.txt": NO_FILE, "socket.txt": NO_FILE, "zero.txt": OUTSIDE}


def test_a_folder_of_thousands_of_levels(deep: Path) -> None:
    taken = found(deep)
    (too_deep,) = (name for name, why in taken.items() if why)
    assert taken.pop(too_deep) == "File name too long"
    assert {Path(name).name for name in taken} == {"0.txt", "1500.txt"}


def test_what_is_too_deep_is_left_out_of_texts_and_documents_in_one_short_line(deep: Path) -> None:
    said: list[str] = []
    assert [Path(source.name).name for source in sources([str(deep)], say=said.append)] == ["0.txt", "1500.txt"]
    (given,) = documents_in([str(deep)], Limits())
    for told in (*said, f"{given.name}: {given.error}"):
        assert "File name too long" in told and "left out" in told and len(told) < 400
    assert len(said) == 1


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    for name in ("a", "none"):
        with pytest.raises(InputError, match=f"{name}: N"):
            found(tmp_path / name)


def test_names_that_are_no_utf_8_are_found_and_can_be_shown(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.txt", os.O_CREAT))
    (name,) = found(tmp_path)
    assert plain(name) == r"caf\udce9.txt"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(0, 8), st.integers(1, 64))
def test_what_is_packed_in_one_stream_or_several_comes_back(streams: list[bytes], padding: int, piece: int) -> None:
    packed = (b"\0" * 4 * padding).join(map(lzma.compress, streams)) + b"\0" * 4 * padding
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "PIECE", piece)
        pieces = list(unpacked_xz("it", io.BytesIO(packed), len(packed), 1000))
    assert b"".join(pieces) == b"".join(streams)
    assert all(len(one) <= piece for one in pieces)


@given(st.binary(max_size=200), st.data())
def test_a_damaged_xz_is_told_in_one_line(text: bytes, data: st.DataObject) -> None:
    packed = bytearray(lzma.compress(text))
    at = data.draw(st.integers(0, len(packed) - 1))
    if data.draw(st.booleans()):
        packed[at] ^= data.draw(st.integers(1, 255))
    else:
        del packed[at:]
    with pytest.raises(InputError, match=r"^it: not a whole \.xz file \(.*\)$"):
        list(unpacked_xz("it", io.BytesIO(packed), len(packed), 1000))


def test_a_small_file_that_unpacks_to_very_much_is_left_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FREE", 1000)
    for data in (bytes(3_000_000), b"words " * 500_000):
        packed = lzma.compress(data)
        unpacked = 0
        said = rf"^it: unpacks to over {20 * len(packed):,} bytes; the limit ratio is 20$"
        with pytest.raises(InputError, match=said):
            for piece in unpacked_xz("it", io.BytesIO(packed), len(packed), 20):
                unpacked += len(piece)
        assert unpacked <= 20 * len(packed)
    hungry = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}])
    with pytest.raises(InputError, match="Memory usage limit"):
        list(unpacked_xz("it", io.BytesIO(hungry), len(hungry), 1000))


@pytest.mark.parametrize("name", ["a", "a" * 255, "é" * 127, "\udce9", "[*]", ".part"])
def test_a_file_of_any_name_is_written_whole_or_not_at_all(tmp_path: Path, name: str) -> None:
    with whole_file(tmp_path / name) as beside:
        beside.write_text("new")
    with pytest.raises(ZeroDivisionError), whole_file(tmp_path / name) as beside:
        beside.write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "new"


def test_devices_pipes_and_folders_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "folder", "null"):
        said = f"{name}: cannot be written: it is not a regular file"
        with pytest.raises(InputError, match=said), whole_file(tmp_path / name):
            pytest.fail("begun")
    for name in ("none/../pipe", "none/x/../../null", "folder/../pipe"):  # a folder that is not there hides nothing
        with pytest.raises(InputError, match="it is not a regular file"), whole_file(tmp_path / name):
            pytest.fail("begun")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "null", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to("file")
    with whole_file(link) as beside:
        beside.write_text("new")
    assert link.is_symlink() and file.read_text() == "new" and file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_what_others_left_beside_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".a.99999999999999999999.part").touch()
    with whole_file(tmp_path / "a") as beside:
        beside.write_text("new")
    assert (tmp_path / "a").read_text() == "new"
    with pytest.raises(InputError, match="a/b: cannot be written"), whole_file(tmp_path / "a/b") as beside:
        beside.write_text("new")
