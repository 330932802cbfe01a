"""What .gitignore leaves out of a folder, as git does; and what no folder that is remembered may hang or end by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from microfiche.errors import InputError
from microfiche.memory import Memory
from microfiche.memory.intake import files_in


def made(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def taken(folder: Path) -> set[str]:
    return {str(found.path.relative_to(folder.resolve())) for found in files_in(folder)} - {".gitignore"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repo/.git").mkdir(parents=True)
    return made(tmp_path, {
        ".gitignore": "a.txt\n", "repo/.gitignore": "*.secret\npkg/gen/\n/a.md\n", "repo/pkg/.gitignore": "!my.secret",
        "repo/pkg/a.txt": "x", "repo/pkg/a.md": "x", "repo/pkg/k.secret": "x", "repo/pkg/my.secret": "x",
        "repo/pkg/gen/g.txt": "x", "repo/pkg/gen/in/g.secret": "x", "repo/pkg/in/gen/g.txt": "x", "repo/a.md": "x",
    }) / "repo"  # fmt: skip


def test_gitignore_files_count_up_to_the_root_of_the_repository(repository: Path) -> None:
    package = {"a.txt", "a.md", "my.secret", "in/gen/g.txt"}
    assert taken(repository) == {f"pkg/{name}" for name in package} | {"pkg/.gitignore"}
    assert taken(repository / "pkg") == package
    assert taken(repository / "pkg/in") == {"gen/g.txt"}
    (repository / "pkg/link").symlink_to(repository / "pkg")
    assert taken(repository / "pkg/link") == package, "where it lies, not how it is named"


def test_above_it_or_without_a_repository_they_do_not(repository: Path) -> None:
    (repository / ".git").rmdir()
    assert "k.secret" in taken(repository / "pkg")
    (repository / "pkg/.git").write_text("gitdir: elsewhere")  # as in a worktree or a submodule
    assert "gen/g.txt" in taken(repository / "pkg")


def test_a_folder_that_is_left_out_can_be_asked_for_by_its_name(repository: Path) -> None:
    assert taken(repository / "pkg/gen") == {"g.txt", "in/g.secret"}
    assert taken(repository / "pkg/gen/in") == {"g.secret"}


@pytest.mark.parametrize(
    ("ignored", "left"),
    [
        ("\ufeffa\r\nb/\r\n", {"b", "c/d"}),
        ("!\n\\\na\n", {"b", "c/d"}),  # a line that is no pattern is none, and the others count
        ("a\u2028b\nc", {"a", "b"}),  # a line ends where git ends it
        ("*\n!*/\n!d", {"c/d"}),
        ("d\n!c/", {"a", "b"}),  # a folder that is taken again is not all that lies in it
        ("*\n!b", {"b"}),
    ],
)  # fmt: skip
def test_patterns_as_git_takes_them(tmp_path: Path, ignored: str, left: set[str]) -> None:
    assert taken(made(tmp_path, {"a": "x", "b": "x", "c/d": "x", ".gitignore": ignored})) == left


def test_a_pattern_of_a_folder_that_is_taken_again_does_not_speak_of_what_lies_in_it(tmp_path: Path) -> None:
    files = {".gitignore": "*.log", "c/.gitignore": "!/gen/", "c/gen/a": "x", "c/gen/b.log": "x"}
    assert taken(made(tmp_path, files)) == {"c/.gitignore", "c/gen/a"}


def test_names_that_are_no_utf_8_are_left_out_by_theirs(tmp_path: Path) -> None:
    for name in (b"/caf\xe9.txt", b"/th\xe9.txt"):
        os.close(os.open(os.fsencode(tmp_path) + name, os.O_CREAT))
    assert taken(made(tmp_path, {".gitignore": b"caf\xe9.txt\n"})) == {"th\udce9.txt"}


def test_a_gitignore_that_is_a_pipe_or_a_link_does_not_count(tmp_path: Path) -> None:
    made(tmp_path, {"a": "x", "in/a": "x", "rules": "a"})
    os.mkfifo(tmp_path / ".gitignore")
    (tmp_path / "in/.gitignore").symlink_to("../rules")
    assert taken(tmp_path) == {"a", "in/a", "rules"}


def test_a_pipe_among_files_or_by_its_name_is_told(memory: Memory, tmp_path: Path) -> None:
    made(tmp_path / "in", {"a.txt": "words"})
    os.mkfifo(tmp_path / "in/b.txt")
    assert memory.add(tmp_path / "in").left_out == [(str(tmp_path / "in/b.txt"), "neither file nor folder")]
    for path in (tmp_path / "in/b.txt", Path("/dev/zero")):
        with pytest.raises(InputError, match=f"{path}: neither file nor folder"):
            memory.add(path)


def test_a_text_whose_name_is_no_utf_8_is_remembered(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    name = os.fsdecode(os.fsencode(tmp_path) + b"/in/caf\xe9.txt")
    Path(name).write_text("some words")
    assert memory.add(tmp_path / "in").new == 1
    assert memory.add(Path(name)).unchanged == 1
    assert memory.search("words")[0].source.endswith(r"caf\udce9.txt")
