"""The locks of requirements/: what pyproject.toml allows, with hashes, and nothing about where it comes from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]

#: Installed editable, a project of hatchling's needs this too: hatchling asks for it itself.
BACKEND = "editables"

SUPPORTED = ("3.10", "3.11", "3.12", "3.13")

_ENTRY = re.compile(r"(?P<name>[a-z0-9.-]+)==(?P<version>[^ ;]+)(?: ; (?P<marker>[^\\]+))? \\\n(?P<hashes>(?: .*\n?)+)")
_HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\Z")


class Locked(NamedTuple):
    """One entry of a lock: `name` in one form, "" for no marker."""

    name: str
    version: str
    marker: str

    def holds(self, python: str) -> bool:
        """Whether the entry is for CPython `python` on Linux."""
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
        }
        return not self.marker or Marker(self.marker).evaluate(environment)


def wanted(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for: to build, to run, and in its `extras`."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    values = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = values["project"]
    further = [text for extra in extras for text in project["optional-dependencies"][extra]]
    return [Requirement(text) for text in [*values["build-system"]["requires"], *project["dependencies"], *further]]


def read_lock(name: str) -> list[Locked]:
    """Read a lock; every line of it must be a comment, an entry or a hash."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    body = re.sub(r"\A(?:#.*\n)+", "", text)
    entries = list(_ENTRY.finditer(body))
    assert "".join(entry.group() for entry in entries) == body
    for entry in entries:
        assert all(_HASH.match(line) for line in entry["hashes"].splitlines()), entry["name"]
    return [
        Locked(canonicalize_name(entry["name"]), entry["version"], (entry["marker"] or "").strip()) for entry in entries
    ]


@pytest.mark.parametrize("python", SUPPORTED)
@pytest.mark.parametrize(("lock", "extras"), [("run.txt", ()), ("dev.txt", ("dev",))])
def test_a_lock_has_one_version_of_all_that_is_asked_for_and_it_is_within_the_bounds(
    lock: str, extras: tuple[str, ...], python: str
) -> None:
    versions: dict[str, str] = {}
    for locked in read_lock(lock):
        if locked.holds(python):
            assert locked.name not in versions, "two versions for one Python"
            versions[locked.name] = locked.version
    assert BACKEND in versions
    for requirement in wanted(*extras):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), (
            f"{requirement} is not what is locked: run scripts/lock"
        )


def test_users_and_tests_get_the_same_versions() -> None:
    assert set(read_lock("run.txt")) <= set(read_lock("dev.txt"))


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_a_lock_names_no_place_where_packages_come_from(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|index-url|find-links|trusted-host", text)
