"""A plain specification, to be changed with `dataclasses.replace`."""

from __future__ import annotations

from sltfleet.wire.spec import ExitCodeVerdict, FileUnits, Spec

SPEC = Spec(
    run_id="r",
    project="p",
    host="h",
    suite="s",
    project_root="/p",
    repo="/p/repo",
    package_dir="",
    binary="/t/release/deps/suite-1",
    build_digest="",
    args=(),
    env={},
    units=FileUnits("corpus", ("**/*.test",)),
    verdict=ExitCodeVerdict(),
    workers=4,
    budget_s=60.0,
    seed=9,
)
