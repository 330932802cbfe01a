"""The tests on_ray start Ray; they run where MICROFICHE_RAY is set, as in .ci/run, since Ray is not installed with the
other tests' packages."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("MICROFICHE_RAY") else ["on_ray"]
