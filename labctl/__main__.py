"""The `labctl` command."""

import sys


def main() -> None:
    """Run the command line and exit with its status; imports late so that Ctrl-C during start-up is handled too."""
    try:
        from labctl.cli.main import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


if __name__ == "__main__":
    main()
