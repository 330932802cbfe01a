"""The .fiche file, in which pages and their vision tokens lie on disk."""

from microfiche.fiche.file import Fiche as Fiche
from microfiche.fiche.file import FicheWriter as FicheWriter
from microfiche.fiche.manifest import sha256 as sha256
