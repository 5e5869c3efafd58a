from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sltfleet.core.errors import FleetError
from sltfleet.demo import sshd
from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost
from tests.support.waiting import PATIENCE_S, pid_is_alive, wait_for


def ssh(fleet: LoopbackFleet, alias: str, command: str) -> subprocess.CompletedProcess[str]:
    argv = ["ssh", "-F", str(fleet.ssh_config), "-o", "BatchMode=yes", alias, command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def is_listening(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def test_openssh_reaches_the_hosts_by_their_aliases(odd_path: Path) -> None:
    home = odd_path / "home"
    home.mkdir()
    hosts = [
        LoopbackHost("plain"),
        LoopbackHost("other", home=home, environment={"GREETING": "it's $HOME"}, login_noise="Welcome"),
        LoopbackHost("stranger", authorized=False),
        LoopbackHost("unknown", host_key="unknown", ssh_config=("StrictHostKeyChecking yes",)),
        LoopbackHost("down", server="down"),
    ]
    with LoopbackFleet(hosts, odd_path / "100% fleet") as fleet:
        assert ssh(fleet, "plain", "exit 3").returncode == 3
        other = ssh(fleet, "other", 'pwd; echo "$HOME $GREETING"')
        assert other.stdout == f"Welcome{home}\n{home} it's $HOME\n"
        assert other.stderr == "Welcome"
        assert "Permission denied" in ssh(fleet, "stranger", "true").stderr
        assert "verification failed" in ssh(fleet, "unknown", "true").stderr
        assert "refused" in ssh(fleet, "down", "true").stderr
        assert len({fleet.address(host.alias) for host in hosts}) == len(hosts)


def test_a_temporary_folder_and_every_process_go_away() -> None:
    with LoopbackFleet([LoopbackHost("plain"), LoopbackHost("silent", server="silent")]) as fleet:
        folder, addresses = fleet.folder, [fleet.address("plain"), fleet.address("silent")]
        assert all(is_listening(address) for address in addresses)
        argv = ["ssh", "-F", str(fleet.ssh_config), "plain", "echo $$; exec sleep 1000"]
        session = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert session.stdout
        pid = int(session.stdout.readline())
    assert session.wait(PATIENCE_S) != 0
    session.stdout.close()
    assert not folder.exists()
    assert not any(is_listening(address) for address in addresses)
    wait_for(lambda: not pid_is_alive(pid))  # it was sent SIGKILL, and needs a moment to go
    fleet.close()


def test_the_hosts_end_when_their_owner_is_killed(odd_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from sltfleet.demo.loopback import LoopbackFleet, LoopbackHost\n"
        "with LoopbackFleet([LoopbackHost('plain')], Path(sys.argv[1])) as fleet:\n"
        "    print(*fleet.address('plain'), flush=True)\n"
        "    time.sleep(1000)\n"
    )
    argv = [sys.executable, "-c", program, str(odd_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout
            host, port = owner.stdout.readline().split()
            assert is_listening((host, int(port)))
        finally:
            owner.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_listening((host, int(port))))


def test_a_machine_without_sshd_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, odd_path: Path) -> None:
    monkeypatch.setattr(sshd, "SSHD_FOLDERS", (str(odd_path),))
    monkeypatch.setenv("PATH", str(odd_path))
    with pytest.raises(FleetError, match="no sshd") as caught, LoopbackFleet([LoopbackHost("plain")]):
        pass
    assert "openssh-server" in caught.value.fix


def test_an_sshd_that_does_not_start_is_an_error_with_its_log() -> None:
    broken = LoopbackHost("broken", sshd_config=("NoSuchOption yes",))
    with pytest.raises(FleetError, match="does not start") as caught, LoopbackFleet([broken]):
        pass
    assert "NoSuchOption" in caught.value.detail


def test_the_port_of_a_host_is_nobody_elses_while_its_sshd_is_not_up() -> None:
    with LoopbackFleet([LoopbackHost("plain")]) as fleet:
        address = fleet.address("plain")
        fleet.stop("plain")
        assert not is_listening(address)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)
        fleet.start("plain")
        assert is_listening(address)
