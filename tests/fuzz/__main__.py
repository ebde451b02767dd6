"""`python -m tests.fuzz [--requests 60000] [--seed 1]`: everything, with the seed that finds a failure again."""

from __future__ import annotations

import argparse
import asyncio
import gc
import time

from tests.fuzz.api import fuzz_api
from tests.fuzz.frames import fuzz_frames
from tests.fuzz.requests import fuzz_requests
from tests.fuzz.upstreams import fuzz_upstreams

PARTS = (
    ("requests to the ingress", fuzz_requests, 0.6),
    ("answers of pods", fuzz_upstreams, 0.1),
    ("HTTP/2 frames", fuzz_frames, 0.1),
    ("requests to the Kubernetes API", fuzz_api, 0.2),
)


def main() -> None:
    """Run all parts and say how many there were."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, part, share in PARTS:
        count = int(options.requests * share)
        began = time.monotonic()
        asyncio.run(part(options.seed, count))
        gc.collect()
        print(f"{name}: {count} with seed {options.seed}, nothing broke, {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
