"""First code of the stand-in's one file (a zip archive behind a `#!` line): unpacks itself once, and goes on from there.

It is the counterpart of k3s's own self-extraction. Standard library alone, and nothing slow: `k3s --version` runs here.
"""

import os
import shutil
import sys
import zipfile
from pathlib import Path

DATA = Path("/var/lib/rancher/k3s/data")
PYTHON = "/usr/bin/python3"
CODE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from tests.hosts.standin.program.cli import main; sys.exit(main(sys.argv[1], sys.argv[2:]))"
)


def main() -> None:
    """Answer `--version`, or become the unpacked program."""
    archive = Path(sys.argv[0])
    with zipfile.ZipFile(archive) as files:
        version = files.read("VERSION").decode().strip()
        if sys.argv[1:2] in (["--version"], ["-v"]):
            print(f"k3s version {version} (standin1)\ntest double of k3s, built from labctl: not k3s\ngo version go0")
            return
        target = DATA / files.read("DIGEST").decode().strip()
        if not (target / "COMPLETE").exists():
            _unpack(files, target)
    os.execv(PYTHON, [PYTHON, "-I", "-c", CODE, str(target), archive.name, *sys.argv[1:]])


def _unpack(files: zipfile.ZipFile, target: Path) -> None:
    partial = target.with_name(f"{target.name}.tmp{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    files.extractall(partial)
    (partial / "COMPLETE").touch()
    try:
        partial.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(partial, ignore_errors=True)


if __name__ == "__main__":
    main()
