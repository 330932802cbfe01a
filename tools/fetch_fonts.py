"""Fetches the outline fonts of printed pages and strips from Debian's packages. It does not need root.

    python tools/fetch_fonts.py [--print] [FOLDER]

It downloads the packages in typesetting/fonts.toml and pixel/strip_fonts.toml with apt-get and copies only the fonts in
them to ~/.local/share/microfiche/fonts, where Microfiche looks for them; with --print also those for `train print`.
`apt-get install` of the packages works as well. On other systems, unpack the same packages from
https://packages.debian.org and copy what is in usr/share/fonts, usr/share/texmf/fonts and
usr/share/texlive/texmf-dist/fonts to that folder.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from microfiche.pixel.shaping import STRIP_FONTS
from microfiche.typesetting.fonts import BUNDLED, FETCHED, INSTALLED, PRINT_TYPEFACES, STYLES, TYPEFACES


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetches the fonts of printed pages and strips.")
    parser.add_argument("--print", action="store_true", dest="for_print", help="also what `train print` needs (521 MB)")
    parser.add_argument("folder", nargs="?", type=Path, default=FETCHED, help="(default: %(default)s)")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    faces = [*TYPEFACES.values(), *(PRINT_TYPEFACES.values() if arguments.for_print else ())]
    wanted = [t for t in faces if t.package != BUNDLED]
    files = {getattr(t, style) for t in wanted for style in STYLES}
    files |= {name for package, name in STRIP_FONTS if package != BUNDLED}
    packages = sorted({t.package for t in wanted} | {package for package, _ in STRIP_FONTS if package != BUNDLED})
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SystemExit("this needs Debian's apt-get and dpkg-deb; the packages are: " + " ".join(packages))
    with tempfile.TemporaryDirectory() as work:
        quiet = ["apt-get", "-q", "-o", "APT::Sandbox::User=", "download"]
        if subprocess.run([*quiet, *packages], cwd=work, stdout=sys.stderr).returncode:
            raise SystemExit("apt-get could not download all of these packages: " + " ".join(packages))
        for package in Path(work).glob("*.deb"):
            unpack(package, Path(work) / "all")
        for name in sorted(files):
            places = (Path(f"{work}/all{installed}") / name for installed in INSTALLED)
            found = next((file for file in places if file.is_file()), None)
            if found is None:
                raise SystemExit(f"none of the packages has {name}")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, folder / name)
    print(f"{len(wanted)} typefaces, {len(files)} files from {len(packages)} packages in {folder}")


def unpack(package: Path, folder: Path) -> None:
    """Unpacks the fonts and the links in a Debian package."""
    command = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as reading,
        tarfile.open(fileobj=reading.stdout, mode="r|") as tar,
    ):
        fonts = (m for m in tar if not m.isfile() or m.name.endswith((".otf", ".ttf", ".ttc")))
        tar.extractall(folder, fonts, filter="fully_trusted")
    if reading.returncode:
        raise SystemExit(f"{package.name}: dpkg-deb could not read this package")


if __name__ == "__main__":
    main()
