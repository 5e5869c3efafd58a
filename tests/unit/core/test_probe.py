"""The probe: its parser by cases in tests/cases/probe and by properties, its script by a real sh."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.core.errors import HostError
from sltfleet.core.facts import HostFacts
from sltfleet.core.paths import HostPaths
from sltfleet.core.probe import parse_probe, probe_script
from sltfleet.transport.local import LocalTransport

CASES = sorted((Path(__file__).parents[2] / "cases" / "probe").glob("*.json"))

#: The keys that the parser knows, so that random lines reach it.
KEYS = (
    "clock",
    "system",
    "release",
    "user",
    "load",
    "memory",
    "status",
    "online",
    "limit",
    "cpu_max",
    "cpu_quota",
    "cpu_period",
    "memory_max",
    "logind",
    "folder",
    "disk",
    "inodes",
    "mount",
    "have",
    "python",
    "compiler",
    "cargo",
    "rustup",
    "pid_max",
    "tasks_max",
    "libc",
    "boot",
)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_a_host_prints_becomes_facts(path: Path) -> None:
    case = json.loads(path.read_text())
    assert list(probe_script(HostPaths("~/.sltfleet", "demo"), {"RUSTFLAGS": "-g"}).args) == case["command"]
    facts = parse_probe("\n".join(case["output"]) + "\n", case["noise"], "demo")
    assert json.loads(json.dumps(asdict(facts))) == case["value"]


@given(
    st.lists(
        st.tuples(st.sampled_from(KEYS), st.lists(st.text(max_size=12) | st.from_regex(r"\d+(-\d+)?"), max_size=4))
    )
)
def test_no_answer_that_ends_makes_the_parser_fail(rows: list[tuple[str, list[str]]]) -> None:
    output = "".join("\t".join([key, *fields]) + "\n" for key, fields in rows) + "end\n"
    facts = parse_probe(output, "", "demo")
    assert facts.cores.usable is None or facts.cores.usable >= 0


def test_an_answer_that_breaks_off_is_an_error_and_not_a_host_without_tools() -> None:
    with pytest.raises(HostError, match="incomplete"):
        parse_probe("clock\t1795437077.16\nsystem\tLinux\n", "", "demo")


def ask(
    root: str,
    project: str = "demo",
    places: tuple[str, ...] | None = None,
    environment: dict[str, str] | None = None,
) -> HostFacts:
    """The facts of this machine, by a real sh; cargo is looked for in `places` only."""
    script = probe_script(HostPaths(root, project), environment or {})
    if places is not None:
        script = replace(script, args=(*script.args[: script.args.index("--") + 1], *places))
    result = LocalTransport("here").run(script, timeout_s=60)
    assert result.exit_code == 0
    return parse_probe(result.stdout, result.noise, project)


def test_a_real_shell_answers_with_facts_of_this_machine(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(odd_path))
    facts = ask("~/.sltfleet")
    assert facts.system == "Linux"
    assert facts.home == str(odd_path)
    assert facts.is_root == (os.getuid() == 0)
    assert facts.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert facts.limits.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text())
    assert facts.cores.allowed == len(os.sched_getaffinity(0))
    assert facts.filesystem.free_bytes
    assert facts.filesystem.mount.startswith("/")
    assert facts.filesystem.kind
    assert facts.memory.total_bytes
    assert facts.clock_s
    assert facts.python is not None
    assert facts.python.version >= (3, 8)
    assert facts.hard_links
    assert facts.project.nearest == str(odd_path)
    assert facts.project.writable


def test_the_probe_leaves_nothing_behind(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, scratch = odd_path / "home", odd_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(scratch))
    ask("~/.sltfleet", places=())  # a rustup shim makes ~/.rustup by itself
    assert list(scratch.iterdir()) == []
    assert list(home.iterdir()) == []


def test_the_state_of_the_projects_folder_is_told(odd_path: Path) -> None:
    def state(name: str) -> str:
        return ask(str(odd_path), name).project.state

    for name in ("ours", "theirs", "plain"):
        (odd_path / name).mkdir()
    (odd_path / "ours" / ".sltfleet-project").write_text("ours\n")
    (odd_path / "theirs" / ".sltfleet-project").write_text("another\n")
    (odd_path / "file").write_text("")
    (odd_path / "link").symlink_to(odd_path / "ours")
    names = ("ours", "theirs", "plain", "file", "link", "nothing")
    assert [state(name) for name in names] == ["marked", "foreign", "unmarked", "other", "link", "absent"]


def test_every_cargo_is_tried_once_and_one_that_does_not_start_is_told_with_its_reason(odd_path: Path) -> None:
    first, second = odd_path / "first", odd_path / "second"
    for folder, text in ((first, "echo no toolchain >&2; exit 1"), (second, "echo cargo 1.75.0")):
        folder.mkdir()
        (folder / "cargo").write_text(f"#!/bin/sh\n{text}\n")
        (folder / "cargo").chmod(0o755)
    facts = ask(str(odd_path), places=(str(first), str(second), str(first), str(odd_path / "third")))
    assert [(cargo.works, cargo.says) for cargo in facts.cargos] == [(False, "no toolchain"), (True, "cargo 1.75.0")]
    assert facts.cargo == facts.cargos[1]


def test_the_environment_that_fleet_yaml_sets_for_the_host_counts(odd_path: Path) -> None:
    (odd_path / "bin").mkdir()
    (odd_path / "bin" / "cargo").write_text("#!/bin/sh\necho cargo 1.2.3 $MOOD\n")
    (odd_path / "bin" / "cargo").chmod(0o755)
    environment = {"CARGO_HOME": str(odd_path), "MOOD": "a 'b' \"c\" $d *"}
    facts = ask(str(odd_path), environment=environment)
    assert facts.cargos[0].path == f"{odd_path}/bin/cargo"
    assert "a 'b' \"c\" $d" in facts.cargos[0].says


def test_a_tab_or_a_newline_in_what_a_program_says_makes_no_line_of_its_own(odd_path: Path) -> None:
    (odd_path / "cargo").write_text("#!/bin/sh\nprintf 'cargo\\t1\\nrustup\\t/bin/evil\\tx\\n'\n")
    (odd_path / "cargo").chmod(0o755)
    facts = ask(str(odd_path), places=(str(odd_path),))
    assert [cargo.says for cargo in facts.cargos] == ["cargo 1"]
    assert facts.rustup is None
