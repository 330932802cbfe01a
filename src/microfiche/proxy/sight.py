"""What a model can read on pages: by the user's own profile of it, or by published figures, which are said to be that.

A model without either is sent text. This module knows nothing of what is drawn.
"""

from __future__ import annotations

import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from microfiche.memory.exact import Kind
from microfiche.memory.models import HostedModel, hosted, plain_name
from microfiche.memory.profiles import WANTED, Profile, Score, profile_of
from microfiche.page import Layout
from microfiche.typesetting import Typesetter
from microfiche.typesetting.density import Mode, density

#: The share of questions without an answer that a model must leave unanswered, at the lower bound; of the sixteen that
#: were asked for the published figures, all right is 0.81 and one invention 0.72.
HONEST = 0.75


@dataclass(frozen=True)
class Sight:
    """The pages that a model reads: text at a density and in a layout, on at most `width` × `height` px, both multiples
    of 64. Strings of `trusted` kinds may stand on a page alone, and `known` says how that is known, with its date.
    Where it is `graded`, each picture may be asked to be seen in a resolution of its own."""

    model: HostedModel
    density: str
    layout: Layout
    width: int
    height: int
    trusted: frozenset[Kind]
    known: str
    graded: bool = False

    @property
    def typesetter(self) -> Typesetter:
        """What sets these pages; what cannot be drawn stands beside them."""
        mode = Mode("proxy", self.width, height=self.height)
        return Typesetter(density(self.density), mode, self.layout, beside=True)

    @property
    def has_steps(self) -> bool:
        """Whether a picture of some lines costs as much as one of twice as many."""
        return self.tokens(self.height // 16) == self.tokens(self.height // 8)

    def tokens(self, height: int) -> int:
        """What a picture of a page's upper part costs, in the resolution that is `grade` of it."""
        return self.model.tokens(self.width, height, self.grade(height))

    def grade(self, height: int) -> str | None:
        """The lowest resolution in which a picture of a page's upper part is seen at the scale of a whole page in the
        usual one; None where all are seen in that."""
        grades = self.model.pictures.grades if self.graded else {}
        whole = max((one.coarseness(self.width, self.height) for one in list(grades.values())[-1:]), default=0.0)
        fine = (name for name, one in grades.items() if one.coarseness(self.width, height) <= whole)
        return next(fine, None)

    def cheapest(self, height: int) -> int:
        """The height, of whole lines and no less than `height` px, at which a picture of a page's upper part costs
        least."""
        line = density(self.density).height
        return min(range(-(-height // line) * line, self.height + 1, line), key=self.tokens)

    @property
    def print(self) -> str:
        """All that decides what a page of a text looks like and what stands beside it."""
        trusted = ",".join(sorted(self.trusted))
        formula = f"{self.model.pictures.formula(None)}{' graded' * self.graded}"
        return f"{self.density} {self.layout} {self.width}x{self.height} {trusted} {formula}"


class _Published(BaseModel):
    """What was published of a model: how many answers of each kind were right, and how many were asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    density: str
    page: tuple[int, int]
    gist: tuple[int, int]
    absent: tuple[int, int]
    hex: tuple[int, int]
    dated: str
    source: str

    def trusted(self) -> frozenset[Kind]:
        """The kinds that may stand on a page alone. Code is read as surely as prose, says the source, but for the names
        and numbers in it, which are kinds of their own."""
        if _lower(self.gist) < WANTED or _lower(self.absent) < HONEST:
            return frozenset()
        return frozenset({"prose", "code", *(("hex",) if _lower(self.hex) >= WANTED else ())})


def _lower(of: tuple[int, int]) -> float:
    return Score(right=of[0], asked=of[1]).lower


@cache
def _published() -> dict[str, _Published]:
    stored = tomllib.loads((files(__package__) / "published.toml").read_text("utf-8"))
    return {plain_name(name): _Published.model_validate(table) for name, table in stored["models"].items()}


def sight_of(name: str) -> tuple[Sight | None, str]:
    """What a model reads, or None, and in either case how that is known. InputError where its profile is damaged."""
    model = hosted(name)
    if model.guess:
        return None, "the registry does not know the model, so that what a page costs is not known"
    profile = profile_of(model.name)
    if profile is not None:
        return _measured(model, profile)
    found = _published().get(plain_name(name))
    if found is None:
        return None, "the model has no profile"
    known = f"published {found.dated}, {found.source}"
    if not (trusted := found.trusted()):
        return None, f"the model does not read pages well enough ({known})"
    return Sight(model, found.density, "dense", *found.page, trusted, known), known


def _measured(model: HostedModel, profile: Profile) -> tuple[Sight | None, str]:
    known = f"measured {profile.measured.isoformat()}"
    row = profile.densest()
    if row is None:
        return None, f"the model does not read pages well enough ({known})"
    return Sight(model, row.density, row.layout, row.side, row.side, row.trusted(), known), known


def calibration_of(name: str) -> str:
    """The command that measures a model, and what that costs by the registry, or why that is not known; empty where it
    has published figures, or a profile and what its pages cost is known."""
    from microfiche.memory.calibration import expected_usage  # which loads nano

    model = hosted(name)
    measured = profile_of(model.name) is not None
    if not name or plain_name(name) in _published() or (measured and not model.guess):
        return ""
    unlisted = ("it is not in the registry, which has to say how its pictures are counted before it is sent any "
                "(docs/architecture.md, a provider's formula for pictures)")  # fmt: skip
    if measured:
        return f"it was measured, but {unlisted}"
    usage = expected_usage(model)
    money = model.cost(usage)
    tokens = f"{usage.input:,} tokens of input and about {usage.output:,} of output"
    price = f"about ${money.dollars:.2f}" if money else "whose price is not known"
    rule = f", if{model.guess.rpartition(': its')[2]}; {unlisted}" if model.guess else ""
    return (f"microfiche memory calibrate --text FILE --endpoint URL --endpoint-model {shlex.quote(name)} measures "
            f"whether it reads pages: {tokens}, {price}{rule}")  # fmt: skip
