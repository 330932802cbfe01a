"""The proxy between a client and a stand-in for its provider, both on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from between import patient
from provider.server import Provider, provider


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)


@pytest.fixture
def vendor() -> Iterator[Provider]:
    with provider() as made:
        yield made


#: Real clients are an extra of their own, test-clients. Where they are asked for, none of them may be missing.
collect_ignore = [] if os.environ.get("MICROFICHE_CLIENTS") else ["clients"]
