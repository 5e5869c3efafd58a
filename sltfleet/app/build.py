"""`build`: compiles a suite on every host, side by side, once per host and again only when something has changed.

What "changed" means: docs/decisions/004-mtimes-and-cargo.md.
"""

from __future__ import annotations

import posixpath
import time
from dataclasses import dataclass, fields

from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import BuildProgress, Listener, Warned
from sltfleet.config.model import BuildConfig, SuiteConfig
from sltfleet.core.building import BuildAnswer, BuildRecord, build_script, seal_script
from sltfleet.core.cargo import CargoBuild, CargoReader
from sltfleet.core.cargo_failures import build_failure, script_failure
from sltfleet.core.errors import BuildError, CommandTimeout
from sltfleet.core.syncing import sync_problem
from sltfleet.transport.base import CommandResult

#: The digest of an executable and a small file; connecting included.
SEAL_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class BuiltSuite:
    """A suite that is ready to run on one host.

    `binary`, `project_root` and `repo` are absolute there, `package_dir` is relative to the repo ("" for the repo
    itself); `digest` is the binary's SHA-256 in hex; `commit` and `dirty_digest` are those of the last sync. `cached`:
    nothing had changed, and cargo was not even started.
    """

    host: str
    suite: str
    binary: str
    digest: str
    package: str
    package_dir: str
    commit: str
    dirty_digest: str
    toolchain: str
    project_root: str
    repo: str
    cached: bool
    duration_s: float


def build(
    fleet: Fleet,
    suite_name: str,
    suite: SuiteConfig,
    listener: Listener,
    *,
    force: bool = False,
    verbose: bool = False,
) -> HostResults[BuiltSuite]:
    """Build the suite on all hosts of the fleet. `force` runs cargo in any case; `verbose` keeps warnings in errors.

    A host that has no whole sync gets a SyncError, one whose build fails or takes longer than the suite's
    `build.timeout` a BuildError.
    """

    def work(host: Host) -> tuple[BuiltSuite, str]:
        built = _build_on(host, suite_name, suite.build, listener, force=force, verbose=verbose)
        return built, "nothing has changed" if built.cached else f"built in {built.duration_s:.1f} s"

    return fleet.each_host("building", work, listener)


def _build_on(
    host: Host, suite: str, config: BuildConfig, listener: Listener, *, force: bool, verbose: bool
) -> BuiltSuite:
    started_s = time.monotonic()
    plan = CargoBuild(**{field.name: getattr(config, field.name) for field in fields(CargoBuild)})
    script = build_script(host.paths, suite, plan, {**host.config.env, **config.env}, force=force)
    answer, reader = BuildAnswer(), CargoReader(plan.test)

    def take(line: str) -> None:
        if answer.feed(line):
            return
        crate = reader.feed(line)
        if crate is not None:
            listener(BuildProgress(host.name, crate, reader.done, answer.packages))

    try:
        result = host.transport.run(script, timeout_s=config.timeout, on_line=take)
    except CommandTimeout as error:
        why = f"it was ended after {config.timeout:g} s"
        raise BuildError("the build did not end in time", why, "raise build.timeout in fleet.yaml") from error
    _check(result, config.manifest)
    if answer.record is not None and answer.digest:
        return _describe(host, answer, answer.record, started_s, cached=True)
    if answer.exit_code is None:
        raise BuildError(
            "the build did not come to its end", "its output is cut off", "build again", detail=result.stderr
        )
    if answer.exit_code != 0:
        raise build_failure(answer.exit_code, result.stderr, project_root=answer.project, warnings=verbose)
    for problem in answer.problems:
        listener(Warned(host.name, problem))
    return _seal(host, suite, config, answer, reader, started_s)


def _seal(
    host: Host, suite: str, config: BuildConfig, answer: BuildAnswer, reader: CargoReader, started_s: float
) -> BuiltSuite:
    """Remember on the host what was built from what."""
    artifact = reader.artifact()
    record = BuildRecord(
        fingerprint=answer.fingerprint,
        suite=suite,
        binary=artifact.executable,
        package=artifact.package,
        manifest_path=artifact.manifest_path,
        toolchain=answer.toolchain,
        duration_s=time.monotonic() - started_s,
    )
    result = host.transport.run(seal_script(host.paths, record, answer.content), timeout_s=SEAL_TIMEOUT_S)
    _check(result, config.manifest)
    for line in result.stdout.splitlines():
        answer.feed(line)
    return _describe(host, answer, record, started_s, cached=False)


def _check(result: CommandResult, manifest: str) -> None:
    if problem := sync_problem(result.exit_code):
        raise problem
    if result.exit_code != 0:
        raise script_failure(result.exit_code, result.stderr, manifest)


def _describe(host: Host, answer: BuildAnswer, record: BuildRecord, started_s: float, *, cached: bool) -> BuiltSuite:
    repo = posixpath.join(answer.project, "repo")
    package_dir = posixpath.relpath(posixpath.dirname(record.manifest_path), repo)
    if not answer.digest or not posixpath.isabs(record.binary) or package_dir.split("/")[0] == "..":
        what = f"package {record.package} in {record.manifest_path}, executable {record.binary}"
        raise BuildError(
            "what was built is not usable", what, "the package must lie in the repo; look at build.package"
        )
    return BuiltSuite(
        host=host.name,
        suite=record.suite,
        binary=record.binary,
        digest=answer.digest,
        package=record.package,
        package_dir="" if package_dir == "." else package_dir,
        commit=answer.sync.commit if answer.sync else "",
        dirty_digest=answer.sync.dirty_digest if answer.sync else "",
        toolchain=answer.toolchain,
        project_root=answer.project,
        repo=repo,
        cached=cached,
        duration_s=time.monotonic() - started_s,
    )
