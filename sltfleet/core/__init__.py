"""The core: everything that decides, and nothing that acts.

No I/O, no clock, no third-party import, nothing from the layers around it (only `sltfleet.wire`). Functions take `now`
and return values; a command's argv or script stands beside the parser of what it prints. `tests/unit/test_imports.py`
holds the line.
"""
