"""Fault 17: clean and sync with a project path that is empty, `/`, `~`, a link, or has no marker: refused.

What the scripts on the host refuse by themselves, whatever they are told, is in tests/contract/test_clean.py and
test_sync.py; this is what a person sees, at this machine and over ssh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.support.cli import Person
from tests.support.hosts import write_fleet_yaml

PROJECT = "sample"
SUITES = {"all": {"units": {"kind": "command", "program": ["true"], "items": ["one"]}}}
COMMANDS = (["sync"], ["clean", "--all", "--yes"], ["clean", "--target", "--yes"], ["clean", "--keep", "0", "--yes"])

USAGE, REFUSED = 2, 8


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    folder = tmp_path_factory.mktemp("refused")
    (folder / "home").mkdir()
    with LoopbackFleet([LoopbackHost("remote", home=folder / "home")], folder / "fleet") as running:
        yield running


@pytest.fixture
def transport() -> str:
    return "local"


@pytest.fixture
def person(odd_path: Path, loopback: LoopbackFleet, transport: str) -> Iterator[Person]:
    """Somebody with a repo, whose home folder is the host's as well; something precious lies in it."""
    home = odd_path / "home" if transport == "local" else loopback.folder.parent / "home"
    home.mkdir(exist_ok=True)
    (home / "precious").write_text("precious")
    (odd_path / "work" / "repo").mkdir(parents=True)
    (odd_path / "work" / "repo" / "a.txt").write_text("a")
    with Person(odd_path / "work", home, {"SLTFLEET_SSH_CONFIG": str(loopback.ssh_config)}) as someone:
        yield someone


def configure(person: Person, transport: str, root: str, project: str = PROJECT) -> None:
    host = {"transport": "local", "root": root} if transport == "local" else {"root": root}
    name = "here" if transport == "local" else "remote"
    write_fleet_yaml(person.cwd, hosts={name: host}, suites=SUITES, project=project, repo="repo")


def everything(folder: Path) -> dict[str, object]:
    """Every path below a folder, with what it is and holds."""
    return {
        str(path.relative_to(folder)): path.readlink()
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else path.stat().st_mode
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("root", ["", "/", "//", "/.", "~/..", "relative"])
def test_a_root_that_can_be_no_folder_of_ours_is_refused_before_any_host_is_asked(root: str, person: Person) -> None:
    configure(person, "local", root)
    for command in COMMANDS[:2]:
        assert "root" in person.does(*command, code=USAGE).stderr


@pytest.mark.parametrize("project", ["", "/", "~", "..", "-rf"])
def test_a_project_that_is_no_plain_name_is_refused_before_any_host_is_asked(project: str, person: Person) -> None:
    configure(person, "local", "~/.sltfleet", project)
    for command in COMMANDS[:2]:
        assert "project" in person.does(*command, code=USAGE).stderr


def the_home_folder_itself(place: Path, home: Path) -> tuple[Path, str]:
    return home.parent, home.name


def a_folder_without_a_marker(place: Path, home: Path) -> tuple[Path, str]:
    (place / PROJECT / "target").mkdir(parents=True)
    (place / PROJECT / "precious").write_text("precious")
    return place, PROJECT


def another_projects_folder(place: Path, home: Path) -> tuple[Path, str]:
    a_folder_without_a_marker(place, home)
    (place / PROJECT / ".sltfleet-project").write_text("another\n")
    return place, PROJECT


def a_link_to_a_folder_of_ours(place: Path, home: Path) -> tuple[Path, str]:
    (place / "elsewhere" / "target").mkdir(parents=True)
    (place / "elsewhere" / ".sltfleet-project").write_text(f"{PROJECT}\n")
    (place / PROJECT).symlink_to("elsewhere")
    return place, PROJECT


def a_file(place: Path, home: Path) -> tuple[Path, str]:
    (place / PROJECT).write_text("precious")
    return place, PROJECT


@pytest.mark.parametrize("transport", ["local", "ssh"])
@pytest.mark.parametrize(
    "setting",
    [
        the_home_folder_itself,
        a_folder_without_a_marker,
        another_projects_folder,
        a_link_to_a_folder_of_ours,
        a_file,
    ],
)
def test_a_folder_that_is_not_ours_is_refused_by_name_and_left_as_it_is(
    setting: Callable[[Path, Path], tuple[Path, str]], transport: str, person: Person, odd_path: Path
) -> None:
    place = odd_path / "place"
    place.mkdir()
    root, project = setting(place, person.home)
    configure(person, transport, str(root), project)
    before = everything(place), everything(person.home)
    for command in COMMANDS:
        refused = person.does(*command, code=REFUSED)
        assert str(root / project) in refused.stderr, refused.said
        assert "next:" in refused.stderr
        assert (everything(place), everything(person.home)) == before
