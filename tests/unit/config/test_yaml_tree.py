from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.config.fields import SourceFloat, SourceInt
from sltfleet.config.yaml_nodes import MAX_FILE_BYTES, YamlError
from sltfleet.config.yaml_tree import Place, dotted, read_yaml


def value_of(text: str) -> object:
    """Return the value of the key `v`."""
    tree = read_yaml(f"v: {text}".encode())
    assert isinstance(tree.value, dict)
    assert tree.problems == []
    return tree.value["v"]


@pytest.mark.parametrize(
    "text", ["1:30", "010", "2024-01-01", ".inf", "0x10", "1_000", "y", "n", "1e", "=", "9" * 19, "'1'"]
)
def test_words_that_only_yaml_1_1_takes_for_something_else_are_text(text: str) -> None:
    assert value_of(text) == text.strip("'")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("Yes", True),
        ("on", True),
        ("OFF", False),
        ("no", False),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_booleans_and_null_are_what_most_readers_take_them_for(text: str, value: object) -> None:
    assert value_of(text) is value


@pytest.mark.parametrize("text", ["0", "-7", "300", "+5"])
def test_whole_numbers_remember_how_they_are_written(text: str) -> None:
    value = value_of(text)
    assert isinstance(value, SourceInt)
    assert (value, value.source) == (int(text), text)


@pytest.mark.parametrize("text", ["1.10", "-.5", "1e3", "2.5E-1"])
def test_decimal_numbers_remember_how_they_are_written(text: str) -> None:
    value = value_of(text)
    assert isinstance(value, SourceFloat)
    assert (value, value.source) == (float(text), text)


def test_lists_are_tuples_and_every_key_and_value_has_its_place() -> None:
    tree = read_yaml(b"# first\nsuites:\n  sql:\n    include: ['**/*.test', b]\n")
    assert tree.value == {"suites": {"sql": {"include": ("**/*.test", "b")}}}
    assert tree.keys["suites", "sql", "include"] == Place(4, 5, "include")
    assert tree.values["suites", "sql", "include", 0] == Place(4, 15, "**/*.test")
    assert tree.values["suites", "sql", "include", 1] == Place(4, 28, "b")


def test_keys_are_text_whatever_they_look_like() -> None:
    assert read_yaml(b"{on: 1, 010: 2, null: 3, 1.5: 4}").value == {"on": 1, "010": 2, "null": 3, "1.5": 4}


def test_a_key_that_is_there_twice_is_a_problem_that_names_both_lines() -> None:
    tree = read_yaml(b"a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert tree.value == {"a": {"b": 1, "c": 2}}
    [problem] = tree.problems
    assert (problem.line, problem.column, problem.key) == (4, 3, "a.b")
    assert problem.message == "is there twice; the first is in line 2"


def test_aliases_and_merge_keys_work_and_the_own_key_wins() -> None:
    tree = read_yaml(b"a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: [*b, *a], z: 4}\n")
    assert tree.problems == []
    assert tree.value == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 3, "z": 4}}
    assert tree.keys["c", "x"].line == 1


@pytest.mark.parametrize(
    "text", ["<<: 3", "<<: [3]", "? [a]\n: 1", "!!python/object:os.system {}", "!x 1", "!!set {a}", "!!int x"]
)
def test_what_fleet_yaml_does_not_need_of_yaml_is_a_problem(text: str) -> None:
    assert read_yaml(text.encode()).problems != []


@pytest.mark.parametrize("text", [r'"\0"', r'"\ud800"', r'{"\0": 1}'])
def test_characters_that_nothing_can_carry_are_a_problem(text: str) -> None:
    assert "character" in read_yaml(f"a: {text}".encode()).problems[0].message


@pytest.mark.parametrize(
    ("data", "line", "column", "message", "hint"),
    [
        (b"a:\n\tb: 1", 2, 1, "cannot start any token", "never by tabs"),
        (b"a: *.test", 1, 5, "alias", "begins with *"),
        (b"a: [**/*.test]", 1, 6, "alias", "quotes"),
        (b"a: *x", 1, 4, "undefined alias", "begins with *"),
        (b"a: {x}.json\n", 1, 7, "block mapping", "begins with {"),
        (b"a: b: c", 1, 5, "not allowed here", "quotes"),
        (b"a: [1", 1, 4, "flow sequence", "bracket is not closed"),
        (b"a: 'x", 1, 4, "quoted scalar", "quote is not closed"),
        (b"a: 1\nb\nc: 2", 3, 1, "simple key", "needs a ':'"),
        (b"a: \x01", 1, 4, "not allowed in YAML", ""),
        (b"\n a: \xff", 2, 5, "not UTF-8", "UTF-8"),
        (b'a: "\\UFFFFFFFF"', 1, 7, "out of range", ""),
        (b"a: 1\n---\nb: 2", 2, 1, "single document", ""),
        (b"[" * 100_000, 1, 33, "levels deep", ""),
        (b"&a [*a]", 1, 1, "levels deep", "its own alias"),
        (b"a: &a {<<: *a}", 1, 4, "levels deep", "its own alias"),
        (b"#" * (MAX_FILE_BYTES + 1), 1, 1, "larger than 1024 KiB", ""),
    ],
)  # fmt: skip
def test_what_is_no_yaml_is_refused_with_its_place_and_a_hint(
    data: bytes, line: int, column: int, message: str, hint: str
) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(data)
    problem = caught.value.problem
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("text", ["[{}, {}]", "{{<<: [{}, {}]}}"])
def test_an_alias_bomb_is_refused_before_it_goes_off(text: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, 25):
        body = text.replace("{{", "{").replace("}}", "}").replace("{}", f"*a{level - 1}")
        lines.append(f"a{level}: &a{level} {body}")
    with pytest.raises(YamlError, match="more than 50000 values"):
        read_yaml("\n".join(lines).encode())


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read_yaml(b"\xef\xbb\xbfa: 1").value == {"a": 1}


def test_dotted_paths_look_like_those_of_programs() -> None:
    assert dotted(("suites", "sql", "include", 0)) == "suites.sql.include[0]"
    assert dotted(()) == ""


_SYNTAX = st.lists(
    st.sampled_from(
        ["a", "b", ": ", ":", "- ", "\n", "\n  ", "{", "}", "[", "]", ",", "&x ", "*x", "<<", "? ", "| ", "> ", "!!"]
    )
    | st.sampled_from(
        ['"', "'", "\\", "#", "---\n", "...", "%YAML 1.1", "!!int ", "!!binary ", "~", "1", "\t", "\\x", "\\U", "@"]
    )
    | st.text(max_size=3),
).map("".join)


@given(_SYNTAX.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary())
def test_any_bytes_are_values_or_an_error_of_ours(data: bytes) -> None:
    try:
        read_yaml(data)
    except YamlError as error:
        place = (error.problem.line, error.problem.column)
    else:
        place = (1, 1)
    assert min(place) >= 1
