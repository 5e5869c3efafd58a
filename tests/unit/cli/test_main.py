from __future__ import annotations

import importlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from sltfleet.cli import main as main_module
from sltfleet.cli.completion import SHELLS
from sltfleet.cli.main import COMMANDS, cli, reader_left, run, wants_traceback
from sltfleet.core.errors import ConnectError, ExitCode, UsageError
from sltfleet.core.shell import quote

ROOT = Path(__file__).resolve().parents[3]

#: Too slow for `--help`, and for a `status` of a local host where they are not needed.
HEAVY = ("fabric", "paramiko", "pydantic", "rich", "yaml", "tabulate")


def python(code: str, *, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, which has sltfleet."""
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=False,
    )


@pytest.fixture
def command_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make `sltfleet status` do something else."""

    def install(action: Callable[[], object]) -> None:
        @click.command("status")
        @click.option("-v", "--verbose", count=True)
        def command(verbose: int) -> object:
            return action()

        monkeypatch.setattr(cli, "get_command", lambda _context, _name: command)

    return install


def failing(error: BaseException) -> Callable[[], object]:
    def action() -> object:
        raise error

    return action


class TestTheCommands:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_the_short_help_is_the_command_s_own(self, name: str) -> None:
        module, text = COMMANDS[name]
        command = importlib.import_module(f"sltfleet.cli.{module}").command
        assert isinstance(command, click.Command)
        assert (command.name, command.short_help) == (name, text)
        assert command.help, "what `sltfleet NAME --help` says"

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_option_says_what_it_is_for(self, name: str) -> None:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_takes_the_options_of_all_and_of_a_fleet_and_a_table_where_it_has_one(self, name: str) -> None:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        wanted = {"--verbose"}
        if name not in ("init", "schema", "completion", "demo"):  # which are about no fleet.yaml that is there
            wanted |= {"--fleet", "--ssh-config", "--host", "--tag"}
            if name not in ("logs", "stop", "repro"):  # which print no table
                wanted |= {"--format"}
        assert wanted <= {word for option in command.params for word in option.opts}

    def test_help_lists_all_of_them_in_the_order_of_work(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["--help"]) == ExitCode.OK
        said = capsys.readouterr().out
        places = [said.index(f"\n  {name} ") for name in COMMANDS]
        assert places == sorted(places)
        assert "Exit codes:" in said

    def test_without_a_command_the_help_is_shown_as_a_mistake(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run([]) == ExitCode.USAGE
        assert "Usage: sltfleet" in "".join(capsys.readouterr())

    def test_the_version_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["--version"]) == ExitCode.OK
        assert capsys.readouterr().out.startswith("sltfleet, version ")

    def test_an_unknown_one_suggests_the_nearest(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["stauts"]) == ExitCode.USAGE
        assert "no such command 'stauts'; did you mean 'status'?" in capsys.readouterr().err

    def test_one_that_is_like_none_is_just_unknown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["xyzzy"]) == ExitCode.USAGE
        assert "did you mean" not in capsys.readouterr().err

    def test_an_unknown_option_is_a_usage_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["status", "--nope"]) == ExitCode.USAGE
        assert "--nope" in capsys.readouterr().err


class TestTheExitCode:
    @pytest.mark.parametrize(
        ("result", "expected"), [(None, 0), (0, 0), (ExitCode.TESTS_FAILED, 1), (7, 7), ("text", 0)]
    )
    def test_it_is_what_the_command_returned(
        self, command_that: Callable[[Callable[[], object]], None], result: object, expected: int
    ) -> None:
        command_that(lambda: result)
        assert run(["status"]) == expected

    @pytest.mark.parametrize("verbose", [[], ["-v"]])
    def test_an_error_has_its_own_code_and_text_and_a_traceback_only_with_v(
        self,
        command_that: Callable[[Callable[[], object]], None],
        capsys: pytest.CaptureFixture[str],
        verbose: list[str],
    ) -> None:
        command_that(failing(ConnectError("cannot connect", "refused", "is it on?", host="alpha")))
        assert run(["status", *verbose]) == ExitCode.HOST
        out, err = capsys.readouterr()
        assert out == ""
        assert err.endswith("error: alpha: cannot connect\n  why: refused\n  next: is it on?\n")
        assert ("Traceback" in err) == bool(verbose)

    @pytest.mark.parametrize("verbose", [[], ["-v"]])
    def test_a_defect_is_told_as_one_and_has_the_code_of_one(
        self,
        command_that: Callable[[Callable[[], object]], None],
        capsys: pytest.CaptureFixture[str],
        verbose: list[str],
    ) -> None:
        command_that(failing(KeyError("oops")))
        assert run(["status", *verbose]) == ExitCode.INTERNAL
        err = capsys.readouterr().err
        assert "sltfleet has a defect: KeyError: 'oops'" in err
        assert ("Traceback" in err) == bool(verbose)

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
    def test_ctrl_c_is_told_and_is_130(
        self,
        command_that: Callable[[Callable[[], object]], None],
        capsys: pytest.CaptureFixture[str],
        error: BaseException,
    ) -> None:
        command_that(failing(error))
        assert run(["status"]) == ExitCode.INTERRUPTED
        assert "interrupted" in capsys.readouterr().err

    def test_a_usage_error_of_the_fleet_is_one_of_the_command_line(
        self, command_that: Callable[[Callable[[], object]], None]
    ) -> None:
        command_that(failing(UsageError("there is no suite 'x'")))
        assert run(["status"]) == ExitCode.USAGE

    def test_the_process_ends_with_it(
        self, monkeypatch: pytest.MonkeyPatch, command_that: Callable[[Callable[[], object]], None]
    ) -> None:
        command_that(lambda: ExitCode.BUILD)
        monkeypatch.setattr(sys, "argv", ["sltfleet", "status"])
        with pytest.raises(SystemExit) as caught:
            main_module.main()
        assert caught.value.code == ExitCode.BUILD


class TestAReaderThatLeaves:
    def test_it_is_no_error_and_nothing_is_said(self) -> None:
        """As in `sltfleet schema | head -1`: the other end of the pipe is closed before anything is written."""
        code = """
import click, sys
from sltfleet.cli.main import cli, main

@click.command("status")
def command():
    for _ in range(10_000):
        click.echo("a line that nobody reads")

cli.get_command = lambda _context, _name: command
sys.argv = ["sltfleet", "status"]
main()
"""
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = python(code, stdout=writer)
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (ExitCode.OK, "")

    def test_help_may_be_cut_short_as_well(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = python(
                "import sys; sys.argv = ['sltfleet', '--help']; from sltfleet.__main__ import main; main()",
                stdout=writer,
            )
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (ExitCode.OK, "")

    def test_a_pipe_of_ours_that_breaks_is_a_defect_all_the_same(
        self, command_that: Callable[[Callable[[], object]], None], capsys: pytest.CaptureFixture[str]
    ) -> None:
        command_that(failing(BrokenPipeError(32, "Broken pipe")))
        assert run(["status"]) == ExitCode.INTERNAL
        assert "BrokenPipeError" in capsys.readouterr().err
        assert not reader_left()


def test_an_interrupt_among_the_first_imports_shows_no_traceback() -> None:
    code = """
import builtins
importing = builtins.__import__
def interrupted(name, *args, **kwargs):
    if name == "click":
        raise KeyboardInterrupt
    return importing(name, *args, **kwargs)
from sltfleet.__main__ import main
builtins.__import__ = interrupted
main()
"""
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.INTERRUPTED, "", "")


class TestStartingFast:
    @pytest.mark.parametrize("words", [["--help"], ["--version"], ["stauts"]])
    def test_nothing_heavy_is_imported(self, words: list[str]) -> None:
        code = f"""
import json, sys
from sltfleet.cli.main import run
run({words!r})
print("\\n" + json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
        done = python(code)
        imported = set(json.loads(done.stdout.splitlines()[-1]))
        assert "click" in imported
        assert not imported & set(HEAVY)

    def test_the_help_of_a_command_needs_its_module_only(self) -> None:
        code = """
import json, sys
from sltfleet.cli.main import run
run(["status", "--help"])
print("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
        imported = set(json.loads(python(code).stdout.splitlines()[-1]))
        assert not imported & set(HEAVY)


class TestCompletion:
    def test_a_shell_can_complete_the_commands(self) -> None:
        done = python(
            "import sys; sys.argv = ['sltfleet']; from sltfleet.cli.main import main; main()",
            _SLTFLEET_COMPLETE="bash_complete",
            COMP_WORDS="sltfleet sta",
            COMP_CWORD="1",
        )
        assert (done.returncode, done.stdout.split(",")[-1].strip()) == (0, "status")

    @pytest.mark.parametrize("shell", SHELLS)
    def test_each_shell_has_a_script_that_asks_sltfleet(self, shell: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["completion", shell]) == ExitCode.OK
        assert f"_SLTFLEET_COMPLETE={shell}_complete" in capsys.readouterr().out

    def test_bash_completes_with_the_script(self, tmp_path: Path) -> None:
        program = tmp_path / "sltfleet"
        program.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} -m sltfleet "$@"\n')
        program.chmod(0o755)
        lines = (
            'eval "$(sltfleet completion bash)"',
            "COMP_WORDS=(sltfleet sync --take) COMP_CWORD=2",
            "$(complete -p sltfleet | sed 's/.*-F \\([^ ]*\\) .*/\\1/') sltfleet",
            'echo "${COMPREPLY[@]}"',
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        argv = ["bash", "--norc", "-c", "\n".join(lines)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.split() == ["--take-over"], done.stderr


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["status", "-v"], True),
        (["-vv", "status"], True),
        (["status", "--verbose"], True),
        (["status"], False),
        (["status", "-w", "--host", "v"], False),
        (["--version"], False),
        (["status", "-"], False),
    ],
)
def test_a_traceback_is_wanted_where_v_was_typed(argv: list[str], expected: bool) -> None:
    assert wants_traceback(argv) is expected


class TestOutputThatCannotBeWritten:
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_it_is_an_error_like_any_other(self) -> None:
        with open("/dev/full", "wb") as full:
            words = [sys.executable, "-m", "sltfleet", "schema"]
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == ExitCode.USAGE
        assert "error: standard output cannot be written to\n  why: No space left on device\n" in done.stderr
        assert "defect" not in done.stderr
        assert "Exception" not in done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_can_be_typed(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    lines = [line.strip() for line in (command.help or "").splitlines() if line.startswith("  sltfleet ")]
    for line in lines:
        # What follows a gap says what the line is for.
        _, typed, *words = shlex.split(line.partition("  ")[0])
        assert typed == name
        command.make_context(name, words)


def test_some_commands_have_examples() -> None:
    commands = (cli.get_command(click.Context(cli), name) for name in ("run", "logs", "repro", "clean"))
    assert all(command is not None and "Examples:" in (command.help or "") for command in commands)
