"""What is synced, as rsync's filter rules.

`transport.worktree` finds out what git ignores; docs/decisions/003-what-is-synced.md says why the rules are these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sltfleet.core.gitignore import Pattern, as_rsync, escape


@dataclass(frozen=True)
class Selection:
    """What of a folder is synced. Paths are relative to it; those of folders end with a slash.

    `hidden`: what git ignores (or fleet.yaml excludes) and no one tracks, folders as a whole; `forced`: what is below
    these and is brought all the same. `ignore_files`: the .gitignore texts as patterns with the folder they stand in,
    the weakest first.
    """

    hidden: tuple[str, ...] = ()
    forced: tuple[str, ...] = ()
    ignore_files: tuple[tuple[str, tuple[Pattern, ...]], ...] = ()


def filter_rules(selection: Selection, include: Iterable[Pattern], exclude: Iterable[Pattern]) -> str:
    """Return rsync's filter rules, NUL after each. The first rule that matches a path decides about it.

    `H` hides and `S` shows a path on this side; `P` protects and `R` risks one on the host, where only what is at
    risk is deleted.
    """
    rules: list[str] = []
    opened = {parent for path in selection.forced for parent in _parents(path)}
    rules += [f"S /{escape(folder)}" for folder in sorted(opened)]
    for path in selection.forced:
        rules.append(f"S /{escape(path[:-1], wild=True)}/***" if path.endswith("/") else f"S /{escape(path)}")
    for pattern in include:
        rules += [f"R {text}" for texts in as_rsync(pattern) for text in texts]
    # A repository's own folder, or the file in its place in a worktree or submodule: it names paths of this machine.
    rules += ["- .git"]
    # What sltfleet keeps beside fleet.yaml: every fetch would make the next sync larger, and the next build necessary.
    rules += ["- .sltfleet/"]
    for pattern in exclude:
        rules += [f"- {text}" for texts in as_rsync(pattern) for text in texts]
    # cargo makes one there where the repo has none; without it every sync would lead to other versions.
    rules += ["P Cargo.lock"]
    for path in selection.hidden:
        rules.append(f"H /{escape(path[:-1], wild=True)}/**" if path in opened else f"H /{escape(path)}")
    rules += _protection(selection.ignore_files)
    return "".join(f"{rule}\0" for rule in rules)


def _protection(ignore_files: tuple[tuple[str, tuple[Pattern, ...]], ...]) -> list[str]:
    """Rules for what is only on the host: rsync's first match decides and git's last, so they go backwards.

    What a pattern names comes before all that lies below such folders, or `/*` would reach into a folder that a `!`
    frees.
    """
    named: list[str] = []
    below: list[str] = []
    for folder, patterns in reversed(ignore_files):
        for pattern in reversed(patterns):
            kind = "R" if pattern.negated else "P"
            names, contents = as_rsync(pattern, folder)
            named += [f"{kind} {text}" for text in names]
            below += [f"{kind} {text}" for text in contents]
    return named + below


def _parents(path: str) -> list[str]:
    parts = path.rstrip("/").split("/")[:-1]
    return ["/".join(parts[: count + 1]) + "/" for count in range(len(parts))]
