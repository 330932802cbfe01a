"""The files of a folder that a memory takes: what git ignores and what looks like a secret is left out.

As in git, a pattern counts in this order: the .gitignore files from the innermost folder outwards to the root of the
repository, its .git/info/exclude, and the file that core.excludesFile names (gitignore(5)). This module reads no text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch, translate
from pathlib import Path

from microfiche.errors import InputError
from microfiche.files import Found, files_below
from microfiche.memory.patterns import Pattern, pattern_in
from microfiche.sources import DOCUMENTS

NEVER = {".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv"}  #: folders that hold nothing written by hand
LARGEST = 64 << 20  #: bytes of a text file that is taken
HEAD = 8192  #: bytes in which a NUL tells a binary
RULES = 1 << 20  #: bytes of a file of patterns, or of git's settings, that are read
#: The files of patterns that count in a folder, the least important first, each with the folder that it speaks of.
Rules = tuple[tuple[Path, list[Pattern]], ...]
#: Names of files that are likely secrets, in small letters, and those that only look like them.
SECRETS = (
    ".env", ".env.*", "*.env", ".envrc", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_*_sk", "*.pem", "*.key",
    "*.p8", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore", "*.kdbx", ".netrc", "_netrc", ".pgpass", ".my.cnf",
    ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", ".dockercfg", ".vault-token", ".s3cfg", ".boto", ".authinfo",
    "credentials", "credentials.*", "*.credentials", "secrets", "secrets.*", "client_secret*.json",
    "service-account*.json", "service_account*.json", "*.tfvars", "*.tfstate", "*.ovpn", "wp-config.php",
    "*.kubeconfig", "kubeconfig",
)  # fmt: skip
NO_SECRETS = ("*.example", "*.sample", "*.template", "*.dist", "*.pub", "*.py", "*.rs", "*.go", "*.ts", "*.js", "*.md",
              "*.rst", "*.html")  # fmt: skip
IN_FOLDERS = (".ssh/*", ".aws/*", ".gnupg/*", ".docker/config.json", ".kube/config", ".config/gcloud/*")
_ANY_SECRET, _ANY_PLAIN, _ANY_IN_FOLDER = (
    re.compile("|".join(map(translate, kinds))) for kinds in (SECRETS, NO_SECRETS, [f"*{kind}" for kind in IN_FOLDERS])
)
#: What a secret begins with, or what stands anywhere in it.
INSIDE = re.compile(
    rb"(?<!\w)(?:A(?:KIA|SIA)[0-9A-Z]{16}\b|AIza[\w-]{35}\b|GOCSPX-[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    rb"|g(?:h[pousr]_[A-Za-z0-9]{36}\b|ithub_pat_\w{60,}|lpat-[\w-]{20,})|x(?:ox[abprs]-[0-9A-Za-z-]{20,}|app-[\w-]{20,})"
    rb"|sk-(?:ant-|proj-|live_)?[\w-]{32,}|[rs]k_live_[0-9A-Za-z]{20,}|npm_[A-Za-z0-9]{36}\b|hf_[A-Za-z0-9]{30,})"
    rb"|^-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\"private_key\"\s*:\s*\"-----BEGIN"
    rb"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:\\[nr]|[\s\"'+,])*[A-Za-z0-9+/=]{30}", re.MULTILINE,
)  # fmt: skip
SECRET = "likely a secret ({}); it is taken by its own name or with --all"


def files_in(folder: Path, everything: bool = False) -> Iterator[Found]:
    """The files below `folder` in order, links resolved; those that git ignores are left out without a word, and likely
    secrets with the reason, unless `everything` is taken.

    The .gitignore files above the folder count, up to the root of its repository, unless they leave out the folder
    itself, which was asked for by its name. InputError where the folder cannot be opened.
    """
    try:
        home = folder.resolve(strict=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    # The folders that the files found next lie in, from `home` on, each with the rules for what it holds.
    within = [(home, () if everything else _with_own(home, _above(home)))]

    def passed_over(path: Path, is_folder: bool) -> bool:
        while within[-1][0] != path.parent:
            within.pop()
        above = within[-1][1]
        if path.name in NEVER or _ignored(path, is_folder, above):
            return True
        if is_folder:
            if not everything and (path / ".git").exists():
                above = (*above, *_of_repository(path))
            within.append((path, () if everything else _with_own(path, above)))
        return False

    for found in files_below(home, passed_over):
        if found.left_out:
            yield found
        elif not found.path.is_symlink():  # the file that a link leads to is found where it lies
            yield replace(found, left_out=_unfit(found.path, everything))


def _above(home: Path) -> Rules:
    """The rules of the folders above `home` in its repository, or none of theirs where they leave out `home` itself."""
    holding = [home, *home.parents]
    root = next((at for at, folder in enumerate(holding) if (folder / ".git").exists()), 0)
    first = rules = (*_global(holding[root]), *_of_repository(holding[root]))
    for folder in reversed(holding[1 : root + 1]):
        if _ignored(folder, True, rules):
            return first
        rules = _with_own(folder, rules)
    return first if _ignored(home, True, rules) else rules


def _global(root: Path) -> Rules:
    """The patterns of the file that core.excludesFile names, or of git/ignore among the user's settings."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "git"
    named = os.environ.get("GIT_CONFIG_GLOBAL")
    file = settings / "ignore"
    of_user = [Path(named)] if named else [settings / "config", Path.home() / ".gitconfig"]
    of_system = [] if os.environ.get("GIT_CONFIG_NOSYSTEM") else [Path("/etc/gitconfig")]
    for config in [*of_system, *of_user, _git_folder(root) / "config"]:
        file = _excludes_file(config) or file
    return ((root, patterns),) if (patterns := _patterns(file, links=True)) else ()


def _excludes_file(config: Path) -> Path | None:
    """The path that core.excludesFile has in a file of git's settings, the last if there are several."""
    section, found = "", None
    for line in _lines(config, links=True):
        line = line.strip()
        if header := re.fullmatch(r'\[\s*([\w.-]+)(?:\s+"(.*)")?\s*\](.*)', line):
            section, line = f"{header[1]}{header[2] or ''}".lower(), header[3].strip()
        value = re.fullmatch(r'excludesfile\s*=\s*(?:"(.*?)"|([^#;]*))\s*(?:[#;].*)?', line, re.IGNORECASE)
        if section == "core" and value and (named := (value[1] if value[1] is not None else value[2]).strip()):
            named = os.fsdecode(named.encode("latin-1"))
            found = Path(named).expanduser() if named.startswith("~") else config.parent / named
    return found


def _of_repository(root: Path) -> Rules:
    """The patterns of a repository's info/exclude."""
    patterns = _patterns(_git_folder(root) / "info/exclude", links=True)
    return ((root, patterns),) if patterns else ()


def _git_folder(root: Path) -> Path:
    """The folder with a repository's settings, also where its .git is a file that names another folder."""
    git = root / ".git"
    if git.is_file():
        git = root / _first_line(git).removeprefix("gitdir:").strip()
        shared = _first_line(git / "commondir").strip()
        git = git / shared if shared else git
    return git


def _with_own(folder: Path, rules: Rules) -> Rules:
    """The rules for what lies in a folder, from the `rules` for the folder itself."""
    patterns = _patterns(folder / ".gitignore")
    return (*rules, (folder, patterns)) if patterns else rules


def _patterns(file: Path, links: bool = False) -> list[Pattern]:
    """The patterns in a file; a .gitignore that is a link does not count, as in git."""
    return [pattern for line in _lines(file, links) if (pattern := pattern_in(line))]


def _first_line(file: Path) -> str:
    return os.fsdecode(next(iter(_lines(file)), "").encode("latin-1"))


def _lines(file: Path, links: bool = False) -> list[str]:
    """The lines of a file, each byte as one character: git compares names and patterns byte by byte."""
    try:
        if (file.is_symlink() and not links) or not file.is_file():
            return []
        with file.open("rb") as opened:
            text = opened.read(RULES).removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    except OSError:
        return []
    return [line.removesuffix("\r") for line in text.split("\n")]


def _ignored(path: Path, is_folder: bool, rules: Rules) -> bool:
    """Whether git leaves out `path`: the last pattern for it counts, in the most important file that has one."""
    for folder, patterns in reversed(rules):
        bare = os.fsencode(path.relative_to(folder).as_posix()).decode("latin-1")
        for pattern in reversed(patterns):
            if pattern.matches(bare, is_folder):
                return not pattern.taken
    return False


def _unfit(path: Path, everything: bool) -> str:
    if not everything and (kind := _secret_name(path)):
        return SECRET.format(kind)
    if path.suffix.lower() in DOCUMENTS:
        return ""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"it has {size:,} bytes; at most {LARGEST:,} are taken from a folder"
        with path.open("rb") as file:
            head = file.read(HEAD)
            binary = b"\0" in head
            whole = b"" if binary or everything else head + file.read(LARGEST)
    except OSError as error:
        return error.strerror or "cannot be read"
    if binary:
        return "binary"
    if inside := INSIDE.search(whole):
        what = "a private key" if b"PRIVATE KEY" in inside[0] or b"private_key" in inside[0] else "a key of a service"
        return SECRET.format(f"{what} stands in it")
    return ""


def _secret_name(path: Path) -> str:
    """Why a file is likely a secret by its name, which is empty where it is none."""
    name, inner = path.name.lower(), "/".join(path.parts[-3:]).lower()
    if not (_ANY_SECRET.match(name) or _ANY_IN_FOLDER.match(inner)) or _ANY_PLAIN.match(name):
        return ""
    kinds = [kind for kind in SECRETS if fnmatch(name, kind)]
    kinds += [kind for kind in IN_FOLDERS if fnmatch(inner, f"*{kind}")]
    return f"named as {kinds[0]}"
