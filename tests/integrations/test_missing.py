"""Where the library that an integration is for is missing, one line says so."""

from __future__ import annotations

import importlib
import sys

import pytest

from microfiche.errors import UsageError


@pytest.mark.parametrize(("module", "library", "package"), [
    ("litellm", "litellm", "litellm"), ("langchain_middleware", "langchain", "langchain"),
    ("langchain", "langchain_core", "langchain-core"), ("inspect", "inspect_ai", "inspect_ai"),
    ("llama_index", "llama_index", "llama-index-core"),
])  # fmt: skip
def test_one_line_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, module: str, library: str, package: str
) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] == library or name == f"microfiche.integrations.{module}":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=f"pip install {package}$"):
        importlib.import_module(f"microfiche.integrations.{module}")


def test_recall_by_mcp_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from microfiche.serving.recall import Recall
    from microfiche.serving.recall_server import server

    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(UsageError, match=r"microfiche\[mcp\]"):
        server(Recall())
