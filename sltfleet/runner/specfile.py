"""Reads `spec.json` and `share.json`, and checks what the wire's types cannot say:
patterns, templates, ranges, paths.
"""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
from typing import Optional

from sltfleet.runner.libtest import IGNORED
from sltfleet.runner.sampler import cores
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.format import FormatError
from sltfleet.wire.globs import GlobError, compile_glob
from sltfleet.wire.share import Share, share_from_json
from sltfleet.wire.spec import (
    CommandUnits,
    FileUnits,
    JsonVerdict,
    LibtestUnits,
    LibtestVerdict,
    Limits,
    OutputVerdict,
    PartitionUnits,
    Spec,
    spec_from_json,
)
from sltfleet.wire.template import TemplateError, check_template


class SpecError(Exception):
    """The specification cannot be run. `problem` says what is wrong with it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


def read_spec(path: str) -> Spec:
    """Return the checked specification in a file; no workers mean as many as there are cores. Raises SpecError."""
    try:
        with open(path, "rb") as file:
            raw: object = json.loads(file.read())
        spec = spec_from_json(raw)
        check_spec(spec)
    except OSError as error:
        raise SpecError(path, error.strerror or str(error)) from None
    except (DecodeError, FormatError, GlobError, TemplateError) as error:
        raise SpecError(path, str(error)) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(path, f"is not a valid specification: {error}") from None
    return spec if spec.workers else dataclasses.replace(spec, workers=max(1, int(cores())))


def read_share(path: str, spec: Spec) -> Optional[Share]:
    """Return what is known of the run's hosts, None where there is no such file: the run is this host's alone.

    Raises SpecError.
    """
    try:
        with open(path, "rb") as file:
            share = share_from_json(json.loads(file.read()))
        _check_share(share, spec.host)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpecError(path, error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(path, str(error)) from None
    return share


def _check_share(share: Share, host: str) -> None:
    names = [member.host for member in share.members]
    if share.host != host or host not in names or len(set(names)) < len(names):
        raise ValueError(f"does not name every host once, or is not for {host!r}")
    for member in share.members:
        if not 1 <= member.workers <= 4096 or not member.speed > 0:
            raise ValueError(f"{member.host!r} has {member.workers} workers of speed {member.speed}: both must be more")


def check_spec(spec: Spec) -> None:
    """Raise ValueError (GlobError, TemplateError among them) where a specification makes no sense."""
    _check_numbers(spec)
    for text in (*spec.args, *spec.env.values()):
        check_template(text)
    for name in spec.env:
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
    for path in (spec.project_root, spec.repo, *(path for path, _ in spec.executables)):
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is not an absolute path")
    for folder in spec.package_dirs:
        _check_below("package_dir", folder)
    for pattern in spec.select:
        compile_glob(pattern)
    _check_units(spec)
    if isinstance(spec.verdict, JsonVerdict):
        check_template(spec.verdict.path)
        # It may lie above the package, in the workspace's target/, but is removed before each attempt: not outside.
        _check_below("verdict.path", posixpath.normpath(posixpath.join(spec.package_dir, spec.verdict.path)))
    if isinstance(spec.verdict, OutputVerdict):
        for pattern in (*spec.verdict.passed, *spec.verdict.failed):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern {pattern!r}: {error}") from None


def _check_units(spec: Spec) -> None:
    units = spec.units
    files = units.files if isinstance(units, CommandUnits) else units
    if isinstance(files, FileUnits):
        _check_below("units.root", files.root)
        for pattern in (*files.include, *files.exclude):
            compile_glob(pattern)
    if isinstance(units, LibtestUnits):
        if units.ignored not in IGNORED:
            raise ValueError(f"units.ignored {units.ignored!r} is none of {', '.join(IGNORED)}")
        if not isinstance(spec.verdict, LibtestVerdict):
            raise ValueError("libtest units need the verdict of kind 'libtest'")
        for pattern in units.exclude:
            compile_glob(pattern)
    if isinstance(units, CommandUnits):
        if not units.program:
            raise ValueError("units.program has no word")
        for text in units.program:
            check_template(text)
    elif not spec.executables:
        raise ValueError("there is no executable")


def _check_numbers(spec: Spec) -> None:
    if spec.workdir not in ("shared", "per-worker"):
        raise ValueError(f"workdir {spec.workdir!r} is neither 'shared' nor 'per-worker'")
    if not 0 <= spec.workers <= 4096:
        raise ValueError(f"{spec.workers} workers: 1 to 4096 can be run, or 0 for all cores")
    if isinstance(spec.units, PartitionUnits) and not 1 <= spec.units.count <= 10_000_000:
        raise ValueError(f"{spec.units.count} partitions: 1 to 10,000,000 can be run")
    if spec.budget_s <= 0 or spec.limits.timeout_s <= 0 or spec.limits.kill_after_s < 0:
        raise ValueError("budget and timeout must be more than 0 s, kill_after_s at least 0 s")
    if not spec.speed > 0:
        raise ValueError(f"speed {spec.speed}: it must be more than 0")
    if spec.limits.output_bytes < 2 or spec.limits.artifacts_bytes < 0:
        raise ValueError("output_bytes must be at least 2, artifacts_bytes at least 0")
    _check_schedule(spec.limits)
    if not -20 <= spec.limits.nice <= 19:
        raise ValueError(f"nice {spec.limits.nice}: -20 to 19 is possible")
    if (spec.passes is not None and spec.passes < 1) or (spec.fail_fast is not None and spec.fail_fast < 1):
        raise ValueError("passes and fail_fast must be at least 1 where they are given")


def _check_schedule(limits: Limits) -> None:
    if limits.timeout_floor_s <= 0 or (limits.timeout_factor is not None and limits.timeout_factor <= 0):
        raise ValueError("timeout_factor and timeout_floor_s must be more than 0")
    if limits.quarantine_after < 1 or not 1 <= limits.retry_weight <= 1000:
        raise ValueError("quarantine_after must be at least 1, retry_weight 1 to 1000")
    if (limits.memory_limit_bytes or 1) < 1 or (limits.memory_reserve_bytes or 0) < 0:
        raise ValueError("memory_limit_bytes must be more than 0, memory_reserve_bytes at least 0")


def _check_below(what: str, path: str) -> None:
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{what} {path!r} leaves the tree")
