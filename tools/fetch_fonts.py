"""Fetches the outline fonts that documents and PIXEL's strips are set in, from Debian, without being root.

    python tools/fetch_fonts.py [FOLDER]

Downloads the packages of typesetting/fonts.py and typesetting/coverage.py with apt-get and takes the fonts alone out of
them, into ~/.local/share/microfiche/fonts, where they are looked for. `apt-get install` of the packages does as well.
Elsewhere than on Debian: unpack the same packages from https://packages.debian.org and copy usr/share/fonts.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from microfiche.typesetting.coverage import SOURCES
from microfiche.typesetting.fonts import BUNDLED, FETCHED, STYLES, TYPEFACES


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FETCHED
    wanted = [t for t in TYPEFACES.values() if t.package != BUNDLED]
    sources = [s for s in SOURCES if s.package != BUNDLED]
    packages = sorted({t.package for t in wanted} | {s.package for s in sources})
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise SystemExit("this needs Debian's apt-get and dpkg-deb; the packages are: " + " ".join(packages))
    with tempfile.TemporaryDirectory() as work:
        quiet = ["apt-get", "-q", "-o", "APT::Sandbox::User=", "download"]
        if subprocess.run([*quiet, *packages], cwd=work, stdout=sys.stderr).returncode:
            raise SystemExit("apt-get could not download all of " + " ".join(packages))
        for package in Path(work).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), f"{work}/all"], check=True)
        for name in sorted({getattr(t, style) for t in wanted for style in STYLES} | {s.path for s in sources}):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(f"{work}/all/usr/share/fonts/{name}", folder / name)
    print(f"{len(wanted)} typefaces and fonts for {len(sources)} scripts, from {len(packages)} packages, in {folder}")


if __name__ == "__main__":
    main()
