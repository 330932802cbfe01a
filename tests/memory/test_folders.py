"""Folders as git sees them, and what looks like a secret in them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from microfiche.errors import InputError
from microfiche.memory import Memory
from microfiche.memory.folders import files_in


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with no settings of git."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)
    return home


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


def test_folders_of_any_depth_are_taken_again(tmp_path: Path) -> None:
    files = {"x/y/.hid/f": "x", "x/y/z/f": "x", "x/.hid": "x", ".gitignore": ".h*\n!*/\nz\n"}
    assert taken(made(tmp_path, files)) == {"x/y/.hid/f"}
    assert taken(made(tmp_path, {".gitignore": "x\n!**/\n"})) == {"x/y/.hid/f", "x/y/z/f", "x/.hid"}


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




def test_the_case_of_a_folder_in_a_repository(memory: Memory, tmp_path: Path) -> None:
    files = {"repo/.gitignore": "*.private\npkg/gen/\n", "repo/pkg/a.txt": "a", "repo/pkg/k.private": "k",
             "repo/pkg/gen/g.txt": "g"}  # fmt: skip
    (made(tmp_path, files) / "repo/.git").mkdir()
    memory.add(tmp_path / "repo/pkg")
    assert memory.names() == [(str(tmp_path / "repo/pkg/a.txt"), "file")]
    memory.add(tmp_path / "repo/pkg", everything=True)
    assert len(memory.names()) == 3


def test_exclude_and_the_users_own_file_count_and_are_weaker(repository: Path, home: Path) -> None:
    made(home, {".gitconfig": '[user]\nname = x\n[core] ; of all\n\texcludesFile = "~/my ignored" # here\n',
                "my ignored": "\ufeff*.md\nover\n"})
    made(repository, {".git/info/exclude": "in/\n!over\n", "pkg/over": "x", "pkg/sub/b.md": "x", "pkg/b.txt": "x",
                      "pkg/sub/.gitignore": "!b.md"})
    assert taken(repository / "pkg") == {"a.txt", "b.txt", "my.secret", "over", "sub/b.md", "sub/.gitignore"}
    (home / ".gitconfig").unlink()
    made(home, {".config/git/ignore": "b.txt\n"})
    assert taken(repository / "pkg") == {"a.txt", "a.md", "my.secret", "over", "sub/b.md", "sub/.gitignore"}


def test_exclude_of_a_worktree_lies_in_the_repository_that_it_belongs_to(tmp_path: Path) -> None:
    made(tmp_path, {"main/.git/info/exclude": "a\n", "main/.git/worktrees/tree/commondir": "../..\n",
                    "tree/.git": f"gitdir: {tmp_path}/main/.git/worktrees/tree\n", "tree/a": "x", "tree/b": "x"})
    assert taken(tmp_path / "tree") == {"b"}


NAMES = ("a", "b.log", "in", "out", "c.txt", "Gen", "é")
PATTERNS = ("*.log", "/a", "in/", "!b.log", "**/c.txt", "in/**", "out/*", "!out/c.txt", "[ab]*", "!in", "\\!a", "a ",
            "a\\ ", "in/**/a", "#a", "!/in/", "?", "*/a", "Gen", "é", "!*", "[!a]", "/**", "in/a", "b.*",
            "[", "[z-a]", "[[:lower:]]", "[\\]a]", "a\\  ", "i**/a")  # fmt: skip


@pytest.mark.skipif(not shutil.which("git"), reason="git is compared with")
@pytest.mark.parametrize("seed", range(12))
def test_what_is_taken_is_what_git_takes(tmp_path: Path, home: Path, seed: int) -> None:
    chance = random.Random(seed)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    made(home, {".config/git/ignore": "\n".join(chance.choices(PATTERNS, k=2))})
    made(tmp_path, {".git/info/exclude": "\n".join(chance.choices(PATTERNS, k=2))})
    for _ in range(30):
        parts = chance.choices(NAMES, k=chance.randrange(1, 4))
        path = tmp_path.joinpath(*parts)
        if not any(at.is_file() for at in path.parents if at != tmp_path) and not path.is_dir():
            made(tmp_path, {"/".join(parts): "x"})
    for folder in [tmp_path, *(one for one in tmp_path.rglob("*") if one.is_dir() and ".git" not in one.parts)]:
        if folder == tmp_path or chance.random() < 0.4:
            made(folder, {".gitignore": "\n".join(chance.choices(PATTERNS, k=chance.randrange(1, 5)))})
    listed = subprocess.run(["git", "ls-files", "-oz", "--exclude-standard"], cwd=tmp_path, capture_output=True)
    by_git = {os.fsdecode(name) for name in listed.stdout.split(b"\0") if name}
    assert {str(found.path.relative_to(tmp_path.resolve())) for found in files_in(tmp_path)} == by_git


def test_likely_secrets_are_left_out_and_named_unless_all_is_taken(memory: Memory, tmp_path: Path) -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n"
    secret = {
        ".env": "A=1", ".env.local": "A=1", "prod.env": "A=1", "deploy/id_ed25519": key, "server.pem": "x",
        "T.KEY": "x", ".netrc": "x", "home/.aws/config": "x", "home/.docker/config.json": "{}",
        "credentials.json": "{}", "notes.txt": "Here it is:\n" + key,
        "config.yaml": "aws: AKIAIOSFODNN7EXAMPLE", "secrets.yaml": "a: 1",
        "sa.json": '{"private_key": "-----BEGIN PRIVATE KEY-----"}', "ci.toml": 'token = "ghp_' + 36 * "a" + '"',
        "late.py": "x = 1\n" * 5000 + 'STRIPE = "sk_' + "live_" + 24 * "4e" + '"\n', "gitlab.md": "glpat-" + 20 * "x",
        "compose.yaml": f"secrets:\n  key: |\n    {key.split(chr(10))[0]}\n    {40 * 'M'}\n",
        "settings.ini": f'KEY="{key.split(chr(10))[0]}' + "\\n" + 40 * "M" + '"',
    }  # fmt: skip
    plain = {".env.example": "A=", "credentials.py": "def credentials(): ...", "id_rsa.pub": "ssh-rsa",
             "a.txt": "AKIA", "docker/config.json": "{}",
             "keys.md": "A PRIVATE KEY begins with -----BEGIN PRIVATE KEY-----"}  # fmt: skip
    folder = made(tmp_path / "in", secret | plain)
    added = memory.add(folder)
    assert added.new == len(plain)
    assert {name for name, _ in added.left_out} == {str(folder / name) for name in secret}
    assert all(why.startswith("likely a secret (") and "--all" in why for _, why in added.left_out)
    assert memory.add(folder / ".env").new == 1, "by its own name"
    assert memory.add(folder, everything=True).new == len(secret) - 1


def test_the_files_of_the_memory_itself_are_none_of_the_folder(memory: Memory) -> None:
    home = memory.path.parent
    made(home, {f"{memory.path.name}.abc.keys": "k", f"{memory.path.name}.spaces/a.txt": "s", "x.md": "x"})
    made(home, {f"{memory.path.name}.md": "# About it"})
    added = memory.add_folder(home)
    assert (added.new, added.left_out) == (2, [])
    assert {Path(name).name for name, _ in memory.names()} == {"x.md", f"{memory.path.name}.md"}
    with Memory(memory.path) as again:
        assert (again.add_folder(home).unchanged, again.names()) == (2, memory.names())


def test_texts_that_are_alike_are_committed_before_the_folder_ends(memory: Memory, tmp_path: Path) -> None:
    folder = made(tmp_path / "in", {f"{i}.txt": "the same" for i in range(1100)})
    seen: list[int] = []
    with Memory(memory.path, read_only=True) as other:
        memory.add_folder(folder, lambda at: seen.append(len(other.names()) if at.added.new > 1040 else 0))
    assert max(seen) == 1024 and len(memory.names()) == 1100 and len(memory.records()) == 1
