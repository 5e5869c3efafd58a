"""Which hosts a command is about: `--host NAME` (globs, repeatable) and `--tag T` (repeatable)."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from sltfleet.config.model import FleetConfig
from sltfleet.core.errors import UsageError
from sltfleet.core.nearest import did_you_mean


def select_hosts(config: FleetConfig, names: tuple[str, ...], tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hosts that match any of `names` and have any of `tags`, in fleet.yaml's order; without either, all.

    Raises UsageError for a name or glob that matches no host, for a tag that no host has, and where no host has both.
    """
    known_tags = {tag: None for host in config.hosts.values() for tag in host.tags}
    for name in names:
        if not any(fnmatchcase(host, name) for host in config.hosts):
            raise UsageError(f"no host matches {name!r}", fix=_known("hosts", name, config.hosts))
    for tag in tags:
        if tag not in known_tags:
            raise UsageError(f"no host has the tag {tag!r}", fix=_known("tags", tag, known_tags))
    selected = tuple(
        host
        for host, settings in config.hosts.items()
        if (not names or any(fnmatchcase(host, name) for name in names))
        and (not tags or set(tags) & set(settings.tags))
    )
    if not selected:
        wanted = ", ".join([*map(repr, names), *(f"tag {tag!r}" for tag in tags)])
        raise UsageError(
            "no host is selected", f"none matches all of {wanted}", "give a host's name or a tag, not both"
        )
    return selected


def _known(what: str, word: str, known: Iterable[str]) -> str:
    words = list(known)
    listed = f"known {what}: {', '.join(words)}" if words else f"fleet.yaml has no {what}"
    return "; ".join(part for part in (did_you_mean(word, words), listed) if part)
