"""Builds the stand-in k3s into one executable file, and lays it out as a k3s release names its files."""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import io
import json
import py_compile
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests.hosts.paths import cache

_ROOT = Path(__file__).parents[3]
_PROGRAM = Path(__file__).parent / "program"
_LOCK = _ROOT / "requirements.lock"
_IMPORTED = """
import json, sys
from importlib.metadata import packages_distributions
from tests.hosts.standin.program import agent, cli, server
tops = {name.partition(".")[0] for name in sys.modules}
plain = lambda name: name.lower().replace("_", "-").replace(".", "-")
print(json.dumps(sorted({plain(name) for top, names in packages_distributions().items() if top in tops for name in names})))
"""
_PYTHON = "3.11"
_PLATFORM = "manylinux_2_28_x86_64"
_FIRST_LINE = b"#!/usr/bin/python3 -I\n"


def artifacts(directory: Path, version: str) -> list[Path]:
    """Write `k3s`, `sha256sum-amd64.txt` and a small image archive; their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    k3s = directory / "k3s"
    shutil.copyfile(executable(version), k3s)
    k3s.chmod(0o755)
    images = directory / "k3s-airgap-images-amd64.tar"
    images.write_bytes(_images())
    sums = directory / "sha256sum-amd64.txt"
    sums.write_text("".join(f"{_sum(path)}  {path.name}\n" for path in (images, k3s)))
    return [k3s, sums, images]


def executable(version: str) -> Path:
    """The one file, built if there is none of this content yet."""
    digest = _digest(version)
    folder = cache() / "standin"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"k3s-{digest}"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=folder) as work:
                partial = Path(work) / "k3s"
                partial.write_bytes(_FIRST_LINE + _archive(Path(work) / "tree", version, digest))
                partial.chmod(0o755)
                partial.replace(target)
    return target


def _digest(version: str) -> str:
    """Names the content: the sources, the pinned libraries, the version."""
    sums = hashlib.sha256(repr((version, _PLATFORM, sys.version_info[:2])).encode())
    for path in sorted([*(_ROOT / "labctl").rglob("*"), *_PROGRAM.glob("*"), _LOCK, Path(__file__)]):
        if path.is_file() and path.suffix != ".pyc":
            sums.update(str(path.relative_to(_ROOT)).encode() + path.read_bytes())
    return sums.hexdigest()[:16]


def _archive(tree: Path, version: str, digest: str) -> bytes:
    tree.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    _install(tree)
    shutil.copytree(_ROOT / "labctl", tree / "labctl", ignore=ignored)
    package = tree / "tests/hosts/standin"
    package.mkdir(parents=True)
    for folder in (tree / "tests", tree / "tests/hosts", package):
        (folder / "__init__.py").touch()
    shutil.copytree(_PROGRAM, package / "program", ignore=ignored)
    (package / "program/release.py").write_text(f'"""Made by the build."""\n\nVERSION = "{version}"\n')
    shutil.copyfile(_PROGRAM / "boot.py", tree / "__main__.py")
    (tree / "VERSION").write_text(version)
    (tree / "DIGEST").write_text(digest)
    if sys.version_info[:2] == (3, 11):  # the hosts' own: they need not compile
        compileall.compile_dir(tree, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as files:
        for path in sorted(tree.rglob("*")):
            files.write(path, path.relative_to(tree))
    return content.getvalue()


def _install(tree: Path) -> None:
    """The libraries that it imports, as the lock pins them, built for the hosts' Python and not for this one."""
    done = subprocess.run([sys.executable, "-c", _IMPORTED], cwd=_ROOT, check=True, capture_output=True, text=True)
    libraries = json.loads(done.stdout)
    blocks = re.findall(r"^\S+==[^\n]*\n(?:    --hash[^\n]*\n)+", _LOCK.read_text(), re.MULTILINE)
    wanted = "".join(re.sub(r" ;[^\\\n]*", "", block) for block in blocks if block.split("==")[0] in libraries)
    requirements = tree.with_name("requirements.txt")
    requirements.write_text(wanted)
    where = ["--target", str(tree), "--python-version", _PYTHON, "--implementation", "cp", "--platform", _PLATFORM]
    what = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    platforms = ["--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_17_x86_64"]
    subprocess.run([sys.executable, "-m", "pip", "install", *quiet, *where, *platforms, *what], check=True)


def _images() -> bytes:
    """An image archive as `docker save` writes it, with nothing in it."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        manifest = json.dumps([]).encode()
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))
    return content.getvalue()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
