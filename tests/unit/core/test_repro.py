from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sltfleet.core.errors import HostError, RunError
from sltfleet.core.paths import HostPaths
from sltfleet.core.repro import not_reproduced, read_repro, repro_failure, repro_script, shell_line
from sltfleet.core.shell import script_input
from sltfleet.wire.codec import DecodeError
from sltfleet.wire.format import FormatError
from sltfleet.wire.repro import (
    Described,
    NotReproduced,
    ReproAnswer,
    Reproduced,
    ReproRequest,
    repro_line,
    request_from_text,
    request_to_text,
)

REQUEST = ReproRequest(7, "a 'b' ü.test", 3, 2, 2**62, 1.5, "ab" * 32, "@m@", times=4)

ANSWERS: list[ReproAnswer] = [
    Reproduced(1, "fail", 0.25, exit_code=1, message="no\nsuch"),
    Reproduced(2, "crash", 0.25, signal=6),
    Described("/a b", ("/bin/x", "it's"), {"A": "1 2"}),
    NotReproduced("gone", "anew", gone=True),
]


def test_a_request_comes_back_as_it_was() -> None:
    text = request_to_text(REQUEST)
    assert text.isascii()
    assert request_from_text(text) == REQUEST


@pytest.mark.parametrize("text", ["", "[", "[]", '{"format": 1}', '{"format": 1, "attempt": "x"}'])
def test_a_request_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises((DecodeError, FormatError)):
        request_from_text(text)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.kind)
def test_an_answer_is_told_from_what_the_attempt_prints(answer: ReproAnswer) -> None:
    line = repro_line("@m@", answer).rstrip("\n")
    assert "\n" not in line
    assert read_repro("@m@", line) == answer
    assert read_repro("@other@", line) is None
    assert read_repro("@m@", f" {line}") is None
    with pytest.raises(HostError, match="makes no sense"):
        read_repro("@m@", "@m@ {}")


def test_the_shell_line_does_what_it_says_here_and_through_ssh(odd_path: Path) -> None:
    script = 'printf "%s|%s|%s" "$PWD" "$NAME" "$1"'
    described = Described(str(odd_path), ("/bin/sh", "-c", script, "sh", "it's $x"), {"NAME": 'a "b" $c'})
    expected = f'{odd_path}|a "b" $c|it\'s $x'
    for line in (shell_line(described), shell_line(described, ("sh", "-c"))):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
        assert done.stdout == expected


def test_what_is_gone_is_told_with_what_to_do() -> None:
    for error in (not_reproduced("R", NotReproduced("gone", "x", gone=True)), repro_failure("R", 66, "", "")):
        assert isinstance(error, RunError)
        assert "sltfleet run --unit" in error.fix
    assert isinstance(repro_failure("R", 69, "", ""), HostError)
    assert "sltfleet run" not in not_reproduced("R", NotReproduced("busy", "wait")).fix


def test_a_host_without_the_run_is_left_as_it_is(odd_path: Path) -> None:
    script = repro_script(HostPaths(str(odd_path), "p"), "R", ("a.pyz", "0" * 64, b"x"), REQUEST)
    done = subprocess.run(["sh"], input=script_input(script, "@"), capture_output=True, check=False)
    assert done.returncode == 66
    assert list(odd_path.iterdir()) == []
