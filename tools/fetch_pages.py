"""Fetches the documents that real pages for training are taken from, out of Debian's packages, without being root.

    python tools/fetch_pages.py FOLDER [--debs CACHE] [--packages NAME ...]

Downloads packages with apt-get, 2 GB in all, and takes the PDFs alone out of them, to FOLDER/PACKAGE/usr/share/doc/…;
those that were gzipped are unpacked. A package that is there is passed over, so the same command goes on where it was
stopped. CACHE keeps the .deb files and is looked in first. Everything is from Debian's main, so free to use, but never
part of the package. Elsewhere than on Debian: put the .deb files from https://packages.debian.org into CACHE.
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
LARGEST = 256 << 20  #: bytes of one PDF; a larger one is passed over
MOST = 8 << 30  #: bytes of all PDFs of a package


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--debs", type=Path, help="where .deb files are kept and looked for first")
    parser.add_argument("--packages", nargs="+", default=PACKAGES, metavar="NAME", help="these alone, not all")
    asked = parser.parse_args()
    if not shutil.which("dpkg-deb"):
        raise SystemExit("this needs Debian's dpkg-deb, and apt-get unless --debs has the packages")
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.packages:
        if (asked.folder / name).is_dir():
            print(f"{name}: is there")
            continue
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=asked.folder) as work:
            count, size = unpacked(deb(name, asked.debs, Path(work)), Path(work) / "pdf")
            (Path(work) / "pdf").rename(asked.folder / name)
        print(f"{name}: {count} PDFs, {size / 1e6:.0f} MB", flush=True)


def deb(name: str, cache: Path | None, work: Path) -> Path:
    """The .deb file of a package, out of the cache or downloaded: to the cache if there is one, else to `work`."""
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
    """Unpacks a package's PDFs into `folder`; how many they are, and their bytes. Links are passed over."""
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
    """Writes a PDF and gives its size; 0, and nothing is written, where it is damaged or larger than LARGEST."""
    try:
        with gzip.GzipFile(fileobj=source) if packed else source as file:
            data = file.read(LARGEST + 1)
    except (EOFError, OSError):
        data = b""
    if not 0 < len(data) <= LARGEST:
        print(f"{path}: passed over: empty, damaged or larger than {LARGEST >> 20} MB", file=sys.stderr)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return len(data)


if __name__ == "__main__":
    main()
