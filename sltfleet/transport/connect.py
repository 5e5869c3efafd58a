"""From a host's configuration to its transport. Nothing is connected yet, and fabric is not imported for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sltfleet.transport.base import Transport
from sltfleet.transport.local import LocalTransport
from sltfleet.transport.ssh import SshTransport

if TYPE_CHECKING:
    from sltfleet.config.model import HostConfig


def open_transport(name: str, config: HostConfig, ssh_config: Path | None) -> Transport:
    """Return the transport of the host `name`; `ssh_config` is another file than ssh's own, where one is named."""
    if config.transport == "local":
        return LocalTransport(name)
    return SshTransport(name, config.address or name, ssh_config)
