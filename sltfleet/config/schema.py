"""The JSON Schema of fleet.yaml, and the reference in docs/fleet-yaml.md that is made from it.

`python -m sltfleet.config.schema --write docs/fleet-yaml.md` brings the page up to date. What the fields mean is said
in `config.model`, and what the placeholders mean in `sltfleet.wire.template`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sltfleet.config.model import FleetConfig
from sltfleet.core.duration import DURATION_PATTERN
from sltfleet.core.size import SIZE_PATTERN, format_size
from sltfleet.wire.template import PLACEHOLDERS

#: Between these lines the page is made; around them it is written by hand.
BEGIN = "<!-- reference: made by `python -m sltfleet.config.schema --write docs/fleet-yaml.md` -->"
END = "<!-- end of the reference -->"

#: A schema is JSON: what is in it depends on the key.
Schema = dict[str, Any]


def json_schema() -> Schema:
    """Return the JSON Schema of fleet.yaml (draft 2020-12): what an editor completes and checks the file by."""
    schema: Schema = FleetConfig.model_json_schema()
    _tidy(schema)
    # A section whose settings all have defaults may be empty, which is null to YAML.
    properties = schema["properties"]
    properties["hosts"]["additionalProperties"] = _or_null(properties["hosts"]["additionalProperties"])
    properties["sync"] = _or_null(properties["sync"])
    # A timeout may be written as its longest duration alone.
    timeouts = schema["$defs"]["TimeoutConfig"]["properties"]
    suite = schema["$defs"]["SuiteConfig"]["properties"]
    plain = {key: value for key, value in timeouts["max"].items() if key not in ("default", "description", "title")}
    suite["timeout"] = {"anyOf": [plain, {"$ref": suite["timeout"].pop("$ref")}], **suite["timeout"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:sltfleet:fleet.yaml",
        **schema,
        "title": "fleet.yaml",
    }


def reference_markdown() -> str:
    """Return the reference of every key, as Markdown."""
    schema = json_schema()
    parts = [_table(heading, section) for heading, section in _sections("", schema, schema["$defs"])]
    rows = "\n".join(f"| `{{{name}}}` | {_cell(meaning)} |" for name, meaning in PLACEHOLDERS.items())
    parts.append(
        "### Placeholders\n\n"
        "In `env`, `args`, `verdict.path` and `units.program` of a suite; `{{` and `}}` stand for braces.\n\n"
        f"| placeholder | stands for |\n|---|---|\n{rows}\n"
    )
    return "\n".join(parts)


def update_page(page: str) -> str:
    """Return the page with the reference between its markers made anew. Raises ValueError where a marker is missing."""
    before, begin, rest = page.partition(BEGIN + "\n")
    _, end, after = rest.partition(END + "\n")
    if not begin or not end:
        raise ValueError(f"the page needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{begin}\n{reference_markdown()}\n{end}{after}"


def _tidy(schema: Any) -> None:
    """Say in JSON Schema's own words what pydantic says in others', all the way down."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    if not isinstance(schema, dict):
        return
    # OpenAPI's word; `const` in each option says the same.
    schema.pop("discriminator", None)
    # pydantic leaves other names open: the pattern is that of all names.
    patterns = schema.pop("patternProperties", {})
    for pattern, value in patterns.items():
        schema |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    for value in schema.values():
        _tidy(value)


def _or_null(schema: Schema) -> Schema:
    described = {key: schema.pop(key) for key in ("description",) if key in schema}
    return {"anyOf": [schema, {"type": "null"}], **described}


def _not_null(schema: Schema) -> Schema:
    """Return the schema without the choice of null, with what is said around the choice."""
    options = [option for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **options[0]}


def _sections(
    path: str, schema: Schema, definitions: dict[str, Schema], kind: str = ""
) -> Iterator[tuple[str, Schema]]:
    """Yield every section of the file with its heading, outer ones first; `kind` tells those of one path apart."""
    yield (f"`{path}`" if path else "The file") + (f" with `kind: {kind}`" if kind else ""), schema
    for name, value in schema["properties"].items():
        inner = f"{path}.{name}" if path else name
        field = _not_null(value)
        if isinstance(field.get("additionalProperties"), dict):
            inner, field = f"{inner}.NAME", _not_null(field["additionalProperties"])
        if "$ref" in field:
            yield from _sections(inner, _definition(field, definitions), definitions)
        for option in field.get("anyOf", []):
            if "$ref" in option:
                yield from _sections(inner, _definition(option, definitions), definitions)
        for option in field.get("oneOf", []):
            section = _definition(option, definitions)
            yield from _sections(inner, section, definitions, section["properties"]["kind"]["const"])


def _definition(reference: Schema, definitions: dict[str, Schema]) -> Schema:
    return definitions[reference["$ref"].rpartition("/")[2]]


def _table(heading: str, section: Schema) -> str:
    required = section.get("required", [])
    lines = [
        f"### {heading}",
        "",
        section["description"],
        "",
        "| key | value | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, value in section["properties"].items():
        default = "required" if name in required else _default(value)
        lines.append(f"| `{name}` | {_cell(_type(value))} | {default} | {_cell(value.get('description', ''))} |")
    return "\n".join(lines) + "\n"


def _type(schema: Schema) -> str:
    """Return in a few words what a value may be."""
    field = _not_null(schema)
    pattern = field.get("pattern")
    if pattern in (DURATION_PATTERN, SIZE_PATTERN):
        return "duration" if pattern == DURATION_PATTERN else "size"
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field or "oneOf" in field:
        return "see below"
    kind = field["type"]
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if kind == "object":
        values = _type(field["additionalProperties"])
        return f"names, {values}" if values == "see below" else f"names with {values}"
    if kind == "integer":
        return "whole number" + _range(field)
    if isinstance(kind, list):
        return "text or number"
    if kind == "number":
        low = field.get("exclusiveMinimum")
        return "number" if low is None else f"number, more than {low:g}"
    return {"string": "text", "boolean": "`true` or `false`"}[kind]


def _range(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is None:
        return ""
    return f", {low} to {high}" if high is not None else f", {low} or more"


def _default(schema: Schema) -> str:
    value = schema.get("default")
    if value is None or value == []:
        return ""
    pattern = schema.get("pattern")
    if pattern == DURATION_PATTERN:
        return f"`{value:g}s`"
    if pattern == SIZE_PATTERN:
        return f"`{format_size(value).replace('.0 ', '')}`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: list[str]) -> int:
    """Print the reference, or with `--write PAGE` bring a page up to date; the exit code."""
    if not arguments:
        sys.stdout.write(reference_markdown())
        return 0
    if len(arguments) != 2 or arguments[0] != "--write":
        sys.stderr.write("usage: python -m sltfleet.config.schema [--write PAGE]\n")
        return 2
    page = Path(arguments[1])
    page.write_text(update_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
