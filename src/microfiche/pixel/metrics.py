"""Scores of predictions: accuracy, macro F1, F1 of entities, attachment of trees, and SQuAD's for answers.

All are shares from 0 to 1. Entities are those of seqeval and conlleval, attachment that of the evaluation of CoNLL
2018, answers as in SQuAD's official script. This module knows nothing of models or files.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

Entity = tuple[str, int, int]  #: type, first word, last word
Scheme = Literal["IOB2", "IOBES"]
_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENDS = {"E": "BIESO", "B": "BSO", "I": "BSO", "S": "BIESO"}  #: prefixes that end an entity after this one


def accuracy(gold: Sequence[str], found: Sequence[str]) -> float:
    """The share of labels that are right."""
    return _share(sum(a == b for a, b in zip(gold, found, strict=True)), len(gold))


def macro_f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """The mean F1 of all labels in `gold` or `found`; a label that was never found has 0."""
    right = Counter(a for a, b in zip(gold, found, strict=True) if a == b)
    ours, theirs = Counter(found), Counter(gold)
    names = set(ours) | set(theirs)
    return _share(sum(2 * right[name] / (ours[name] + theirs[name]) for name in names), len(names))


def entities(tags: Sequence[str], strict: Scheme | None = None) -> set[Entity]:
    """The entities of one sentence. By default as conlleval finds them in any scheme; if `strict`, only what the scheme
    allows: in IOB2 an entity begins with B, in IOBES it also ends with E or is a single S."""
    return _entities(tags) if strict is None else _strict(tags, strict)


def _entities(tags: Sequence[str]) -> set[Entity]:
    found: set[Entity] = set()
    before, kind, begin = "O", "", 0
    for i, tag in enumerate([*tags, "O"]):
        prefix, now = {"L": "E", "U": "S"}.get(tag[0], tag[0]), tag[1:].split("-", 1)[-1] or "_"
        ends = before != "O" and (prefix in _ENDS[before] or now != kind)
        if ends:
            found.add((kind, begin, i - 1))
        if prefix in "BS" or (prefix != "O" and (before in "ESO" or now != kind)):
            begin = i
        before, kind = prefix, now
    return found


def _strict(tags: Sequence[str], scheme: Scheme) -> set[Entity]:
    first, inside = ("B", "I") if scheme == "IOB2" else ("BS", "IE")
    found: set[Entity] = set()
    for begin, tag in enumerate(tags):
        if tag[0] not in first:
            continue
        end = begin
        while tags[end][0] in "BI" and end + 1 < len(tags) and tags[end + 1] in {f"{p}{tag[1:]}" for p in inside}:
            end += 1
        if scheme == "IOB2" or tags[end][0] in "ES":
            found.add((tag[1:].split("-", 1)[-1] or "_", begin, end))
    return found


def entity_scores(
    gold: Sequence[Sequence[str]], found: Sequence[Sequence[str]], strict: Scheme | None = None
) -> tuple[float, float, float]:
    """Precision, recall and F1 of the entities of all sentences; an entity is right if its type and both ends are."""
    right = ours = theirs = 0
    for a, b in zip(gold, found, strict=True):
        wanted, given = entities(a, strict), entities(b, strict)
        right, ours, theirs = right + len(wanted & given), ours + len(given), theirs + len(wanted)
    return _share(right, ours), _share(right, theirs), _share(2 * right, ours + theirs)


def attachment(
    gold: Iterable[tuple[Sequence[int], Sequence[str]]], found: Iterable[tuple[Sequence[int], Sequence[str]]]
) -> tuple[float, float]:
    """UAS and LAS of the (heads, relations) of sentences, over all words and punctuation. As in CoNLL 2018, relations
    are compared up to their first colon."""
    words = headed = labelled = 0
    for (heads, relations), (given, named) in zip(gold, found, strict=True):
        for head, relation, ours, name in zip(heads, relations, given, named, strict=True):
            words += 1
            headed += head == ours
            labelled += head == ours and relation.split(":")[0] == name.split(":")[0]
    return _share(headed, words), _share(labelled, words)


def squad_scores(gold: Sequence[Sequence[str]], found: Sequence[str]) -> tuple[float, float]:
    """SQuAD's exact match and F1, of each question the best over its answers; "" is right if it has none."""
    exact = overlap = 0.0
    for answers, text in zip(gold, found, strict=True):
        wanted = [answer for answer in answers if normalised(answer)] or [""]
        exact += max(normalised(text) == normalised(answer) for answer in wanted)
        overlap += max(_token_f1(answer, text) for answer in wanted)
    return _share(exact, len(gold)), _share(overlap, len(gold))


def normalised(answer: str) -> str:
    """An answer as SQuAD compares it: lower case, without ASCII punctuation, articles and superfluous spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def _token_f1(gold: str, found: str) -> float:
    wanted, given = normalised(gold).split(), normalised(found).split()
    if not wanted or not given:
        return float(wanted == given)
    common = (Counter(wanted) & Counter(given)).total()
    return 2 * common / (len(wanted) + len(given))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
