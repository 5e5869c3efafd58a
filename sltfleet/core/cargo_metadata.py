"""What cargo says of a project: `cargo metadata`'s command line and the parser of what it prints.

Of the documented format (https://doc.rust-lang.org/cargo/commands/cargo-metadata.html) only what `sltfleet init` needs
is read: the workspace's own packages and their test targets. Whether a target has `harness = false` is not in it, but
in Cargo.toml: `targets_without_harness` reads that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass


class CargoMetadataError(ValueError):
    """What cargo printed is not its metadata."""


@dataclass(frozen=True)
class CargoTest:
    """A test target: what `cargo test --test NAME` builds. `source` is an absolute path."""

    name: str
    source: str
    required_features: tuple[str, ...] = ()


@dataclass(frozen=True)
class CargoPackage:
    """A package of the workspace. `manifest` is the absolute path of its Cargo.toml."""

    name: str
    manifest: str
    tests: tuple[CargoTest, ...]


@dataclass(frozen=True)
class CargoMetadata:
    """A workspace, or the one package that stands alone. `workspace_root` is an absolute path."""

    workspace_root: str
    packages: tuple[CargoPackage, ...]


def metadata_argv() -> tuple[str, ...]:
    """Return the command that prints the metadata of the project in the current folder; it needs no network."""
    return ("cargo", "metadata", "--no-deps", "--format-version", "1")


def parse_metadata(output: str) -> CargoMetadata:
    """Return what `metadata_argv` printed on standard output. Raises CargoMetadataError."""
    try:
        raw = json.loads(output)
    except (ValueError, RecursionError) as error:
        raise CargoMetadataError(f"cargo metadata printed no JSON: {error}") from None
    try:
        members = frozenset(raw["workspace_members"])
        packages = tuple(_package(package) for package in raw["packages"] if package["id"] in members)
        return CargoMetadata(workspace_root=_text(raw["workspace_root"]), packages=packages)
    except (KeyError, TypeError) as error:
        raise CargoMetadataError(f"cargo metadata printed JSON of another shape: {error!r}") from None


def targets_without_harness(manifest: object) -> Iterator[str]:
    """Yield the test targets with a `main` of their own (`harness = false`) of a Cargo.toml as tomllib reads it."""
    targets = manifest.get("test") if isinstance(manifest, dict) else None
    for target in targets if isinstance(targets, list) else ():
        if isinstance(target, dict) and target.get("harness") is False and isinstance(target.get("name"), str):
            yield target["name"]


def _package(raw: dict[str, object]) -> CargoPackage:
    targets = raw["targets"]
    if not isinstance(targets, list):
        raise TypeError("targets is no list")
    tests = tuple(_test(target) for target in targets if "test" in target["kind"])
    return CargoPackage(name=_text(raw["name"]), manifest=_text(raw["manifest_path"]), tests=tests)


def _test(raw: dict[str, object]) -> CargoTest:
    features = raw.get("required-features") or []
    if not isinstance(features, list):
        raise TypeError("required-features is no list")
    return CargoTest(_text(raw["name"]), _text(raw["src_path"]), tuple(_text(feature) for feature in features))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value
