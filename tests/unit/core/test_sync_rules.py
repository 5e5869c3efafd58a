"""The order of the filter rules; test_sync_selection holds what they do to git and rsync."""

from __future__ import annotations

from sltfleet.core.gitignore import parse_patterns
from sltfleet.core.sync_rules import Selection, filter_rules


def test_the_rules_come_in_the_order_in_which_the_first_match_decides() -> None:
    selection = Selection(
        hidden=("gen/", "a[.o"),
        forced=("gen/data/x",),
        ignore_files=(("", tuple(parse_patterns("*.o\n!keep.o"))),),
    )
    rules = filter_rules(selection, parse_patterns("/gen/data/"), parse_patterns("docs/"))
    assert rules.split("\0") == [
        *("S /gen/", "S /gen/data/", "S /gen/data/x"),
        *("R /gen/data/", "R /gen/data/**"),
        "- .git",
        "- .sltfleet/",
        *("- /**/docs/", "- /docs/", "- /**/docs/**", "- /docs/**"),
        "P Cargo.lock",
        *("H /gen/**", "H /a\\[.o"),
        *("R /**/keep.o", "R /keep.o", "P /**/*.o", "P /*.o"),
        *("R /**/keep.o/**", "R /keep.o/**", "P /**/*.o/**", "P /*.o/**"),
        "",
    ]
