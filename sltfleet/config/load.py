"""Finds fleet.yaml and reads it: the configuration, and where everything it names lies on this machine.

All mistakes of a file are reported at once, in one ConfigError.
"""

from __future__ import annotations

import os.path
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sltfleet.config.checks import check_tree, mapping
from sltfleet.config.model import FleetConfig
from sltfleet.config.problems import by_line, problem_at, problems_of
from sltfleet.config.queue_url import QUEUE_VARIABLE, QueueUrl, QueueUrlError, read_queue_url
from sltfleet.config.yaml_nodes import MAX_FILE_BYTES, YamlError
from sltfleet.config.yaml_tree import YamlTree, read_yaml
from sltfleet.core.errors import ConfigError, ConfigProblem, UsageError

FLEET_FILE_NAME = "fleet.yaml"
FLEET_VARIABLE = "SLTFLEET_FLEET"
SSH_CONFIG_VARIABLE = "SLTFLEET_SSH_CONFIG"


@dataclass(frozen=True)
class LoadedConfig:
    """What fleet.yaml says, and the absolute paths that it means.

    `ssh_config` is None where ssh reads its usual files. `queue` is None where the hosts share none;
    `queue_exposed` where the file has the queue's password and others may read it.
    """

    config: FleetConfig
    path: Path
    fleet_dir: Path
    repo: Path
    ssh_config: Path | None
    queue: QueueUrl | None = None
    queue_exposed: bool = False


def load_config(path: Path | None, *, ssh_config: str | None, environ: Mapping[str, str], cwd: Path) -> LoadedConfig:
    """Return the configuration of the file `path`, or of the one that `find_fleet_file` finds.

    `ssh_config` is what the command line says; SLTFLEET_SSH_CONFIG and the file's own `ssh_config` come after it.
    SLTFLEET_QUEUE wins over the file's `queue`. `cwd` must be absolute. Raises ConfigError for a file that is missing
    or wrong, UsageError for an ssh config that is not there and a variable that cannot be used.
    """
    found = cwd / path if path is not None else find_fleet_file(environ, cwd)
    chosen = _ssh_config_of_the_person(ssh_config, environ, cwd)
    tree = _read_tree(found)
    repo, ssh_config_here = (_named_path(tree, key, found.parent) for key in ("repo", "ssh_config"))
    problems = [*tree.problems, *check_tree(tree)]
    if repo is not None and not os.path.isdir(repo):  # noqa: PTH112 - see _is_file
        problems.append(problem_at(tree, ("repo",), f"there is no folder {str(repo)!r}", "name the folder to sync"))
    if chosen is None and ssh_config_here is not None and not _is_file(ssh_config_here):
        problems.append(problem_at(tree, ("ssh_config",), f"there is no file {str(ssh_config_here)!r}"))
    config = _validate(found, tree, problems)
    return LoadedConfig(
        config=config,
        path=found,
        fleet_dir=found.parent,
        repo=repo or found.parent,
        ssh_config=chosen or ssh_config_here,
        queue=_queue(config.queue, environ),
        queue_exposed=config.queue is not None and config.queue.has_password and _others_may_read(found),
    )


def find_fleet_file(environ: Mapping[str, str], cwd: Path) -> Path:
    """Return the file that SLTFLEET_FLEET names, or fleet.yaml in `cwd` or the nearest folder above it.

    Raises ConfigError where there is none.
    """
    named = environ.get(FLEET_VARIABLE)
    if named:
        return _resolve(named, cwd)
    for folder in (cwd, *cwd.parents):
        candidate = folder / FLEET_FILE_NAME
        if _is_file(candidate):
            return candidate
    raise ConfigError(
        f"there is no {FLEET_FILE_NAME}", f"neither in {cwd} nor in a folder above it", "`sltfleet init` writes one"
    )


def _read_tree(path: Path) -> YamlTree:
    try:
        tree = read_yaml(_read(path))
    except YamlError as error:
        raise _config_error(path, [error.problem]) from None
    if tree.value is None:
        raise ConfigError(f"{path} is empty", fix="`sltfleet init --force` writes a new one", path=str(path))
    return tree


def _validate(path: Path, tree: YamlTree, problems: list[ConfigProblem]) -> FleetConfig:
    """Return the model of the file's values. Raises ConfigError with `problems` and all that pydantic finds."""
    try:
        config = FleetConfig.model_validate(tree.value)
    except ValidationError as error:
        raise _config_error(path, problems + problems_of(error, tree)) from None
    if problems:
        raise _config_error(path, problems)
    return config


def _named_path(tree: YamlTree, key: str, base: Path) -> Path | None:
    """Return what the top-level `key` of the file names, None where it names nothing."""
    value = mapping(tree.value).get(key)
    return _resolve(value, base) if isinstance(value, str) and value else None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than allowed is enough to see that it is too large.
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", fix="`sltfleet init` writes one", path=str(path)) from None
    except IsADirectoryError:
        fix = f"name the file: {path / FLEET_FILE_NAME}"
        raise ConfigError(f"cannot read {path}", "it is a folder", fix, path=str(path)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"cannot read {path}", reason, "see `ls -ld` of it and of its folders", path=str(path)
        ) from error


def _ssh_config_of_the_person(argument: str | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the ssh config that the command line or the environment names. Raises UsageError where it is not there."""
    named, origin = (argument, "--ssh-config") if argument else (environ.get(SSH_CONFIG_VARIABLE), SSH_CONFIG_VARIABLE)
    if not named:
        return None
    path = _resolve(named, cwd)
    if not _is_file(path):
        raise UsageError(f"there is no ssh config {path}", f"{origin} names it", "name a file that is there")
    return path


def _queue(in_file: QueueUrl | None, environ: Mapping[str, str]) -> QueueUrl | None:
    """Return the queue: the variable's, which may be "" for none, or else the file's. Raises UsageError."""
    named = environ.get(QUEUE_VARIABLE)
    if named is None:
        return in_file
    try:
        return read_queue_url(named) if named else None
    except QueueUrlError as error:
        raise UsageError(f"{QUEUE_VARIABLE} cannot be used", f"the address {error.message}", error.hint) from None


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:  # it was there a moment ago
        return False


def _resolve(text: str, base: Path) -> Path:
    """Return an absolute path without `..`; a leading `~` is the person's home."""
    return Path(os.path.abspath(base / os.path.expanduser(text)))  # noqa: PTH100, PTH111 - pathlib's raise where there is no home


def _is_file(path: Path) -> bool:
    """Whether something is there that can be read as a file, /dev/null for instance.

    Unlike pathlib's questions, these do not raise for a name that is too long or a folder that is closed.
    """
    return os.path.exists(path) and not os.path.isdir(path)  # noqa: PTH110, PTH112


def _config_error(path: Path, problems: list[ConfigProblem]) -> ConfigError:
    ordered = by_line(problems)
    count = "1 mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
    return ConfigError(f"{path} cannot be used", count, path=str(path), problems=ordered)
