"""setup by real shells on a host whose apt-get, sudo, curl and rustup are the test's own: nothing is really installed.

The fakes write down how they were called; fake apt-get "installs" by making a program of the package's name.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sltfleet.app.fleet import HostResults
from sltfleet.app.progress import ProgressEvent, StepStarted, Warned
from sltfleet.app.setup import SETUP_TIMEOUT_S, Clock, SetupResult, setup
from sltfleet.core.errors import CommandTimeout, FleetError
from tests.support.local_fleet import local_fleet

#: What every host has; everything else comes from a fake.
BASIC = (
    "sh",
    "cat",
    "date",
    "uname",
    "mkdir",
    "mktemp",
    "rm",
    "cp",
    "df",
    "head",
    "tail",
    "wc",
    "find",
    "du",
    "base64",
    "sha256sum",
    "awk",
    "chmod",
    "touch",
    "mv",
    "true",
)

APT_GET = """\
#!/bin/sh
echo "apt-get $*" >>"$FAKES/log"
if [ -e "$FAKES/apt-get.says" ]; then cat "$FAKES/apt-get.says"; mv "$FAKES/apt-get.says" "$FAKES/said"; exit 100; fi
case $* in *" install "*) ;; *) exit 0 ;; esac
[ "$DEBIAN_FRONTEND" = noninteractive ] || exit 9
for package; do
  case $package in
    gcc) name=cc text='for last; do :; done; exit 0' ;;
    python3) name=python3 text='echo 3.11.2' ;;
    cargo|cargo-web) name=cargo text='echo cargo 1.85.0' ;;
    rsync|make|curl|pkg-config) name=$package text='echo 3.2.7 version 3.2.7' ;;
    *) continue ;;
  esac
  [ "$name" = curl ] && { cp "$FAKES/curl" "$FAKES/bin/curl"; continue; }
  printf '#!/bin/sh\\n%s\\n' "$text" >"$FAKES/bin/$name"
  chmod 755 "$FAKES/bin/$name"
done
"""

APT_CACHE = """\
#!/bin/sh
printf 'cargo:\\n  Candidate: 0.66.0\\nrustc:\\n  Candidate: 1.63.0+dfsg1-2\\n'
printf 'cargo-web:\\n  Candidate: 1.85.0\\nrustc-web:\\n  Candidate: 1.85.0\\n'
"""

#: Answers for rustup's addresses only where the test says so; what it downloads "installs" a cargo.
CURL = """\
#!/bin/sh
echo "curl $*" >>"$FAKES/log"
[ -e "$FAKES/online" ] || exit 6
while [ $# -gt 1 ]; do
  [ "$1" = -o ] && [ "$2" != /dev/null ] && cat "$FAKES/rustup-init" >"$2"
  shift
done
exit 0
"""

RUSTUP_INIT = """\
echo "rustup-init $*" >>"$FAKES/log"
mkdir -p "$HOME/.cargo/bin"
printf '#!/bin/sh\\necho cargo 1.90.0\\n' >"$HOME/.cargo/bin/cargo"
chmod 755 "$HOME/.cargo/bin/cargo"
"""


@dataclass
class FakeHost:
    """A host made of a PATH, a home folder and a log."""

    folder: Path
    events: list[ProgressEvent] = field(default_factory=list)

    def put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def setup(self, *, dry_run: bool = False, clock: Clock | None = None) -> HostResults[SetupResult]:
        fleet = local_fleet(self.folder, {"h": str(self.folder / "root")})
        return setup(fleet, self.events.append, dry_run=dry_run, clock=clock)

    def error(self, *, clock: Clock | None = None) -> FleetError:
        return self.setup(clock=clock).errors["h"]


@pytest.fixture
def fake(odd_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    """A bare Debian: root, apt, and next to nothing else."""
    # A PATH's entries are parted by colons; everything else may be in them.
    host = FakeHost(odd_path)
    # Links to real programs have a folder of their own: no fake is ever written through one.
    for name in ("bin", "real", "home"):
        (odd_path / name).mkdir()
    for name in BASIC:
        found = shutil.which(name)
        assert found, name
        (odd_path / "real" / name).symlink_to(os.path.realpath(found))
    # `env` runs what follows with the fakes' PATH, as it is.
    (odd_path / "real" / "env").symlink_to("/usr/bin/env")
    host.put("bin/id", '#!/bin/sh\ncase $1 in -u) echo "${FAKE_UID:-0}" ;; *) echo alice ;; esac\n')
    host.put("bin/apt-get", APT_GET)
    host.put("bin/apt-cache", APT_CACHE)
    host.put("curl", CURL)
    host.put("rustup-init", RUSTUP_INIT)
    monkeypatch.setenv("PATH", f"{odd_path}/bin:{odd_path}/real")
    monkeypatch.setenv("HOME", str(odd_path / "home"))
    monkeypatch.setenv("FAKES", str(odd_path))
    monkeypatch.delenv("CARGO_HOME", raising=False)
    monkeypatch.setattr("sltfleet.core.probe.CARGO_PLACES", ("~/.cargo/bin", "$PATH"))
    monkeypatch.setattr("sltfleet.core.probe.PYTHON_PLACES", ("$PATH",))
    return host


def test_a_bare_host_gets_its_packages_and_rust_by_rustup_where_that_can_be_reached(fake: FakeHost) -> None:
    (fake.folder / "online").touch()
    results = fake.setup()
    assert results.errors == {}
    packages = next(line for line in fake.log if " install " in line)
    assert "-o DPkg::Lock::Timeout=120" in packages
    assert "rsync python3 gcc libc6-dev curl" in packages
    assert fake.log[-1] == "rustup-init -y --profile minimal --no-modify-path"
    diagnosis = results.values["h"].diagnosis
    assert diagnosis is not None
    assert diagnosis.facts is not None
    assert [cargo.says for cargo in diagnosis.facts.cargos] == ["cargo 1.90.0"]
    assert not {"rsync", "python3", "cargo", "linker"} & {
        finding.check for finding in diagnosis.findings if str(finding.level) == "error"
    }


def test_a_host_that_cannot_reach_rustup_gets_debians_newer_cargo(fake: FakeHost) -> None:
    results = fake.setup()
    assert fake.log[-1].endswith("install -y --no-install-recommends cargo-web rustc-web")
    assert "Rust 1.85.0 by apt" in results.values["h"].commands[-1].title


def test_the_second_time_nothing_is_typed(fake: FakeHost) -> None:
    fake.setup()
    before = fake.log
    again = fake.setup().values["h"]
    installed = [line for line in fake.log[len(before) :] if " install " in line]
    # The host's certificates are this machine's own, so that package may be asked for again; nothing else.
    assert all("rsync" not in line and "cargo" not in line for line in installed)
    assert len(again.commands) in (0, 2)


def test_a_dry_run_says_every_command_and_types_none(fake: FakeHost) -> None:
    result = fake.setup(dry_run=True).values["h"]
    assert fake.log == []
    assert result.diagnosis is None
    text = [str(command) for command in result.commands]
    assert text[0].endswith("update")
    assert " install " in text[1]
    assert "sh.rustup.rs" in text[-1]


def test_each_command_is_told_before_it_runs(fake: FakeHost) -> None:
    fake.setup()
    told = [event.step for event in fake.events if isinstance(event, StepStarted)]
    assert told[1] == "refreshing apt's package lists"
    assert told[2].startswith("installing rsync, python3, gcc")


def test_a_user_uses_sudo_that_never_asks(fake: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_UID", "1000")
    fake.put("bin/sudo", '#!/bin/sh\n[ "$1" = -n ] || exit 9\nshift\necho "sudo $1" >>"$FAKES/log"\nexec "$@"\n')
    assert fake.setup().errors == {}
    assert fake.log.count("sudo env") == 3


def test_a_user_without_sudo_gets_the_commands_for_an_administrator_and_nothing_runs(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_UID", "1000")
    error = fake.error()
    assert "alice is not root" in error.why
    assert "apt-get install -y --no-install-recommends rsync python3" in error.fix
    assert fake.log == []


def test_a_failing_apt_shows_its_command_and_its_last_lines(fake: FakeHost) -> None:
    (fake.folder / "apt-get.says").write_text("".join(f"line {n}\n" for n in range(100)) + "E: Unable to fetch\n")
    error = fake.error()
    assert "refreshing apt's package lists failed" in error.what
    assert error.command.endswith("update")
    assert error.detail.endswith("line 99\nE: Unable to fetch")
    assert "line 59\n" not in error.detail


def test_lists_that_another_apt_holds_are_waited_for(fake: FakeHost) -> None:
    (fake.folder / "apt-get.says").write_text(
        "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7\n"
    )
    slept: list[float] = []
    assert fake.setup(clock=Clock(monotonic=lambda: sum(slept), sleep=slept.append)).errors == {}
    assert len(slept) == 1
    assert [line for line in fake.log if line.endswith("update")] == [fake.log[0]] * 2


def test_lists_that_stay_held_are_an_error_after_two_minutes(fake: FakeHost) -> None:
    fake.put("bin/apt-get", "#!/bin/sh\necho 'E: Could not get lock /var/lib/apt/lists/lock.'\nexit 100\n")
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    error = fake.error(clock=Clock(monotonic=lambda: now[0], sleep=sleep))
    assert "Could not get lock" in error.detail
    assert 120 <= now[0] < 130


def test_twenty_minutes_are_the_limit_of_all_commands_together(fake: FakeHost) -> None:
    readings = iter([0.0, 0.0])
    error = fake.error(clock=Clock(monotonic=lambda: next(readings, SETUP_TIMEOUT_S)))
    assert isinstance(error, CommandTimeout)
    assert fake.log == []


def test_a_host_without_apt_is_told_the_command_of_its_own_package_manager(fake: FakeHost) -> None:
    (fake.folder / "bin" / "apt-get").unlink()
    fake.put("bin/apk", "#!/bin/sh\nexit 1\n")
    assert "apk add rsync python3 gcc musl-dev" in fake.error().fix


def test_what_is_only_useful_and_cannot_be_installed_is_a_warning(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.setup()
    (fake.folder / "bin" / "make").unlink()
    monkeypatch.setenv("FAKE_UID", "1000")
    fake.events.clear()
    assert fake.setup().errors == {}
    warned = [event for event in fake.events if isinstance(event, Warned)]
    assert len(warned) == 1
    assert "make" in warned[0].fix


def test_a_host_that_is_no_linux_is_an_error(fake: FakeHost) -> None:
    fake.put("bin/uname", "#!/bin/sh\necho Darwin\n")
    assert "Darwin" in fake.error().why
