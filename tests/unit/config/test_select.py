from __future__ import annotations

import pytest

from sltfleet.config.model import FleetConfig
from sltfleet.config.select import select_hosts
from sltfleet.core.errors import UsageError


def fleet(**tags: list[str]) -> FleetConfig:
    """Return a fleet with a host per argument, and its tags."""
    return FleetConfig.model_validate(
        {
            "project": "p",
            "hosts": {name.replace("_", "-"): {"tags": words} for name, words in tags.items()},
            "suites": {"s": {"build": {"test": "t"}, "units": {"kind": "partitions", "count": 1}}},
        }
    )


FLEET = fleet(localhost=[], box_2=["big", "lab"], box_1=["big"], arm=["small"])


@pytest.mark.parametrize(
    ("names", "tags", "selected"),
    [
        ((), (), ("localhost", "box-2", "box-1", "arm")),
        (("arm", "localhost"), (), ("localhost", "arm")),
        (("box-*",), (), ("box-2", "box-1")),
        (("box-[1]", "box-1"), (), ("box-1",)),
        ((), ("big",), ("box-2", "box-1")),
        ((), ("lab", "small"), ("box-2", "arm")),
        (("box-*", "arm"), ("lab", "small"), ("box-2", "arm")),
    ],
)
def test_hosts_are_selected_by_any_name_and_any_tag_in_the_order_of_the_file(
    names: tuple[str, ...], tags: tuple[str, ...], selected: tuple[str, ...]
) -> None:
    assert select_hosts(FLEET, names, tags) == selected


@pytest.mark.parametrize(
    ("names", "tags", "what", "fix"),
    [
        (("box-1", "box-3x"), (), "no host matches 'box-3x'", "did you mean 'box-"),
        (("BOX-1",), (), "no host matches 'BOX-1'", "known hosts: localhost, box-2, box-1, arm"),
        (("x*",), (), "no host matches 'x*'", "known hosts"),
        ((), ("bigg",), "no host has the tag 'bigg'", "did you mean 'big'?; known tags: big, lab, small"),
        (("arm",), ("big",), "no host is selected", "not both"),
    ],
)
def test_a_word_that_selects_nothing_is_an_error_that_names_what_there_is(
    names: tuple[str, ...], tags: tuple[str, ...], what: str, fix: str
) -> None:
    with pytest.raises(UsageError) as caught:
        select_hosts(FLEET, names, tags)
    assert caught.value.what == what
    assert fix in caught.value.fix


def test_a_fleet_without_tags_says_so() -> None:
    with pytest.raises(UsageError) as caught:
        select_hosts(fleet(a=[]), (), ("big",))
    assert caught.value.fix == "fleet.yaml has no tags"
