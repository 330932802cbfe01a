"""Annotated files are read as their formats say, and what is wrong in one is named with its line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from microfiche.errors import InputError
from microfiche.pixel.examples import (
    Labelled,
    Sentence,
    differences,
    read_conllu,
    read_ner,
    read_squad,
    read_tsv,
)


def row(number: object, word: str, tag: str = "X", head: object = "_", relation: str = "_") -> str:
    return f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_\n"


SENTENCE = (
    "# text = Vámonos al mar\n"
    + row("1-2", "vámonos")
    + row(1, "vamos", "VERB", 0, "root")
    + row(2, "nos", "PRON", 1, "obj")
    + row("2.1", "ahora", "ADV")
    + row("3-4", "al")
    + row(3, "a", "ADP", 5, "case")
    + row(4, "el", "DET", 5, "det:def")
    + row(5, "mar", "NOUN", 1, "obl")
)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "data"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_conllu_is_words_only(tmp_path: Path) -> None:
    file = written(tmp_path, f"{SENTENCE}\n\n{SENTENCE}".replace("\n", "\r\n"))
    tree = Sentence(
        ("vamos", "nos", "a", "el", "mar"),
        ("VERB", "PRON", "ADP", "DET", "NOUN"),
        (0, 1, 5, 5, 1),
        ("root", "obj", "case", "det:def", "obl"),
    )
    assert read_conllu(file, trees=True) == [tree, tree]
    assert read_conllu(file, trees=False) == [Sentence(tree.words, tree.tags)] * 2


def test_words_and_labels_are_kept_as_they_are(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff" + row(1, "10 000", "NUM") + row(2, "a\u2028b\x85"))
    assert read_conllu(file, trees=False)[0].words == ("10 000", "a\u2028b\x85")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("# only\n", ": the file has no sentence"),
        ("", ": the file has no sentence"),
        (row(1, "a") + "2\tb\tX\n", ":2: 3 columns where a word has 10"),
        ("1 a _ X\n", ":1: 1 columns"),
        (row(1, "a", head=0, relation="root") + row(3, "b"), ":2: word '3' where 2 is expected"),
        (row("x", "a"), ":1: word 'x' where 1 is expected"),
        (row(1, " "), ":1: a word without a form"),
        (row(1, "a"), ":1: head '_' is not one of 0 to 1"),
        (row(1, "a", head="²"), ":1: head '²' is not one of 0 to 1"),
        (row(1, "a", head=2), ":1: head '2' is not one of 0 to 1"),
        (row(1, "a", head="9" * 5000), " is not one of 0 to 1"),
        (row(1, "a", head="0000000001"), ":1: head '0000000001' is not one of 0 to 1"),
        (row(1, "a", head=0), ":1: a word without a relation"),
        (row(1, "a", head=0) + row(2, "b", head=0), ":2: the sentence has 2 roots"),
        (row(1, "a", head=1), ":1: the sentence has 0 roots"),
        (row(1, "a", head=0) + row(2, "b", head=3) + row(3, "c", head=2), ":2: the heads from word 2 on form"),
        (row(1, "a").encode() + b"\n\xff", ":3: not UTF-8 at byte"),
    ],
)
def test_what_is_wrong_in_conllu_is_named(tmp_path: Path, content: str | bytes, said: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(InputError, match=re.escape(str(file)) + ".*" + re.escape(said)):
        read_conllu(file, trees=True)


def test_ner_is_a_word_and_its_tag(tmp_path: Path) -> None:
    file = written(tmp_path, "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ O O\n\n\n# NN O O\n")
    assert read_ner(file) == [Sentence(("EU", "rejects"), ("B-ORG", "O")), Sentence(("#",), ("O",))]
    assert read_ner(written(tmp_path, "New York\tS-LOC\n"))[0].words == ("New York",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("EU B-ORG\nrejects\n", ":2: one column, 'rejects'"),
        ("# id 7\n", ":1: '7' is not a tag"),
        ("EU B-\n", ":1: 'B-' is not a tag"),
        ("\tO\n", ":1: a tag without a word"),
        ("-DOCSTART- O\n\n", ": the file has no sentence"),
    ],
)
def test_what_is_wrong_in_ner_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        read_ner(written(tmp_path, content))


def test_tsv_is_a_label_and_texts(tmp_path: Path) -> None:
    assert read_tsv(written(tmp_path, "a\tone\n\nb\ttwo")) == [Labelled(("one",), "a"), Labelled(("two",), "b")]
    assert read_tsv(written(tmp_path, "a\tone\ttwo\n")) == [Labelled(("one", "two"), "a")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a one\n", ":1: 1 columns where"),
        ("a\t1\t2\t3\n", ":1: 4 columns where"),
        ("a\t1\n\nb\t1\t2\n", ":3: 2 texts where the lines before have 1"),
        (" \tone\n", ":1: a text without a label"),
        ("\n", ": the file has no line"),
    ],
)
def test_what_is_wrong_in_tsv_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        read_tsv(written(tmp_path, content))


def squad(**changed: object) -> str:
    asked = {"id": "q", "question": "Who?", "answers": [{"answer_start": 4, "text": "Ann"}], **changed}
    paragraph = {"context": "Old Ann", "qas": [asked]}
    return json.dumps({"version": "x", "data": [{"title": "t", "paragraphs": [paragraph]}]})


def test_squad_of_both_versions(tmp_path: Path) -> None:
    (found,) = read_squad(written(tmp_path, squad()))
    assert (found.id, found.question, found.context, found.answers) == ("q", "Who?", "Old Ann", ((4, "Ann"),))
    (none,) = read_squad(written(tmp_path, squad(answers=[], is_impossible=True)))
    assert none.answers == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not the JSON of SQuAD"),
        ("[" * 100_000, "not the JSON of SQuAD"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data.0.paragraphs.0.context: Field required"),
        ('{"data": []}', "the file has no question"),
        (squad(answers=[{"answer_start": 3, "text": "Ann"}]), "'q': its answer 'Ann' is not at character 3"),
        (squad(answers=[{"answer_start": -3, "text": "Ann"}]), "is not at character -3"),
    ],
)
def test_what_is_wrong_in_squad_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        read_squad(written(tmp_path, content))


def test_labels_that_differ_are_named() -> None:
    assert differences(["a", "b"], ["b", "a", "a"]) == []
    new, unused = differences(["a", "b"], ["a", "c", *map(str, range(20))])
    assert "never seen in training" in new and "0, 1, 10" in new and "and 13 more" in new
    assert "not in dev: b" in unused
