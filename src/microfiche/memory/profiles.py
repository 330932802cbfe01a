"""What was measured of hosted models: how surely each reads a print, kept by model and date in the user's folder.

A profile decides which print a model is sent and which strings may stand on a picture alone. The lower bound of a 95 %
interval decides, so that few questions prove little. This module knows nothing of how a model is asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from microfiche.errors import InputError, first_of
from microfiche.files import config_folder, whole_file
from microfiche.memory.exact import Kind
from microfiche.memory.models import plain_name
from microfiche.page import Layout

WANTED = 0.9  #: the share of strings that a model must read, at the lower bound, to be trusted with their kind
Z = 1.959964  #: standard deviations on either side of a 95 % interval
NEAR = 1e-6  #: how far two scales may differ and be the same


class Score(BaseModel):
    """How many of the strings that were `asked` came back `right`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    right: int = Field(ge=0)
    asked: int = Field(ge=0)

    @property
    def lower(self) -> float:
        """The lower bound of the share that comes back right, at 95 % by Wilson's interval; 0 if none was asked."""
        if not self.asked:
            return 0.0
        share, n = self.right / self.asked, self.asked
        middle = share + Z**2 / (2 * n)
        spread = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        return max(0.0, (middle - spread) / (1 + Z**2 / n))


class Row(BaseModel):
    """A print that was tried: a density and layout on pages of `side` px, which the model sees at `scale` times their
    size.

    `scores` are by kind of string, and `absent` is that of questions whose answer is not there, right where the model
    said so and invented none. `tokens` is what a page costs by the formula, `charged` what the server said for one, and
    `ratio` the text tokens on it for each of `tokens`. `failed` says why the model could not be asked.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    density: str
    layout: Layout = "dense"
    side: int = Field(gt=0)
    scale: float = Field(gt=0)
    tokens: int = Field(gt=0)
    charged: float | None = None
    ratio: float = Field(ge=0)
    scores: dict[Kind, Score] = {}
    absent: Score = Score(right=0, asked=0)
    failed: str = ""

    def trusted(self, wanted: float = WANTED) -> frozenset[Kind]:
        """The kinds of strings that the model reads often enough, at the lower bound; none where it does not say often
        enough that an answer is not there."""
        if self.failed or self.absent.lower < wanted:
            return frozenset()
        return frozenset(kind for kind, score in self.scores.items() if score.lower >= wanted)


class Profile(BaseModel):
    """What was measured of a `model` on a day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    measured: date
    rows: tuple[Row, ...]

    def row(self, density: str, scale: float) -> Row | None:
        """What was measured of a density at the largest scale that is no larger than `scale`; the layout is not looked
        at. None where all of it was larger."""
        fitting = [row for row in self.rows if row.density == density and row.scale <= scale + NEAR]
        return max(fitting, key=lambda row: row.scale, default=None)

    def knows(self, density: str) -> bool:
        """Whether a density was tried."""
        return any(row.density == density for row in self.rows)

    def densest(self, wanted: float = WANTED, kinds: Sequence[Kind] = ("prose",)) -> Row | None:
        """Of the prints that are trusted with `kinds`, the one with the most text for a token, or None."""
        good = [row for row in self.rows if row.trusted(wanted) >= set(kinds)]
        return max(good, key=lambda row: row.ratio, default=None)


def store_profile(profile: Profile) -> Path:
    """Keeps a profile in the user's folder, and gives its file."""
    folder = config_folder() / "profiles"
    path = folder / f"{_file_name(profile.model)}@{profile.measured.isoformat()}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as beside:
            beside.write_text(profile.model_dump_json(indent=1) + "\n", "utf-8")
    except OSError as error:
        raise InputError(f"{path}: the profile cannot be kept: {error.strerror}") from error
    return path


def profile_of(model: str) -> Profile | None:
    """The newest profile of a model; None if there is none. Raises InputError, in one line, if its file is damaged."""
    folder = config_folder() / "profiles"
    name = re.compile(re.escape(_file_name(model)) + r"@\d{4}-\d{2}-\d{2}\.json")
    try:
        found = sorted(path for path in folder.iterdir() if name.fullmatch(path.name))
    except OSError:
        return None
    if not found:
        return None
    try:
        return Profile.model_validate_json(found[-1].read_bytes())
    except (OSError, ValidationError) as error:
        why = first_of(error) if isinstance(error, ValidationError) else error.strerror
        raise InputError(f"{found[-1]}: not a profile ({why}); calibrate anew or remove it") from error


def _file_name(model: str) -> str:
    return re.sub(r"[^\w-]", "_", plain_name(model)) or "unnamed"
