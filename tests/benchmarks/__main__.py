"""All benchmarks, one after another: `python -m tests.benchmarks`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path


def main() -> None:
    """Run every module of this folder that is called bench_*."""
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n# {path.stem}")
        import_module(f"tests.benchmarks.{path.stem}").main()


if __name__ == "__main__":
    main()
