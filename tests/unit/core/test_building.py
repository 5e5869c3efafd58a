"""The lines of the build's own scripts; the scripts themselves run in test_build."""

from __future__ import annotations

from sltfleet.core.building import BuildAnswer, BuildRecord, build_script, seal_script
from sltfleet.core.cargo import Artifact, CargoBuild
from sltfleet.core.paths import HostPaths
from sltfleet.wire.codec import to_text

PATHS = HostPaths("~/.sltfleet", "p")
RECORD = BuildRecord("f" * 64, "s", (Artifact("tiny::it", "tiny", "/r/Cargo.toml", "/t/it"),), "rustc 1", 2.0)


def answer_of(*lines: str) -> BuildAnswer:
    answer = BuildAnswer()
    assert all(answer.feed(line) for line in lines)
    return answer


def test_the_scripts_lines_are_told_from_cargos() -> None:
    answer = answer_of("@project /home/u/p p", "@toolchain rustc 1.95.0", "@content ab", "@packages 12", "@exit 101")
    assert (answer.project, answer.toolchain, answer.content) == ("/home/u/p p", "rustc 1.95.0", "ab")
    assert (answer.packages, answer.exit_code) == (12, 101)
    assert not BuildAnswer().feed('{"reason": "build-finished"}')


def test_numbers_digests_and_records_that_are_none_are_not_taken() -> None:
    answer = answer_of("@packages ", "@exit x", "@digest /etc/passwd", "@record {", "@sync []")
    assert (answer.packages, answer.exit_code, answer.digests, answer.record) == (None, None, [], None)
    endless = "9" * 5000  # more digits than `int` takes
    answer = answer_of(f"@packages {endless}", f"@exit {endless}", "@digest /etc/passwd", "@record {", "@sync []")
    assert (answer.packages, answer.exit_code, answer.digests, answer.record) == (None, None, [], None)
    assert answer.sync is None
    assert answer.problems


def test_a_record_comes_back_as_it_was_written() -> None:
    assert answer_of(f"@record {to_text(RECORD)}").record == RECORD


def test_values_are_arguments_and_never_part_of_the_scripts_text() -> None:
    odd = "$(touch /tmp/x) 'q'"
    script = build_script(PATHS, "s", CargoBuild(odd), {"NAME": odd}, force=False)
    assert odd not in script.body
    assert f"--test={odd}" in script.args
    assert f"NAME={odd}" in script.args
    assert script.watched
    assert seal_script(PATHS, RECORD, "ab").body == seal_script(PATHS, RECORD, odd).body
