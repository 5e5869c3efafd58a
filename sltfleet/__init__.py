"""sltfleet: a fleet launcher over SSH for slow Rust test suites.

The package's map is `docs/architecture.md`. Importing this module must stay cheap: it holds the version only.
"""

__version__ = "0.1.0"
