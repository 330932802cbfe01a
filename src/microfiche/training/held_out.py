"""Which of the PDFs that real pages come from are never trained on: a rule, so that all keep the same ones apart."""

from __future__ import annotations

import hashlib
import re

#: Packages and the units in them whose pages benchmarks/pages.json lists, and those that hold the same texts
#: (jieeetran, revtex4, revtex4-1).
EVALUATED: dict[str, tuple[str, ...]] = {
    "debian-refcard": ("",),
    "gnucash-docs": ("",),
    "octave-doc": ("",),
    "texlive-fonts-extra-doc": (
        "fonts/andika", "fonts/atkinson", "fonts/charissil", "fonts/fira", "fonts/gentium-tug", "fonts/gofonts",
        "fonts/ibarra", "fonts/libertinus-fonts", "fonts/roboto",
    ),
    "texlive-humanities-doc": ("latex/eledmac",),
    "texlive-lang-arabic": ("xelatex/sexam",),
    "texlive-lang-chinese": ("latex/fduthesis", "latex/xpinyin", "latex/zhnumber"),
    "texlive-lang-cyrillic": ("bibtex/gost",),
    "texlive-lang-french": ("latex/bibleref-french", "latex/booktabs-fr", "latex/l2tabu-french", "xelatex/facture"),
    "texlive-lang-greek": ("support/mkgrkindex",),
    "texlive-lang-japanese": (
        "bibtex/ieejtran", "bibtex/jieeetran", "latex/gckanbun", "latex/platexcheat", "platex/pxbase",
    ),
    "texlive-latex-base-doc": ("latex/hyperref",),
    "texlive-latex-extra-doc": (
        "latex/acro", "latex/bewerbung", "latex/blowup", "latex/cheatsheet", "latex/csvsimple",
        "latex/diabetes-logbook", "latex/exam-n", "latex/glossaries", "latex/halloweenmath", "latex/hletter",
        "latex/labbook", "latex/magaz", "latex/mathexam", "latex/metanorma", "latex/modernposter", "latex/powerdot",
        "latex/rmpage", "latex/sttools", "latex/subfigmat", "latex/tabularborder", "latex/tabularew", "latex/xassoccnt",
        "latex/yaletter",
    ),
    "texlive-latex-recommended-doc": ("latex/cite", "latex/mdwtools"),
    "texlive-pictures-doc": ("latex/mathspic", "latex/prerex", "latex/tufte-latex"),
    "texlive-publishers-doc": (
        "bibtex/bath-bst", "latex/asmeconf", "latex/bangorexam", "latex/cesenaexam", "latex/hagenberg-thesis",
        "latex/hitszbeamer", "latex/jmlr", "latex/llncs", "latex/nddiss", "latex/revtex", "latex/revtex4",
        "latex/revtex4-1", "latex/ryersonsgsthesis", "latex/seuthesis", "latex/seuthesix", "latex/tabriz-thesis",
        "latex/thesis-ekf", "latex/thubeamer", "latex/tuda-ci", "latex/tugboat", "latex/wsemclassic", "latex/yb-book",
        "latex/york-thesis", "plain/tugboat-plain",
    ),
    "texlive-science-doc": ("latex/ghsystem", "latex/siunitx"),
}  # fmt: skip
#: The families that docs/fonts.md calls unseen, as PDFs spell their names.
_UNSEEN = re.compile("cabin|clearsans|biolin|ebgaramond|libertin|vollkorn|fira|zenhei")


def unit_of(file: str) -> str:
    """The unit of a PDF by its path PACKAGE/usr/share/doc/…: the package and, in TeX Live's, the first two folders
    below texlive-doc. PDFs of one unit share text, so they are held out together."""
    package, *folders = file.split("/")[:-1]
    inner = folders[folders.index("texlive-doc") + 1 :][:2] if "texlive-doc" in folders else []
    return f"{package}/{'/'.join(inner)}"


def unit_held_out(unit: str) -> bool:
    """Whether a unit is one that is evaluated, or its SHA-256 starts with the hex digit 0."""
    package, _, folders = unit.partition("/")
    return folders in EVALUATED.get(package, ()) or hashlib.sha256(unit.encode()).hexdigest()[0] == "0"


def unseen(font: str) -> bool:
    """Whether a font of this name, as a PDF has it, is of a family that no training page is set in."""
    return bool(_UNSEEN.search(re.sub("[^a-z]", "", font.split("+")[-1].lower())))
