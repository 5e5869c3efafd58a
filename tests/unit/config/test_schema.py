from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sltfleet.config.load import load_config
from sltfleet.config.model import FleetConfig
from sltfleet.config.schema import BEGIN, END, json_schema, main, reference_markdown, update_page
from sltfleet.core.duration import DURATION_PATTERN
from sltfleet.wire.template import PLACEHOLDERS

PAGE = Path(__file__).parents[3] / "docs" / "fleet-yaml.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every object in a schema, itself included."""
    if isinstance(schema, list):
        return [found for item in schema for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(found for value in schema.values() for found in objects(value))]


def test_the_schema_says_which_draft_it_is_and_names_no_machine() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:sltfleet:fleet.yaml"


def test_every_key_has_a_description() -> None:
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        for name, value in section["properties"].items():
            assert value.get("description"), (section["title"], name)


def test_every_section_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert all(section["additionalProperties"] is False for section in (schema, *schema["$defs"].values()))


def test_only_words_of_json_schema_are_in_it() -> None:
    words = {key for found in objects(json_schema()) if "type" in found for key in found}
    assert not words & {"gt", "ge", "lt", "le", "discriminator", "patternProperties"}


def test_a_duration_is_a_number_or_a_text_of_its_pattern() -> None:
    timeout = json_schema()["$defs"]["SuiteConfig"]["properties"]["kill_after"]
    assert timeout["type"] == ["number", "string"]
    assert timeout["pattern"] == DURATION_PATTERN
    assert timeout["exclusiveMinimum"] == 0


def test_a_host_without_settings_may_be_null_but_a_suite_may_not() -> None:
    properties = json_schema()["properties"]
    assert {"type": "null"} in properties["hosts"]["additionalProperties"]["anyOf"]
    assert properties["suites"]["additionalProperties"] == {"$ref": "#/$defs/SuiteConfig"}


def test_the_reference_has_every_key_and_every_placeholder() -> None:
    text = reference_markdown()
    for name in (*FleetConfig.model_fields, *PLACEHOLDERS):
        assert f"`{name}`" in text or f"`{{{name}}}`" in text


def test_the_page_has_the_reference_of_this_version() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert update_page(page) == page, "run: python -m sltfleet.config.schema --write docs/fleet-yaml.md"


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_page_can_be_loaded(text: str, odd_path: Path) -> None:
    (odd_path / "fleet.yaml").write_text(text, encoding="utf-8")
    assert load_config(None, ssh_config=None, environ={}, cwd=odd_path).config.suites


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 6


def test_the_command_writes_the_reference_between_the_markers_and_nothing_else(odd_path: Path) -> None:
    page = odd_path / "page.md"
    page.write_text(f"before\n{BEGIN}\noutdated words\n{END}\nafter\n", encoding="utf-8")
    assert main(["--write", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{BEGIN}\n\n### The file\n")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "outdated words" not in text


def test_a_page_without_markers_is_left_alone() -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        update_page("no markers\n")


def test_the_command_prints_the_reference_and_refuses_other_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == reference_markdown()
    assert main(["--wirte", "x"]) == 2
    assert "usage" in capsys.readouterr().err
