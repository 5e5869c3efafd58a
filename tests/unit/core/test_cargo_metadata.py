from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.cargo_metadata import (
    CargoMetadata,
    CargoMetadataError,
    metadata_argv,
    parse_metadata,
    targets_without_harness,
)

CASES = sorted((Path(__file__).parents[2] / "cases" / "cargo_metadata").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_what_cargo_prints_is_understood_or_refused(path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    output = case["output"] if isinstance(case["output"], str) else json.dumps(case["output"])
    assert list(metadata_argv()) == case["command"]
    if "error" in case:
        with pytest.raises(CargoMetadataError, match=case["error"]):
            parse_metadata(output)
    else:
        assert json.loads(json.dumps(asdict(parse_metadata(output)))) == case["value"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["packages", "id", "targets", "kind"]) | st.text(), inner)
    ),
)


@given(st.fixed_dictionaries({"packages": _JSON, "workspace_members": _JSON, "workspace_root": _JSON}) | _JSON)
def test_json_of_any_shape_is_refused_with_our_own_error(raw: object) -> None:
    with contextlib.suppress(CargoMetadataError):
        assert isinstance(parse_metadata(json.dumps(raw)), CargoMetadata)


def test_json_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(CargoMetadataError):
        parse_metadata("[" * 100_000)


def test_targets_with_a_main_of_their_own_stand_in_the_manifest() -> None:
    manifest = {
        "test": [{"name": "a", "harness": False}, {"name": "b", "harness": True}, {"name": "c"}, {"harness": False}]
    }
    assert list(targets_without_harness(manifest)) == ["a"]


@pytest.mark.parametrize(
    "manifest", [None, [], {}, {"test": {}}, {"test": ["a"]}, {"test": [{"name": 3, "harness": False}]}]
)
def test_a_manifest_of_another_shape_names_no_target(manifest: object) -> None:
    assert list(targets_without_harness(manifest)) == []
