"""Files of annotated text → typed examples: CoNLL-U, CoNLL-NER, TSV, SQuAD.

A malformed file is an InputError that names the file and the line. After universaldependencies.org/format.html, the
CoNLL-2003 task, and rajpurkar.github.io/SQuAD-explorer (v1.1 and v2.0). This module knows nothing of models or
pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from microfiche.errors import InputError, first_of
from microfiche.limits import Limits

_RANGE = re.compile(r"[1-9][0-9]*-[1-9][0-9]*")  # a token of several words
_EMPTY = re.compile(r"[0-9]+\.[1-9][0-9]*")  # a node without a word
_NUMBER = re.compile(r"0|[1-9][0-9]{0,5}")
_TAG = re.compile(r"O|[BIESLU]-\S+")
_ID, _FORM, _UPOS, _HEAD, _DEPREL, _COLUMNS = 0, 1, 3, 6, 7, 10


@dataclass(frozen=True)
class Labelled:
    """A text, or two that belong together, and the label."""

    texts: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Sentence:
    """Words and their tags; for trees also each word's head (0 the root, 1 the first word) and its relation to it."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    heads: tuple[int, ...] = ()
    relations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question about a context; `answers` are (first character in the context, text), empty if there is none."""

    id: str
    question: str
    context: str
    answers: tuple[tuple[int, str], ...]


Example = Labelled | Sentence | Question
T = TypeVar("T")


def read_conllu(path: Path, trees: bool) -> list[Sentence]:
    """Reads the sentences of a CoNLL-U file with their universal part-of-speech tags or, with `trees`, with their heads
    and relations, which must then form trees with one root.

    As in the evaluation of CoNLL 2018 only words count: tokens of several words and empty nodes are skipped.
    """
    found = []
    for lines in _blocks(path):
        rows = [(number, line.split("\t")) for number, line in lines if not line.startswith("#")]
        for number, row in rows:
            if len(row) != _COLUMNS:
                raise _bad(path, number, f"{len(row)} columns where a word has {_COLUMNS}, separated by tabs")
        rows = [(n, row) for n, row in rows if not (_RANGE.fullmatch(row[_ID]) or _EMPTY.fullmatch(row[_ID]))]
        for expected, (number, row) in enumerate(rows, 1):
            if row[_ID] != str(expected):
                raise _bad(path, number, f"word {row[_ID]!r} where {expected} is expected")
            if not row[_FORM].strip():
                raise _bad(path, number, "a word without a form")
        if not rows:
            continue
        words, tags = (tuple(row[column] for _, row in rows) for column in (_FORM, _UPOS))
        heads = _heads(path, rows) if trees else ()
        column, what = (_DEPREL, "relation to its head") if trees else (_UPOS, "part of speech")
        for number, row in rows:
            if row[column] in ("", "_"):
                raise _bad(path, number, f"a word without a {what}")
        if trees:
            found.append(Sentence(words, tags, heads, tuple(row[_DEPREL] for _, row in rows)))
        else:
            found.append(Sentence(words, tags))
    return _some(path, found, "sentence")


def _heads(path: Path, rows: Sequence[tuple[int, list[str]]]) -> tuple[int, ...]:
    heads = []
    for number, row in rows:
        if not (_NUMBER.fullmatch(row[_HEAD]) and int(row[_HEAD]) <= len(rows)):
            raise _bad(path, number, f"head {row[_HEAD]!r} is not one of 0 to {len(rows)}, the words of the sentence")
        heads.append(int(row[_HEAD]))
    roots = [number for (number, _), head in zip(rows, heads, strict=True) if head == 0]
    if len(roots) != 1:
        number = roots[1] if roots else rows[0][0]
        raise _bad(path, number, f"the sentence has {len(roots)} roots; a tree has one")
    reached = {0}  # words from which the root is reached
    for start in range(1, len(heads) + 1):
        way: list[int] = []
        at = start
        while at not in reached:
            if at in way:
                raise _bad(path, rows[at - 1][0], f"the heads from word {at} on form a circle")
            way.append(at)
            at = heads[at - 1]
        reached.update(way)
    return tuple(heads)


def read_ner(path: Path) -> list[Sentence]:
    """Reads the sentences of a CoNLL file: a word a line with its tag (O, or B-, I-, E-, S-, L- or U- and a type) in
    the last column, columns separated by spaces or tabs, and a blank line after each sentence. -DOCSTART- is
    skipped."""
    found = []
    for lines in _blocks(path):
        words, tags = [], []
        for number, line in lines:
            columns = line.split("\t") if "\t" in line else line.split()
            if columns[0] == "-DOCSTART-":
                continue
            if len(columns) < 2:
                raise _bad(path, number, f"one column, {line[:40]!r}, where a word and its tag are expected")
            if not _TAG.fullmatch(columns[-1]):
                raise _bad(path, number, f"{columns[-1][:40]!r} is not a tag: O is, or B-, I-, E- or S- and a type")
            if not columns[0].strip():
                raise _bad(path, number, "a tag without a word")
            words.append(columns[0])
            tags.append(columns[-1])
        if words:
            found.append(Sentence(tuple(words), tuple(tags)))
    return _some(path, found, "sentence")


def read_tsv(path: Path) -> list[Labelled]:
    """Reads a file of lines label⇥text, or of lines label⇥text⇥text, without a heading."""
    found: list[Labelled] = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        label, *texts = line.split("\t")
        if len(texts) not in (1, 2):
            raise _bad(path, number, f"{len(texts) + 1} columns where label⇥text or label⇥text⇥text is expected")
        if found and len(texts) != len(found[0].texts):
            raise _bad(path, number, f"{len(texts)} texts where the lines before have {len(found[0].texts)}")
        if not label.strip():
            raise _bad(path, number, "a text without a label")
        found.append(Labelled(tuple(texts), label.strip()))
    return _some(path, found, "line")


class _Answer(BaseModel):
    answer_start: int
    text: str


class _Asked(BaseModel):
    id: str
    question: str
    answers: list[_Answer] = []
    is_impossible: bool = False


class _Paragraph(BaseModel):
    context: str
    qas: list[_Asked]


class _Article(BaseModel):
    paragraphs: list[_Paragraph]


class _SQuAD(BaseModel):
    data: list[_Article]


def read_squad(path: Path) -> list[Question]:
    """Reads the questions of a SQuAD file, v1.1 or v2.0; answers must be at the characters that they name."""
    try:
        squad = _SQuAD.model_validate_json(_text(path))
    except ValidationError as error:
        raise InputError(f"{path}: not the JSON of SQuAD: {first_of(error)}") from error
    found, seen = [], set()
    for paragraph in (p for article in squad.data for p in article.paragraphs):
        for asked in paragraph.qas:
            if asked.id in seen:
                raise InputError(f"{path}: two questions have the id {asked.id!r}")
            seen.add(asked.id)
            answers = [] if asked.is_impossible else asked.answers
            for answer in answers:
                start, stop = answer.answer_start, answer.answer_start + len(answer.text)
                if start < 0 or not answer.text or paragraph.context[start:stop] != answer.text:
                    raise InputError(
                        f"{path}: question {asked.id!r}: its answer {answer.text[:40]!r} is not at character {start} "
                        "of the context"
                    )
            given = tuple((answer.answer_start, answer.text) for answer in answers)
            found.append(Question(asked.id, asked.question, paragraph.context, given))
    return _some(path, found, "question")


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a file that are not blank."""
    return _some(path, [line for line in _text(path).split("\n") if line.strip()], "line")


def labels(found: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, sorted."""
    return tuple(sorted(set(found)))


def differences(train: Iterable[str], dev: Iterable[str]) -> list[str]:
    """What differs between the labels of two files, at most a line for each; such differences stop no training."""
    known, wanted = set(train), set(dev)
    told = []
    if new := sorted(wanted - known):
        told.append(f"never seen in training, so always wrong in dev: {_listed(new)}")
    if unused := sorted(known - wanted):
        told.append(f"in training but not in dev: {_listed(unused)}")
    return told


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Lines with their numbers, in groups between blank lines."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _text(path: Path) -> str:
    r"""A file's text with line ends as "\\n"; InputError if it cannot be read, is too large or not UTF-8."""
    most = Limits().bytes
    try:
        size = path.stat().st_size
        if size > most:
            raise InputError(f"{path}: {size:,} bytes are too many; a file may have {most:,}")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _bad(path, line, f"not UTF-8 at byte {error.start}") from error


def _some(path: Path, found: list[T], what: str) -> list[T]:
    if not found:
        raise InputError(f"{path}: the file has no {what}")
    return found


def _bad(path: Path, line: int, said: str) -> InputError:
    return InputError(f"{path}:{line}: {said}")
