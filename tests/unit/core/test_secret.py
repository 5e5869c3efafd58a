from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.secret import HIDDEN, is_secret, mask, secret_values


@pytest.mark.parametrize(
    "name",
    ["API_TOKEN", "github_token", "DB_PASSWORD", "PGPASSWD", "AWS_ACCESS_KEY", "API_KEY", "APIKEY", "KEY"],
)
def test_a_name_tells_that_its_value_is_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["RUST_LOG", "SQLLOGICTEST_SEED", "KEYBOARD", "MONKEY", "AUTHOR", "PASSES"])
def test_other_names_are_not(name: str) -> None:
    assert not is_secret(name)


def test_the_values_of_secret_names_are_hidden_line_by_line_and_too_short_ones_are_not() -> None:
    found = secret_values([{"A_TOKEN": "line one\nline two", "B_TOKEN": "abc", "C": "public"}, {"KEY": "line one!"}])
    assert found == ("line one\nline two", "line one!", "line one", "line two")
    assert mask("x line one! y line two z abc", found) == f"x {HIDDEN} y {HIDDEN} z abc"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:hunter2@db:6379/0", f"redis://:{HIDDEN}@db:6379/0"),
        ("see redis://jane:p%20w@db, or https://x.org/a:b@c", f"see redis://jane:{HIDDEN}@db, or https://x.org/a:b@c"),
        ("ssh://jane@host:22", "ssh://jane@host:22"),
    ],
)
def test_the_password_of_a_url_is_hidden(text: str, expected: str) -> None:
    assert mask(text, ()) == expected


@given(st.lists(st.text(min_size=4, max_size=20), max_size=4), st.text(max_size=50))
def test_no_secret_is_left_but_what_the_mask_itself_spells(secrets: list[str], text: str) -> None:
    values = secret_values([{f"A{number}_TOKEN": secret for number, secret in enumerate(secrets)}])
    for secret in values:
        masked = mask(f"{text}{secret}{text}", (secret,))
        assert secret not in masked.replace(HIDDEN, "\0")
