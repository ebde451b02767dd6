"""`python -m labctl.embedded STATE_DIRECTORY READY_FD`: the embedded cluster's process."""

import gc
import sys
from pathlib import Path


def _run() -> int:
    gc.disable()  # nothing that start-up makes is garbage; the daemon turns it on again
    from labctl.embedded.daemon import main

    return main(Path(sys.argv[1]), int(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(_run())
