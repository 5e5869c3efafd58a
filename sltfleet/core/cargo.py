"""cargo as sltfleet uses it: the arguments of a build, and the JSON messages that it prints.

The script that finds and starts cargo on a host is `core.building`'s; what its errors mean is `core.cargo_failures`'.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from sltfleet.core.errors import BuildError


@dataclass(frozen=True)
class CargoBuild:
    """What is to be built: fleet.yaml's `build`, less what is no business of cargo's. See config.model.BuildConfig."""

    test: str | None = None
    package: str | None = None
    manifest: str = "Cargo.toml"
    profile: str | None = None
    features: tuple[str, ...] = ()
    all_features: bool = False
    default_features: bool = True
    target: str | None = None
    locked: bool = False
    jobs: int | None = None
    toolchain: str | None = None
    tests: tuple[str, ...] = ()
    lib: bool = False
    bins: bool = False
    workspace: bool = False

    @property
    def folder(self) -> str:
        """The manifest's folder, relative to the repo ("." for the repo).

        Raises BuildError for one that is not in it.
        """
        folder, name = posixpath.split(posixpath.normpath(self.manifest))
        if name != "Cargo.toml" or posixpath.isabs(folder) or folder.split("/")[0] == "..":
            raise BuildError(
                f"{self.manifest!r} is no manifest",
                "it must be a Cargo.toml inside the repo",
                "set build.manifest to a path relative to `repo`",
            )
        return folder or "."


def cargo_arguments(build: CargoBuild) -> list[str]:
    """Return cargo's arguments: they compile test targets, run nothing, and make cargo tell in JSON what it made."""
    # Values stand in the same word as their option: one that begins with a dash is still a value.
    argv = [f"+{build.toolchain}"] if build.toolchain else []
    argv += ["test", "--no-run", "--message-format=json-render-diagnostics"]
    argv += [f"--test={name}" for name in ((build.test,) if build.test else build.tests)]
    argv += ["--lib"] if build.lib else []
    argv += ["--bins"] if build.bins else []
    argv += ["--workspace"] if build.workspace else []
    argv += [f"--package={build.package}"] if build.package else []
    argv += [f"--profile={build.profile}"] if build.profile else []
    argv += [f"--features={','.join(build.features)}"] if build.features else []
    argv += ["--all-features"] if build.all_features else []
    argv += [] if build.default_features else ["--no-default-features"]
    argv += [f"--target={build.target}"] if build.target else []
    argv += ["--locked"] if build.locked else []
    argv += [f"--jobs={build.jobs}"] if build.jobs else []
    return argv


@dataclass(frozen=True)
class Artifact:
    """A test executable that cargo made, or found to be fresh; both paths are absolute on the host.

    `id` is the one that cargo-nextest gives it.
    """

    id: str
    package: str
    manifest_path: str
    executable: str


@dataclass
class CargoReader:
    """Reads cargo's messages, a line at a time.

    `done` counts the packages of which something was compiled or found fresh. `test`: the target whose executable is
    looked for, None: all targets' test executables are.
    """

    test: str | None
    artifacts: list[Artifact] = field(default_factory=list)
    _packages: set[str] = field(default_factory=set)

    @property
    def done(self) -> int:
        """How many packages are done."""
        return len(self._packages)

    def feed(self, line: str) -> str | None:
        """Take in a line; return the package's name where it tells of the first artifact of one."""
        if not line.startswith("{"):
            return None
        try:
            message: object = json.loads(line)
        except (ValueError, RecursionError):
            # A build script or a wrapper may print to the same stream.
            return None
        if not isinstance(message, dict) or message.get("reason") != "compiler-artifact":
            return None
        target = _mapping(message.get("target"))
        package_id = str(message.get("package_id"))
        kinds = target.get("kind")
        if kinds == ["custom-build"]:
            # Its package is not done: this only computes how to compile it.
            return None
        self._take(message, target, package_id)
        if package_id in self._packages:
            return None
        self._packages.add(package_id)
        return package_name(package_id)

    def _take(self, message: Mapping[object, object], target: Mapping[object, object], package_id: str) -> None:
        executable, manifest = message.get("executable"), message.get("manifest_path")
        name, kinds = target.get("name"), target.get("kind")
        is_test = _mapping(message.get("profile")).get("test") is True
        asked = self.test is None or (kinds == ["test"] and name == self.test)
        if is_test and asked and isinstance(executable, str) and isinstance(manifest, str) and isinstance(name, str):
            package = package_name(package_id)
            kind = kinds[0] if isinstance(kinds, list) and kinds else ""
            self.artifacts.append(Artifact(binary_id(package, str(kind), name), package, manifest, executable))

    def artifact(self) -> Artifact:
        """Return the one executable of the test target.

        Raises BuildError where there is none, or several packages have one.
        """
        if not self.artifacts:
            raise BuildError(
                f"cargo made no executable of the test target {self.test!r}",
                "none of its messages names one",
                "look at `[[test]]` in Cargo.toml: a target with `test = false` is not built",
            )
        if len({artifact.executable for artifact in self.artifacts}) > 1:
            names = sorted({artifact.package for artifact in self.artifacts})
            raise BuildError(
                f"several packages have a test target {self.test!r}", ", ".join(names), f"set build.package: {names[0]}"
            )
        return self.artifacts[-1]

    def all_artifacts(self) -> tuple[Artifact, ...]:
        """Return every test executable once, in the order of their ids. Raises BuildError where there is none."""
        found = {artifact.executable: artifact for artifact in self.artifacts}
        if not found:
            raise BuildError(
                "cargo made no test executable",
                "none of its messages names one",
                "look at `build` in fleet.yaml, and at `test = false` in Cargo.toml",
            )
        return tuple(sorted(found.values(), key=lambda artifact: artifact.id))


def binary_id(package: str, kind: str, target: str) -> str:
    """Return the id of a test executable. Source: cargo-nextest's book, "Binary IDs"."""
    if kind == "test":
        return f"{package}::{target}"
    return f"{package}::{kind}/{target}" if kind in ("bin", "example", "bench") else package


def package_name(package_id: str) -> str:
    """Return the name in a package id: "registry+…#serde@1.0.1", or "path+…/serde#1.0.1" where the folder has it.

    Source: the Cargo book, "Package ID Specifications".
    """
    place, _, fragment = package_id.rpartition("#")
    name = fragment.rpartition("@")[0]
    return name or place.rstrip("/").rpartition("/")[2].partition("?")[0]


def _mapping(value: object) -> Mapping[object, object]:
    return value if isinstance(value, Mapping) else {}
