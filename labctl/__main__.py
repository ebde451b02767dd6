"""The `labctl` command."""

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line and exit with its status; imports late so that Ctrl-C during start-up is handled too."""
    try:
        signal.signal(signal.SIGTERM, _as_ctrl_c)
        from labctl.cli.main import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _as_ctrl_c(_signal: int, _frame: FrameType | None) -> None:
    """`kill` and CI's cancel end a command as Ctrl-C does: with what was done until then."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
