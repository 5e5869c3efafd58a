from __future__ import annotations

from collections.abc import Callable

import pytest

from sltfleet.config.fields import (
    FieldError,
    SourceFloat,
    read_duration,
    read_env_value,
    read_glob,
    read_list,
    read_regex,
    read_section,
    read_size,
    read_sync_pattern,
    read_template,
)

Reader = Callable[[object], object]


@pytest.mark.parametrize(
    ("reader", "value", "expected"),
    [
        (read_duration, 300, 300.0),
        (read_duration, 0.5, 0.5),
        (read_duration, "1h30m", 5400.0),
        (read_size, 4096, 4096),
        (read_size, "4MiB", 4 * 1024**2),
        (read_glob, "**/*.test", "**/*.test"),
        (read_regex, r"^FAILED (?P<case>\S+): (?P<message>.*)$", r"^FAILED (?P<case>\S+): (?P<message>.*)$"),
        (read_regex, r"(?P<quote>['\"]).*(?P=quote)", r"(?P<quote>['\"]).*(?P=quote)"),
        (read_env_value, "x", "x"),
        (read_env_value, 1, "1"),
        (read_env_value, SourceFloat.read("1.10"), "1.10"),
        (read_template, "{worker}-{{x}}", "{worker}-{{x}}"),
        (read_template, 7, "7"),
        (read_sync_pattern, r"\!n", r"\!n"),
        (read_list, ["a"], ("a",)),
        (read_section, None, {}),
    ],
)
def test_values_are_read_as_they_are_meant(reader: Reader, value: object, expected: object) -> None:
    result = reader(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("reader", [read_glob, read_regex, read_env_value, read_template, read_list])
@pytest.mark.parametrize("value", [None, True, {"a": 1}])
def test_a_value_of_another_type_is_left_to_pydantic(reader: Reader, value: object) -> None:
    assert reader(value) is value


@pytest.mark.parametrize(
    ("reader", "value", "message", "hint"),
    [
        (read_duration, True, "expected a duration", "1h30m"),
        (read_duration, None, "expected a duration", "1h30m"),
        (read_duration, 0, "more than 0", ""),
        (read_duration, float("nan"), "more than 0", ""),
        (read_duration, 10**400, "longer than", ""),
        (read_duration, "5 minutes", "is no duration", ""),
        (read_size, 1.5, "expected a size", "4MiB"),
        (read_size, False, "expected a size", "4MiB"),
        (read_size, "4M", "is no size", ""),
        (read_size, -1, "at least 1", ""),
        (read_glob, "/abs/*", "absolute", ""),
        (read_glob, "a**", "must stand alone", ""),
        (read_regex, "(", "is no regular expression", ""),
        (read_regex, "(?P<cas>x)", "means nothing here", "did you mean 'case'?"),
        (read_template, "{workr}", "unknown placeholder", "did you mean 'worker'?"),
        (read_template, "{", "a lone", ""),
    ],
)
def test_what_cannot_be_used_is_refused_in_plain_words(reader: Reader, value: object, message: str, hint: str) -> None:
    with pytest.raises(FieldError) as caught:
        reader(value)
    assert message in caught.value.message
    assert hint in caught.value.hint
