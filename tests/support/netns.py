"""Hosts behind links that a test can cut: a network namespace for the person, one for each host, a cable to each.

The namespaces have no names: each lives as long as its holder, a `sh` that waits for the end of its standard input,
and the processes in it. So nothing is left behind, however a test ends, and tests may run side by side: the addresses
are the same in all of them. It needs root, `ip`, `unshare` and `nsenter`, and skips the test where it cannot be done.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sltfleet.demo.loopback import LoopbackHost

#: Settings of ssh that notice a dead link within seconds, on a machine where whoever lives needs seconds to answer.
WATCHFUL = ("ConnectTimeout 60", "ServerAliveInterval 3")

#: The hardware address that no interface has.
_NOBODY = "02:00:00:00:ff:ff"


@dataclass(frozen=True)
class _Cable:
    """A host's link: `number` is in its addresses, `person` and `host` are the holders' pids."""

    number: int
    person: int
    host: int

    @property
    def interface(self) -> str:
        """The person's end; the host's is `eth0`."""
        return f"host{self.number}"

    def address(self, end: int) -> str:
        """The IP address of the person's end (1) or the host's (2)."""
        return f"10.77.{self.number}.{end}"

    def hardware(self, end: int) -> str:
        """The same end's hardware address."""
        return f"02:00:00:00:{self.number:02x}:{end:02x}"


class Network:
    """The links of some hosts. Everything works until `cut` is called."""

    def __init__(self, person: int, cables: dict[str, _Cable]) -> None:
        self._cables = cables
        #: The words that run a command of the person's: see `Person.launcher`.
        self.launcher = _enter(person)

    def host(self, name: str, ssh_config: tuple[str, ...] = WATCHFUL) -> LoopbackHost:
        """Return the host for a `LoopbackFleet` (`dataclasses.replace` changes more of it)."""
        cable = self._cables[name]
        return LoopbackHost(name, launcher=_enter(cable.host), address=cable.address(2), ssh_config=ssh_config)

    def cut(self, name: str) -> None:
        """Drop every packet from and to a host, without a word to either side."""
        cable = self._cables[name]
        _aim(cable, _NOBODY, _NOBODY)

    def mend(self, name: str) -> None:
        """Let packets through again."""
        cable = self._cables[name]
        _aim(cable, cable.hardware(1), cable.hardware(2))


@contextlib.contextmanager
def network(*names: str) -> Iterator[Network]:
    """Give a network with hosts of these names. Skips the test where that is not possible here."""
    if reason := _why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as holders:
        person = holders.enter_context(_namespace())
        cables = {}
        for number, name in enumerate(names):
            cable = _Cable(number, person, holders.enter_context(_namespace()))
            cables[name] = cable
            peer = f"peer name eth0 address {cable.hardware(2)} netns {cable.host}"
            _ip(person, f"link add {cable.interface} address {cable.hardware(1)} type veth {peer}")
            _ip(person, f"address add {cable.address(1)}/24 dev {cable.interface}")
            _ip(person, f"link set {cable.interface} up")
            _ip(cable.host, f"address add {cable.address(2)}/24 dev eth0")
            _ip(cable.host, "link set eth0 up")
            _aim(cable, cable.hardware(1), cable.hardware(2))
        yield Network(person, cables)


def _why_not() -> str:
    """Return why there can be no namespaces here, "" where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in ("ip", "unshare", "nsenter") if shutil.which(tool) is None]
    if missing:
        return f"network namespaces need {', '.join(missing)}"
    # A container may have root without the right to do it, and a kernel no veth.
    words = ["unshare", "--net", "ip", "link", "add", "one", "type", "veth", "peer", "name", "two"]
    tried = subprocess.run(words, capture_output=True, text=True, check=False)
    return f"network namespaces are not possible here: {tried.stderr.strip()}" if tried.returncode else ""


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    """Give the pid of a process in a new namespace, whose own loopback interface is up."""
    hold = "ip link set lo up && echo && read -r _"
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        yield holder.pid


def _aim(cable: _Cable, person: str, host: str) -> None:
    """Say at which hardware addresses the two ends find each other; a packet for an address of nobody's is lost."""
    _ip(cable.person, f"neigh replace {cable.address(2)} lladdr {host} dev {cable.interface} nud permanent")
    _ip(cable.host, f"neigh replace {cable.address(1)} lladdr {person} dev eth0 nud permanent")


def _enter(holder: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{holder}/ns/net", "--")


def _ip(holder: int, words: str) -> None:
    subprocess.run([*_enter(holder), "ip", *words.split()], check=True, capture_output=True)
