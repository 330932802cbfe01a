"""A server that the tests of its doors share, and what needs real clients, which are an extra of their own."""

from __future__ import annotations

import os

from doorway import _model, _served, model, serve

__all__ = ["_model", "_served", "model", "serve"]

#: Where the extra test-clients is asked for, none of its packages may be missing.
collect_ignore = [] if os.environ.get("MICROFICHE_CLIENTS") else ["clients"]
