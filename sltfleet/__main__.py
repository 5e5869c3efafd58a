"""`python -m sltfleet` is the console script `sltfleet`."""

from sltfleet.cli.main import main

if __name__ == "__main__":
    main()
