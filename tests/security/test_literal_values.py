"""Whatever stands in fleet.yaml is carried literally to the hosts, or refused: through a real sh and a real ssh.

Thousands of values, many to a round trip. The same values go as arguments of a script, as environment of a command
line, as paths through rsync's `-e`, and as globs.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sltfleet.config.types import EnvName, EnvValue, Glob, InnerPath, RootPath, Template, Word
from sltfleet.core.shell import Script, command_line, join, rsync_rsh
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from sltfleet.runner.units import resolve_units
from sltfleet.transport.ssh import SshTransport
from sltfleet.wire.globs import GlobError, compile_glob
from sltfleet.wire.spec import FileUnits
from sltfleet.wire.template import expand_template

#: What trips a shell, a make, an ssh or a careless format string, between what does not.
SNIPPETS = st.sampled_from(
    [
        *("$(touch owned)", "`touch owned`", "${IFS}", "$HOME", "$1", "$@", "~", "~root", ";", "&&", "||", "|"),
        *(">owned", "<", "'", '"', "\\", "\\n", "\n", "\r", "\t", " ", "  ", "*", "?", "[a-z]", "{a,b}", "{worker}"),
        *("%s", "!", "#", "-rf", "--", "-", "=", "a=b", "..", "/", "//", "EOF", "sltfleet_end_of_file", "}", ")", "fi"),
        *("é", "日本", "😀", "\u202e", "\u2028", "\x01", "\x1b[0m", "\x7f", "\x9b", "esac", "0", "word"),
    ]
)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.lists(SNIPPETS | _TEXT).map("".join)
#: Many values share a round trip: hypothesis draws 2,000 of them and more in a few seconds.
BATCHES = st.lists(VALUES, min_size=80, max_size=120)

FEW = settings(max_examples=25, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def transport(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshTransport]:
    folder = tmp_path_factory.mktemp("literal")
    (folder / "home").mkdir()
    with LoopbackFleet([LoopbackHost("remote", home=folder / "home")], folder / "fleet") as fleet:
        with contextlib.closing(SshTransport("remote", "remote", fleet.ssh_config)) as opened:
            yield opened
        assert list((folder / "home").iterdir()) == []


#: Each argument followed by a character that no argument has.
ECHO = Script("for value do printf '%s\\000' \"$value\"; done")


def arrived(output: str) -> list[str]:
    assert output.endswith("\0")
    return output.split("\0")[:-1]


@given(BATCHES)
@FEW
def test_arguments_arrive_literally_over_ssh(transport: SshTransport, values: list[str]) -> None:
    result = transport.run(Script(ECHO.body, tuple(values)), timeout_s=60)
    assert arrived(result.stdout) == values


@given(BATCHES)
@FEW
def test_environment_values_and_a_folder_arrive_literally_in_a_line_for_sh(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("line")
    env = {f"VALUE_{number}": value for number, value in enumerate(values)}
    show = "import os, sys; [sys.stdout.buffer.write(os.fsencode(os.environ[n]) + b'\\0') for n in sys.argv[1:]]"
    line = command_line(str(folder), env, ["python3", "-c", show, *env])
    # Twice through a shell, as `repro --print` has it: `ssh HOST 'the line'`.
    done = subprocess.run(["sh", "-c", join(["sh", "-c", line])], capture_output=True, check=True)
    assert arrived(done.stdout.decode()) == values
    assert list(folder.iterdir()) == []


@given(st.lists(VALUES.filter(lambda value: "\n" not in value), min_size=20, max_size=40))
@FEW
def test_the_words_of_rsyncs_remote_shell_arrive_literally(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("rsh")
    shell = folder / "remote shell.py"
    shell.write_text(
        "import os, sys\n"
        f"open({str(folder / 'words')!r}, 'wb').write(b''.join(os.fsencode(w) + b'\\0' for w in sys.argv[1:]))\n"
    )
    rsh = rsync_rsh(["python3", str(shell), *values])
    subprocess.run(["rsync", "-e", rsh, "host:/nowhere", str(folder)], capture_output=True, check=False)
    assert arrived((folder / "words").read_bytes().decode())[: len(values)] == values


@given(st.lists(VALUES, max_size=200))
@settings(max_examples=30)
def test_environment_values_of_fleet_yaml_are_literal_or_refused(values: list[str]) -> None:
    plain, template = TypeAdapter(EnvValue), TypeAdapter(Template)
    for value in values:
        with contextlib.suppress(ValidationError):
            assert plain.validate_python(value) == value
        with contextlib.suppress(ValidationError):
            doubled = template.validate_python(value.replace("{", "{{").replace("}", "}}"))
            assert expand_template(doubled, {}) == value


@given(VALUES)
@settings(max_examples=2000)
def test_paths_and_words_of_fleet_yaml_are_literal_or_refused(value: str) -> None:
    for kind in (RootPath, InnerPath, Word, EnvName):
        try:
            taken = TypeAdapter(kind).validate_python(value)
        except ValidationError:
            continue
        assert taken == value
        # A path is always joined to a folder; a word stands alone, and must be no option.
        assert kind is InnerPath or not taken.startswith("-")
        assert not any(ord(character) < 0x20 or character == "\x7f" for character in taken)
        assert kind is not InnerPath or not (taken.startswith("/") or ".." in taken.split("/"))


@given(st.lists(VALUES, min_size=1, max_size=10))
@settings(max_examples=150)
def test_a_glob_selects_the_file_that_it_names_literally_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("globs")
    (folder / "root").mkdir()
    for name in {name.replace("/", "-")[:60] for name in names} - {"", ".", ".."}:
        (folder / "root" / name).touch()
        literal = "".join(f"[{character}]" if character in "*?[" else character for character in name)
        try:
            glob = TypeAdapter(Glob).validate_python(literal)
            compile_glob(glob)
        except (ValidationError, GlobError):
            continue
        resolved = resolve_units(FileUnits("root", (glob,), ()), (), str(folder), None)
        # A name that no journal could hold in one line is left out and noted; any other is itself and nothing else.
        assert {unit.id for unit in resolved.units} <= {name}
        assert resolved.units or resolved.notes


def test_a_nul_is_refused_wherever_it_stands(transport: SshTransport, tmp_path: Path) -> None:
    for refused in (
        lambda: transport.run(Script("true", ("a\0b",)), timeout_s=10),
        lambda: command_line("/", {"A": "\0"}, ["true"]),
        lambda: rsync_rsh(["ssh", "\0"]),
    ):
        with pytest.raises(ValueError, match="NUL"):
            refused()
    for kind in (EnvValue, Template, Glob, RootPath, InnerPath, Word):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python("a\0b")
