"""Fetches the documents from which real pages for training are taken, out of Debian's packages. It does not need root.

    python tools/fetch_pages.py FOLDER [--debs CACHE] [--packages NAME ...]

It downloads packages with apt-get, 2 GB in all, and extracts only the PDFs, to FOLDER/PACKAGE/usr/share/doc/…; gzipped
ones are unpacked. A package that is already there is skipped, so the same command continues where it was stopped. CACHE
keeps the .deb files and is searched first. Everything is from Debian's main section, so it is free to use, but it never
becomes part of Microfiche. On other systems, put the .deb files from https://packages.debian.org into CACHE.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

PACKAGES = (
    "texlive-publishers-doc", "texlive-latex-recommended-doc", "texlive-humanities-doc", "texlive-lang-german",
    "texlive-lang-cyrillic", "r-doc-pdf", "octave-doc", "installation-guide-amd64", "debian-refcard",
    "c++-annotations-pdf", "texlive-latex-extra-doc", "texlive-latex-base-doc", "texlive-pictures-doc",
    "texlive-science-doc", "texlive-lang-french", "texlive-lang-chinese", "texlive-lang-japanese",
    "texlive-lang-greek", "texlive-lang-korean", "texlive-lang-other", "texlive-lang-arabic", "texlive-fonts-extra-doc",
    "gnucash-docs", "lilypond-doc-pdf-de", "debian-reference-ja", "debian-reference-zh-cn", "developers-reference",
)  # fmt: skip
LARGEST = 256 << 20  #: the most bytes of a PDF; larger ones are skipped
MOST = 8 << 30  #: the most bytes of all PDFs of a package


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--debs", type=Path, help="folder that keeps .deb files and is searched first")
    parser.add_argument("--packages", nargs="+", default=PACKAGES, metavar="NAME", help="only these packages")
    asked = parser.parse_args()
    if not shutil.which("dpkg-deb"):
        raise SystemExit("this needs Debian's dpkg-deb, and apt-get unless --debs has the packages")
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.packages:
        if (asked.folder / name).is_dir():
            print(f"{name}: already there")
            continue
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=asked.folder) as work:
            count, size = unpacked(deb(name, asked.debs, Path(work)), Path(work) / "pdf")
            (Path(work) / "pdf").rename(asked.folder / name)
        print(f"{name}: {count} PDFs, {size / 1e6:.0f} MB", flush=True)


def deb(name: str, cache: Path | None, work: Path) -> Path:
    """Returns the .deb file of a package: from the cache, or downloaded to the cache or, if there is none, to
    `work`."""
    if cache and (found := sorted(cache.glob(f"{name}_*.deb"))):
        return found[-1]
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=", "download", name]
    if not shutil.which("apt-get") or subprocess.run(command, cwd=work, stdout=sys.stderr).returncode:
        raise SystemExit(f"{name}: cannot be downloaded with apt-get; put its .deb file where --debs says")
    found = next(iter(work.glob("*.deb")))
    if not cache:
        return found
    cache.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, cache / f".{found.name}.part")
    return (cache / f".{found.name}.part").rename(cache / found.name)


def unpacked(package: Path, folder: Path) -> tuple[int, int]:
    """Unpacks a package's PDFs into `folder`. Returns how many there are, and their bytes. Links are skipped."""
    folder.mkdir()
    count = size = 0
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
                for member in archive:
                    path = PurePosixPath(member.name)
                    if not member.isfile() or not path.name.endswith((".pdf", ".pdf.gz")):
                        continue
                    if path.is_absolute() or ".." in path.parts:
                        continue
                    source = archive.extractfile(member)
                    assert source is not None
                    written = write(source, folder / str(path).removesuffix(".gz"), path.suffix == ".gz")
                    count, size = count + (written > 0), size + written
                    if size > MOST:
                        raise SystemExit(f"{package}: its PDFs are more than {MOST >> 30} GB")
        except tarfile.TarError as error:
            raise SystemExit(f"{package}: not a whole package ({error}); delete it and begin again") from error
    if process.returncode:
        raise SystemExit(f"{package}: dpkg-deb cannot unpack it; delete it and begin again")
    return count, size


def write(source: IO[bytes], path: Path, packed: bool) -> int:
    """Writes a PDF and returns its size. If it is empty, damaged or larger than LARGEST, nothing is written and the
    result is 0."""
    try:
        with gzip.GzipFile(fileobj=source) if packed else source as file:
            data = file.read(LARGEST + 1)
    except (EOFError, OSError):
        data = b""
    if not 0 < len(data) <= LARGEST:
        print(f"{path}: skipped: empty, damaged or larger than {LARGEST >> 20} MB", file=sys.stderr)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data)


if __name__ == "__main__":
    main()
