"""What of a demo's compiled dependencies is kept, and when it is kept anew."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from sltfleet.core.paths import HostPaths
from sltfleet.demo.cache import cargo_home, default_cache, keep_target, seed_target

HOME = Path("/home/jane/.cargo")


def compiled(folder: Path, *, compiler: str = "rustc 1.85", crate: str = "first") -> HostPaths:
    """A host whose target folder has one compiled crate in it."""
    host = HostPaths(str(folder / "root"), "sample")
    target = Path(host.target)
    target.mkdir(parents=True, exist_ok=True)
    (target / ".rustc_info.json").write_text(compiler)
    (target / "crate").write_text(crate)
    return host


def kept(cache: Path) -> str:
    return (cache / "crate").read_text()


@pytest.mark.parametrize(
    ("compiler", "home", "crate"),
    [
        ("rustc 1.85", HOME, "first"),
        ("rustc 1.86", HOME, "second"),
        ("rustc 1.85", Path("/elsewhere/.cargo"), "second"),
    ],
)
def test_it_is_kept_anew_where_cargo_could_use_none_of_it(
    odd_path: Path, compiler: str, home: Path, crate: str
) -> None:
    cache = odd_path / "share" / "target"
    keep_target(cache, compiled(odd_path), HOME)
    keep_target(cache, compiled(odd_path, compiler=compiler, crate="second"), home)
    assert kept(cache) == crate
    keep_target(cache, compiled(odd_path, compiler=compiler, crate="third"), home)
    assert kept(cache) == crate


def test_one_from_before_cargos_folder_was_remembered_is_kept_anew(odd_path: Path) -> None:
    cache = odd_path / "target"
    cache.mkdir()
    (cache / ".rustc_info.json").write_text("rustc 1.85")
    keep_target(cache, compiled(odd_path), HOME)
    assert kept(cache) == "first"


def test_what_is_kept_comes_to_the_next_demos_host(odd_path: Path) -> None:
    cache, host = odd_path / "target", HostPaths(str(odd_path / "next"), "sample")
    seed_target(cache, host)
    assert not Path(host.project_dir).exists()
    keep_target(cache, compiled(odd_path), HOME)
    seed_target(cache, host)
    assert (Path(host.target) / "crate").read_text() == "first"


def test_a_session_over_ssh_has_the_accounts_own_cargo(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Path(pwd.getpwuid(os.getuid()).pw_dir, ".cargo")
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.delenv("CARGO_HOME", raising=False)
    assert (cargo_home(over_ssh=False), cargo_home(over_ssh=True)) == (Path("/elsewhere/.cargo"), account)
    monkeypatch.setenv("CARGO_HOME", "/opt/cargo")
    assert (cargo_home(over_ssh=False), cargo_home(over_ssh=True)) == (Path("/opt/cargo"), account)
    caches = [default_cache(over_ssh=over_ssh) for over_ssh in (False, True)]
    assert None in caches or caches[0] != caches[1]
    monkeypatch.setenv("CARGO_HOME", str(account))
    assert default_cache(over_ssh=False) == default_cache(over_ssh=True)
