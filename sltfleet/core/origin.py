"""Where a sync comes from: which checkout on which controller a project's folder on a host belongs to.

Two checkouts whose fleet.yaml names one project share one folder there, and would replace each other's tree unnoticed.
"""

from __future__ import annotations

import hashlib
import posixpath
from dataclasses import dataclass

from sltfleet.core.errors import RefusedError

#: Of what a host says so much is shown.
_NAME_WIDTH = 120


@dataclass(frozen=True)
class Origin:
    """A checkout: `digest` tells it from every other one, `name` is for people."""

    digest: str
    name: str


def make_origin(machine_id: str, host: str, repo: str) -> Origin:
    """Return the origin of syncs of the folder `repo` (absolute, links resolved) on the machine `host`.

    `machine_id` is machine-id(5)'s, "" where there is none: the machine is known by its name then. The digest does not
    tell the path, and the name tells its end only.
    """
    digest = hashlib.sha256(f"{machine_id or host}\0{repo}".encode("utf-8", "surrogateescape")).hexdigest()
    end = posixpath.join(*repo.rstrip("/").split("/")[-2:]) or "/"
    return Origin(digest, f"{end} on {host}")


def another_origin(here: Origin, there: str) -> RefusedError:
    """Return the error for a folder that was synced from elsewhere; `there` is that origin's name, by the host."""
    return RefusedError(
        "the project's folder there belongs to another checkout",
        f"it was last synced from {there[:_NAME_WIDTH] or 'elsewhere'}, and this is {here.name}",
        "give one of them another `project:` or `root:`; or replace what is there: `sltfleet sync --take-over`",
    )
