"""How every table of results looks: widths, alignment, and how many rows a person reads."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from sltfleet.report.sanitize import visible

#: Of long lists so many have a line; `--format json` has all.
MAX_ROWS = 20

#: Names and messages are cut to these widths, so that a table fits into a terminal of common width.
NAME_WIDTH = 48
MESSAGE_WIDTH = 60
MAX_HOSTS_NAMED = 3

Row = Sequence[str]


def table(rows: Sequence[Row], headers: Sequence[str], *, text_columns: int | Sequence[int]) -> str:
    """Return the table, its columns of text to the left and those of numbers to the right; "" without rows."""
    if not rows:
        return ""
    left = range(text_columns) if isinstance(text_columns, int) else text_columns
    align = ["left" if column in left else "right" for column in range(len(headers))]
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=align)


def hosts_text(names: Sequence[str]) -> str:
    """Return the first few names of hosts, and how many more there are."""
    shown = ", ".join(visible(name) for name in names[:MAX_HOSTS_NAMED])
    left_out = len(names) - MAX_HOSTS_NAMED
    return f"{shown} and {left_out} more" if left_out > 0 else shown
