"""Lines of git's ignore files, matched as git matches them. What they are taken for was asked of git 2.39."""

from __future__ import annotations

import pytest

from microfiche.memory.patterns import pattern_in


def ignored(line: str, path: str, is_folder: bool = False) -> bool:
    pattern = pattern_in(line)
    return pattern is not None and not pattern.taken and pattern.matches(path, is_folder)


@pytest.mark.parametrize(("line", "matched", "others"), [
    ("a", ("a", "b/a"), ("ab", "A", "a/b")),
    ("/a", ("a",), ("b/a",)),
    ("b/a", ("b/a",), ("a", "c/b/a")),
    ("*.o", ("x.o", "b/.o", "b/a b.o"), ("x.ob", "x.o/b")),
    ("sp\\  ", ("sp ",), ("sp", "sp  ")),  # of spaces at the end, those behind a backslash stay
    ("sp\\\\ ", ("sp\\",), ("sp ",)),
    ("\ttab\t", ("\ttab\t",), ("tab",)),
    ("\\#a", ("#a",), ("a",)),
    ("\\!a", ("!a",), ("a",)),
    ("a\\", (), ("a", "a\\")),
    ("[z-a]b", ("zb",), ("ab", "-b", "b")),
    ("[a", (), ("a", "[a")),
    ("[]a]", ("]", "a"), ("[]a]", "[")),
    ("[!]a]", ("[", "b"), ("]", "a", "/")),
    ("[^a-c-]", ("d",), ("a", "c", "-")),
    ("[\\]\\-a]", ("]", "-", "a"), ("\\", "b")),
    ("[[:digit:]x]*", ("7a", "x"), ("a7", ":")),
    ("[[:nothing:]]", (), (":", "n")),
    ("[[:x]", ("[", ":", "x"), ("y",)),
    ("[[:alpha:]-z]", ("-", "z", "b"), ("{",)),
    ("[^a]/b", ("c/b",), ("a/b", "c/c/b")),
    ("**/b", ("b", "a/b", "a/c/b"), ("ab",)),
    ("a/**/b", ("a/b", "a/c/b", "a/c/d/b"), ("b", "ab", "xa/b")),
    ("a/**", ("a/b", "a/b/c"), ("a", "b/a/c")),
    ("**b", ("b", "ab", "x/ab"), ("ba",)),
    ("x/**b", ("x/b", "x/ab"), ("x/a/b",)),
    ("a**/b", ("a/b", "ax/b", "ax/y/b"), ("b", "x/a/b")),
    ("?\xff", ("a\xff", "\n\xff"), ("\xff",)),
    ("a?c/*", ("abc/d",), ("a/c/d", "abc/d/e")),
])  # fmt: skip
def test_a_line_matches_what_it_matches_in_git(line: str, matched: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert [path for path in (*matched, *others) if ignored(line, path)] == list(matched)


@pytest.mark.parametrize("line", ["", "  ", "# a", "!a", "/", "//", "!"])
def test_lines_that_leave_out_nothing(line: str) -> None:
    assert not any(ignored(line, path, True) for path in ("a", " ", "# a", "b/a"))


def test_a_pattern_of_folders_speaks_of_no_file() -> None:
    assert ignored("a/", "b/a", True) and not ignored("a/", "b/a", False)
    assert ignored("**/", "b", True) and not ignored("**/", "b", False)
    assert (again := pattern_in("!*.o")) and again.taken and again.matches("x.o", False)


def test_a_long_name_is_compared_fast() -> None:
    """Tried again and again, 30 stars would take longer than anyone waits."""
    assert not ignored("*a" * 30 + "*b", "a" * 255)
    assert ignored("*a" * 30 + "*b", "a" * 254 + "b")
    assert ignored("x/*a*a/*b*c*b", "x/aXaXa/bcbcb") and not ignored("x/*a*b/*c", "x/ab/ab/c")
