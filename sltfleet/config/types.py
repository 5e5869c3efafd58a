"""The types of single values in fleet.yaml, and the base of its sections.

How a value is read is `config.fields`' part, what a name or a path may be is `config.names`'. A type's extras are for
the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from sltfleet.config.fields import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    check_text,
    read_duration,
    read_env_value,
    read_glob,
    read_list,
    read_queue,
    read_regex,
    read_size,
    read_sync_pattern,
    read_template,
)
from sltfleet.config.names import (
    ENV_NAME_PATTERN,
    SAFE_NAME_PATTERN,
    check_dotted_path,
    check_env_name,
    check_host_name,
    check_inner_path,
    check_path,
    check_result_path,
    check_root,
    check_safe_name,
    check_word,
)
from sltfleet.config.queue_url import QueueUrl

T = TypeVar("T")

#: What a reader accepts beside text, for editors: the JSON Schema is made from it.
_TEXT_OR_NUMBER = Field(json_schema_extra={"type": ["string", "number"]})

Duration = Annotated[
    float,
    BeforeValidator(read_duration),
    Field(json_schema_extra={"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": DURATION_PATTERN}),
]
Size = Annotated[
    int,
    BeforeValidator(read_size),
    Field(json_schema_extra={"type": ["integer", "string"], "minimum": 1, "pattern": SIZE_PATTERN}),
]
Text = Annotated[str, BeforeValidator(check_text)]
Glob = Annotated[str, BeforeValidator(read_glob)]
SyncPattern = Annotated[str, BeforeValidator(read_sync_pattern)]
Regex = Annotated[str, BeforeValidator(read_regex)]
Template = Annotated[str, BeforeValidator(read_template), _TEXT_OR_NUMBER]
EnvValue = Annotated[str, BeforeValidator(read_env_value), _TEXT_OR_NUMBER]
EnvName = Annotated[str, AfterValidator(check_env_name), Field(json_schema_extra={"pattern": ENV_NAME_PATTERN})]
SafeName = Annotated[str, AfterValidator(check_safe_name), Field(json_schema_extra={"pattern": SAFE_NAME_PATTERN})]
HostName = Annotated[str, AfterValidator(check_host_name)]
Word = Annotated[str, AfterValidator(check_word)]
RootPath = Annotated[str, AfterValidator(check_root)]
InnerPath = Annotated[str, AfterValidator(check_inner_path)]
ResultPath = Annotated[str, BeforeValidator(read_template), AfterValidator(check_result_path)]
LocalPath = Annotated[str, AfterValidator(check_path)]
DottedPath = Annotated[str, AfterValidator(check_dotted_path)]
#: As the journal names it.
UnitId = Annotated[str, Field(min_length=1, max_length=1000)]
#: Its value is a type that never shows the secret.
Queue = Annotated[
    QueueUrl | None,
    PlainValidator(read_queue),
    WithJsonSchema({"type": "string", "pattern": "^rediss?://"}),
]
ExitCode = Annotated[int, Field(ge=0, le=255)]
#: A tuple that is written as a list.
Items = Annotated[tuple[T, ...], BeforeValidator(read_list)]


class Strict(BaseModel):
    """No unknown key, no silent conversion, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
