"""What clients and vendors say of themselves, as far as it is written down: words of known shapes and no others, so
that no key gets into a log, whatever it looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"))
_VERSION = r"v?\d{1,4}(?:\.\d{1,6}){0,4}(?:[-+.]?(?:alpha|beta|rc|dev|post|pre|a|b|canary|nightly|next)[-.]?\d{0,8})?"
_PRODUCT = re.compile(rf"(?!sk-)[A-Za-z]{{2,20}}\d?(?:[-_./][A-Za-z]{{1,20}}\d?){{0,3}}/{_VERSION}|{_VERSION}")
_KNOWN = frozenset((
    "aarch64", "amd64", "android", "arm64", "arm", "async", "browser", "bun", "cli", "cli-bg", "cpython", "darwin",
    "deno", "desktop", "edge", "external", "freebsd", "github-action", "go", "ide", "interactive", "internal", "ios",
    "java", "jetbrains", "js", "kotlin", "linux", "local-agent", "mac", "macos", "native", "node", "openbsd", "php",
    "pypy", "python", "ruby", "rust", "sdk", "sdk-cli", "sdk-py", "sdk-ts", "sync", "tui", "unknown", "vscode",
    "claude-vscode", "web", "windows", "x32", "x64", "x86", "x86_64", "codex_cli_rs", "codex_exec", "codex_vscode",
    "codex-tui", "codex_sdk_ts", "codex_sdk_py", "csharp", "opencode", "macosx", "ubuntu", "debian", "fedora", "wsl",
    "openai/python", "asyncopenai/python", "openai/js", "anthropic/python", "asyncanthropic/python", "anthropic/js",
))  # fmt: skip
_BETA = re.compile(r"(?!sk-)[a-z]{2,20}\d?(?:-(?:[a-z]{1,20}\d?|\d{1,4}[a-z]?|20\d{6})){0,8}")
_OPTION = re.compile(rf"[a-z_]{{2,40}}=(?:{_VERSION}|\d{{4}}-\d\d-\d\d)")
_EXACT = re.compile(rf"{_VERSION}|\d{{4}}-\d\d-\d\d")
_KEYLIKE = re.compile(r"sk-[\w-]{4,}|AIza[\w-]{4,}|ya29\.[\w.-]+|ey[A-Za-z0-9_-]{10,}\.[\w.-]+|[A-Za-z0-9]{20,}|"
                      r"[A-Za-z0-9_-]{40,}")  # fmt: skip
_VERSIONS = (
    "anthropic-version", "x-stainless-package-version", "x-stainless-runtime-version", "x-stainless-lang", "x-app",
    "openai-beta", "originator", "version",
)  # fmt: skip
_PATHS = re.compile(r"(?!sk-)(?:v1(?:beta|alpha)?\d?|[a-z]{1,12}(?:[_.-][a-z]{1,12}){0,3}(?:\.(?:json|js|css))?|)")


def method(text: str) -> str:
    """A method of HTTP."""
    return text if text in _METHODS else "other"


def client(agent: str) -> str:
    """The products and their versions in a User-Agent, and what is known of the words around them."""
    said: list[str] = []
    for part in re.findall(r"\([^()]*\)?|[^()]+", agent[:400]):
        words = re.split(r"[\s(),;]+", part)
        kept = [one for one in words if _PRODUCT.fullmatch(one) or one.lower() in _KNOWN]
        said += [f"({', '.join(kept)})"] if kept and part.startswith("(") else kept
    return " ".join(said)[:80]


def betas(header: str) -> tuple[str, ...]:
    """The betas that a client asks for."""
    found = (one.strip() for one in header.split(",")[:40])
    return tuple(one[:64] if _BETA.fullmatch(one) else "…" for one in found if one)


def versions(headers: Mapping[str, str]) -> dict[str, str]:
    """The versions that a client names in headers of their own."""
    found = {name: headers[name].strip()[:80] for name in _VERSIONS if name in headers}
    return {name: said if _EXACT.fullmatch(said) or _OPTION.fullmatch(said) or said.lower() in _KNOWN else "…"
            for name, said in found.items()}  # fmt: skip


def model(name: str) -> str:
    """A model's name, without what looks like a key."""
    plain = "".join(sign if sign.isprintable() and sign.isascii() else "?" for sign in _KEYLIKE.sub("…", name[:400]))
    return plain[:64].strip()


def word(text: str) -> str:
    """A few words of a protocol."""
    return text if re.fullmatch(r"[A-Za-z_ ]{0,60}", text) and not re.search(r"[A-Za-z]{25}", text) else "…"


def note(text: str) -> str:
    """A note of the proxy's own, in which a name that was too long to be one may stand."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:300]


def path(raw: bytes) -> str:
    """The beginning of a path that names no dialect, without what may name a thing."""
    parts = raw.decode("latin-1").split("/")[1:3]
    return "/" + "/".join(part if _PATHS.fullmatch(part) else "…" for part in parts)
