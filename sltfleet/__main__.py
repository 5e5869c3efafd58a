"""The console script `sltfleet`, and `python -m sltfleet`."""

import sys

from sltfleet.cli.interrupt import forget_interruption


def main() -> None:
    """Import the command line and run it. Ctrl-C counts from the first import on, and shows nobody a traceback."""
    try:
        from sltfleet.cli.main import main as run
    except KeyboardInterrupt:
        forget_interruption()
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
