"""`python -m labctl.embedded STATE_DIRECTORY READY_FD`: the embedded cluster's process."""

import sys
from pathlib import Path

from labctl.embedded.daemon import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
