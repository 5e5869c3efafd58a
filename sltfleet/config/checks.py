"""What no single section of fleet.yaml can be blamed for: keys in different places that must fit each other.

The checks read the file's plain values, not the model: a file with other mistakes has no model, and all mistakes
should be told at once. Values of a wrong type are passed over, since the model complains of them.
"""

from __future__ import annotations

import os.path
import posixpath
from collections.abc import Iterator, Mapping

from sltfleet.config.problems import problem_at
from sltfleet.config.yaml_tree import YamlTree
from sltfleet.core.errors import ConfigProblem
from sltfleet.core.nearest import did_you_mean
from sltfleet.core.paths import DEFAULT_ROOT

#: Placeholders of which one makes a verdict's file a worker's own.
_TELLS_WORKERS_APART = ("{worker}", "{attempt}", "{unit}", "{partition}")


def check_tree(tree: YamlTree) -> Iterator[ConfigProblem]:
    """Yield what does not fit together in the values of a file."""
    yield from _check_default_suite(tree)
    yield from _check_local_roots(tree)
    yield from _check_shared_files(tree)
    yield from _check_builds(tree)


def _check_default_suite(tree: YamlTree) -> Iterator[ConfigProblem]:
    fleet = mapping(tree.value)
    name, suites = fleet.get("default_suite"), mapping(fleet.get("suites"))
    if isinstance(name, str) and name not in suites:
        hint = did_you_mean(name, suites) or "known suites: " + ", ".join(suites)
        yield problem_at(tree, ("default_suite",), f"there is no suite {name!r}", hint)


def _check_local_roots(tree: YamlTree) -> Iterator[ConfigProblem]:
    """Two local hosts with one root would be one folder with two syncs, two builds and two runners."""
    # One folder below `~` and by its whole name is still one; this is all that can be known without looking.
    owners: dict[str, str] = {}
    for name, host in mapping(mapping(tree.value).get("hosts")).items():
        root = mapping(host).get("root", DEFAULT_ROOT)
        if mapping(host).get("transport") != "local" or not isinstance(root, str):
            continue
        folder = posixpath.normpath(os.path.expanduser(root))  # noqa: PTH111 - pathlib's raises where there is no home
        owner = owners.setdefault(folder, name)
        if owner != name:
            message = f"is the folder of the local host {owner!r} too"
            yield problem_at(tree, ("hosts", name, "root"), message, "give each local host a `root` of its own")


def _check_shared_files(tree: YamlTree) -> Iterator[ConfigProblem]:
    """Workers that share a folder and write one file there would read each other's verdicts."""
    for name, suite in mapping(mapping(tree.value).get("suites")).items():
        path = mapping(mapping(suite).get("verdict")).get("path")
        shared = mapping(suite).get("workdir", "shared") == "shared"
        if shared and isinstance(path, str) and not any(word in path for word in _TELLS_WORKERS_APART):
            message = "is one file for all workers: they would overwrite each other's verdicts"
            hint = "put {worker} into it, or set `workdir: per-worker` for the suite"
            yield problem_at(tree, ("suites", name, "verdict", "path"), message, hint)


def _check_builds(tree: YamlTree) -> Iterator[ConfigProblem]:
    """What is built must be what the units are run with."""
    for name, suite in mapping(mapping(tree.value).get("suites")).items():
        units, build = mapping(mapping(suite).get("units")), mapping(mapping(suite).get("build"))
        place, kind = ("suites", name, "build"), units.get("kind")
        if kind == "libtest":
            verdict = mapping(mapping(suite).get("verdict")).get("kind", "libtest")
            if verdict in ("exit-code", "output", "json"):
                message = f"libtest units do not go with the verdict {verdict!r}"
                yield problem_at(tree, ("suites", name, "verdict", "kind"), message, "remove `verdict`")
            if build.get("command"):
                message = "libtest units need an executable that cargo names"
                yield problem_at(tree, (*place, "command"), message, "let cargo build, or use units of kind `command`")
            continue
        for key in ("tests", "lib", "bins", "workspace"):
            if build.get(key):
                yield problem_at(tree, (*place, key), "is for libtest units only", "name one target with `test`")
        if kind in ("files", "partitions"):
            if not build.get("command") and "test" not in build:
                yield problem_at(tree, (*place, "test"), "is missing", "The test target (`cargo test --test NAME`)")
            elif build.get("command") and "output" not in build:
                yield problem_at(tree, (*place, "output"), "is missing", "name the executable that `command` makes")
        program = units.get("program")
        if kind == "command" and isinstance(program, tuple) and not ("test" in build or "output" in build):
            for index, word in enumerate(program):
                if isinstance(word, str) and "{binary}" in word:
                    message = "{binary} stands for nothing: there is neither `build.test` nor `build.output`"
                    yield problem_at(tree, ("suites", name, "units", "program", index), message)


def mapping(value: object) -> Mapping[str, object]:
    """Return `value` where it is a mapping, an empty one otherwise."""
    return value if isinstance(value, dict) else {}
