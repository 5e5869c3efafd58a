"""`build`: compiles a suite on every host, side by side, once per host and again only when something has changed.

What "changed" means: docs/decisions/004-mtimes-and-cargo.md.
"""

from __future__ import annotations

import hashlib
import posixpath
import time
from dataclasses import fields

from sltfleet.app.fleet import Fleet, Host, HostResults
from sltfleet.app.progress import BuildProgress, Listener, Warned
from sltfleet.config.model import BuildConfig, SuiteConfig
from sltfleet.core.building import BuildAnswer, BuildRecord, BuiltSuite, CommandBuild, build_script, seal_script
from sltfleet.core.cargo import Artifact, CargoBuild, CargoReader
from sltfleet.core.cargo_failures import build_failure, script_failure
from sltfleet.core.errors import BuildError, CommandTimeout
from sltfleet.core.shell import join
from sltfleet.core.syncing import sync_problem
from sltfleet.transport.base import CommandResult
from sltfleet.wire.spec import LibtestBinary

#: The digest of an executable and a small file; connecting included.
SEAL_TIMEOUT_S = 120.0


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
        built = _build_on(host, suite_name, suite, listener, force=force, verbose=verbose)
        return built, "nothing has changed" if built.cached else f"built in {built.duration_s:.1f} s"

    return fleet.each_host("building", work, listener)


def _build_on(
    host: Host, name: str, suite: SuiteConfig, listener: Listener, *, force: bool, verbose: bool
) -> BuiltSuite:
    started_s = time.monotonic()
    config, every_test = suite.build, suite.units.kind == "libtest"
    plan = _plan(suite)
    script = build_script(host.paths, name, plan, {**host.config.env, **config.env}, force=force)
    answer, reader = BuildAnswer(), CargoReader(None if every_test else config.test)

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
    record = answer.record
    if plan == CommandBuild():
        record = BuildRecord("", name, (), "", 0.0)
    if record is not None:
        return _describe(host, answer, record, started_s, every_test=every_test, cached=True)
    if answer.exit_code is None:
        raise BuildError(
            "the build did not come to its end", "its output is cut off", "build again", detail=result.stderr
        )
    if answer.exit_code != 0 and isinstance(plan, CommandBuild):
        why, shown = f"`{join(plan.command)}` ended with exit code {answer.exit_code}", result.stderr.strip()
        raise BuildError("the build command failed", why, "run it by hand in the repo on that host", detail=shown)
    if answer.exit_code != 0:
        raise build_failure(answer.exit_code, result.stderr, project_root=answer.project, warnings=verbose)
    for problem in answer.problems:
        listener(Warned(host.name, problem))
    if isinstance(plan, CommandBuild):
        repo = posixpath.join(answer.project, "repo")
        made: tuple[Artifact, ...] = (
            (Artifact("", "", posixpath.join(repo, "."), posixpath.join(repo, plan.output)),) if plan.output else ()
        )
    else:
        made = reader.all_artifacts() if every_test else (reader.artifact(),)
    record = BuildRecord(
        fingerprint=answer.fingerprint,
        suite=name,
        artifacts=made,
        toolchain=answer.toolchain,
        duration_s=time.monotonic() - started_s,
    )
    _seal(host, config, answer, record)
    return _describe(host, answer, record, started_s, every_test=every_test, cached=False)


def _plan(suite: SuiteConfig) -> CargoBuild | CommandBuild:
    """What is to be done: cargo's part or the command, if any."""
    if not suite.needs_cargo:
        return CommandBuild(suite.build.command, suite.build.output)
    return CargoBuild(**{field.name: getattr(suite.build, field.name) for field in fields(CargoBuild)})


def _seal(host: Host, config: BuildConfig, answer: BuildAnswer, record: BuildRecord) -> None:
    """Remember on the host what was built from what."""
    result = host.transport.run(seal_script(host.paths, record, answer.content), timeout_s=SEAL_TIMEOUT_S)
    _check(result, config.manifest)
    for line in result.stdout.splitlines():
        answer.feed(line)


def _check(result: CommandResult, manifest: str) -> None:
    if problem := sync_problem(result.exit_code):
        raise problem
    if result.exit_code != 0:
        raise script_failure(result.exit_code, result.stderr, manifest)


def _describe(
    host: Host, answer: BuildAnswer, record: BuildRecord, started_s: float, *, every_test: bool, cached: bool
) -> BuiltSuite:
    repo = posixpath.join(answer.project, "repo")
    if len(answer.digests) != len(record.artifacts):
        raise BuildError("what was built is not usable", "its digests are missing", "build again with --force")
    binaries = tuple(_binary(repo, *pair) for pair in zip(record.artifacts, answer.digests, strict=True))
    if every_test or not binaries:
        # Of several executables, or none, what the run is of: as one of them changes, so does the whole.
        parts = answer.digests or [answer.content]
        first = LibtestBinary("", "", hashlib.sha256("\n".join(parts).encode()).hexdigest(), "")
    else:
        first = binaries[0]
    return BuiltSuite(
        host=host.name,
        suite=record.suite,
        binary=first.path,
        digest=first.digest,
        package=", ".join(dict.fromkeys(artifact.package for artifact in record.artifacts)),
        package_dir=first.package_dir,
        binaries=binaries if every_test else (),
        commit=answer.sync.commit if answer.sync else "",
        dirty_digest=answer.sync.dirty_digest if answer.sync else "",
        toolchain=answer.toolchain,
        project_root=answer.project,
        repo=repo,
        cached=cached,
        duration_s=time.monotonic() - started_s,
    )


def _binary(repo: str, artifact: Artifact, digest: str) -> LibtestBinary:
    """Return an executable as the runner takes it. Raises BuildError for one whose package is not in the repo."""
    package_dir = posixpath.relpath(posixpath.dirname(artifact.manifest_path), repo)
    if not posixpath.isabs(artifact.executable) or package_dir.split("/")[0] == "..":
        what = f"package {artifact.package} in {artifact.manifest_path}, executable {artifact.executable}"
        raise BuildError(
            "what was built is not usable", what, "the package must lie in the repo; look at build.package"
        )
    return LibtestBinary(artifact.id, artifact.executable, digest, "" if package_dir == "." else package_dir)
