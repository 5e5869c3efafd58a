"""Holds the direction of imports: every module of sltfleet is parsed, none is run.

Dependencies point inward: `cli -> app -> core`, adapters to core and wire, the runner to wire only. Core and wire
decide and never act: no clock, no I/O. Heavy third-party packages are imported where and when they are needed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

import sltfleet

PACKAGE = Path(sltfleet.__file__).parent

#: What the modules of a package may import of sltfleet, beside their own package. `sltfleet` itself is its version.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "wire": frozenset(),
    "core": frozenset({"wire"}),
    "runner": frozenset({"wire"}),
    "config": frozenset({"core", "wire"}),
    "transport": frozenset({"core", "wire", "config"}),
    "results": frozenset({"core", "wire"}),
    "report": frozenset({"core", "wire", "results"}),
    "app": frozenset({"core", "wire", "config", "transport", "results", "sltfleet"}),
    "demo": frozenset({"core", "wire"}),
    "cli": frozenset({"core", "wire", "config", "results", "report", "app", "demo", "sltfleet"}),
    "sltfleet": frozenset({"cli"}),
}

#: The modules that talk to fabric. Importing them takes longer than a whole `status` of a local host: only late, then.
FABRIC_MODULES = frozenset({"transport.dial", "transport.login"})

#: The modules of the runner that need more than the standard library, where hosts share a queue.
QUEUE_MODULES = frozenset({"runner.queue_check", "runner.queue_redis"})

#: Third-party packages: where they may be imported at the top of a module, and where inside a function only. A place is
#: a package or a module of sltfleet.
TOP_LEVEL: dict[str, frozenset[str]] = {
    "click": frozenset({"cli", "report.terminal"}),
    "pydantic": frozenset({"config"}),
    "pydantic_core": frozenset({"config"}),
    "yaml": frozenset({"config"}),
    "tabulate": frozenset({"report"}),
    "pathspec": frozenset({"transport.worktree"}),
    "rich": frozenset(),
    "fabric": FABRIC_MODULES,
    "invoke": FABRIC_MODULES,
    "paramiko": FABRIC_MODULES,
    "redis": frozenset(),
}
LATE: dict[str, frozenset[str]] = {
    "rich": frozenset({"report", "cli"}),
    "tabulate": frozenset({"cli"}),
    "paramiko": frozenset({"transport.ssh"}),
    "redis": QUEUE_MODULES,
}

#: What acts, asks a clock, or is different at each call: nothing of it belongs into core or wire.
ACTING = frozenset(
    """
    _thread asyncio concurrent contextvars ctypes fcntl fileinput getpass glob http importlib io logging mmap
    multiprocessing os pty pwd queue random resource sched secrets select selectors shutil signal smtplib socket
    socketserver sqlite3 ssl subprocess sys syslog tempfile termios threading time tty urllib uuid webbrowser
    """.split()  # noqa: SIM905 - fifty lines as a list
)
#: `pathlib.Path` can look at the disk; its pure kin cannot, and the one class of all paths only puts them together.
PURE_NAMES = frozenset({"pathlib.PurePath", "pathlib.PurePosixPath"})
PATH_MODULES = frozenset({"core.paths"})

#: Clocks of modules that are pure otherwise, and builtins that do I/O.
CLOCKS = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today"})
ACTING_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})


@dataclass(frozen=True)
class Import:
    """An imported module, or a name from one: `late` inside a function, `typing` below `if TYPE_CHECKING`."""

    name: str
    line: int
    late: bool = False
    typing: bool = False


@dataclass(frozen=True)
class Module:
    """One module: `name` is without the leading `sltfleet.`, and `place` its package."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def place(self) -> str:
        """The package below sltfleet, `sltfleet` for a module of the top."""
        return self.name.partition(".")[0] if (PACKAGE / self.name.partition(".")[0]).is_dir() else "sltfleet"

    def imports(self) -> list[Import]:
        """Everything that it imports, wherever that stands."""
        return list(_imports(self.tree, late=False, typing=False))

    def at(self, line: int) -> str:
        """Where a line is, for a message that an editor understands."""
        return f"{self.path.relative_to(PACKAGE.parent)}:{line}"

    def among(self, places: frozenset[str]) -> bool:
        """Whether it is one of the `places`, or in one of them."""
        return self.place in places or self.name in places


def _imports(node: ast.AST, *, late: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, late, typing) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = "." * child.level + (child.module or "")
            # `from sltfleet.core import polling` imports a module: what is taken counts as well as where from.
            yield from (Import(f"{base}.{alias.name}", child.lineno, late, typing) for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for statement in child.body:
                yield from _imports(ast.Module([statement], []), late=late, typing=True)
            for statement in child.orelse:
                yield from _imports(ast.Module([statement], []), late=late, typing=typing)
        else:
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _imports(child, late=late or is_function, typing=typing)


@lru_cache(maxsize=1)
def modules() -> tuple[Module, ...]:
    """All modules of sltfleet. (The demo's Rust crate has none.)"""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "sltfleet"
        found.append(Module(name, path, ast.parse(path.read_bytes(), str(path))))
    return tuple(found)


def tell(wrong: list[str], rule: str) -> None:
    """Fail with every place where `rule` is broken."""
    if wrong:
        pytest.fail(f"{rule}\n  " + "\n  ".join(wrong), pytrace=False)


def test_the_packages_are_those_that_the_rules_are_about() -> None:
    """A new package needs a row in MAY_IMPORT: what it may know is decided, not found out."""
    assert {module.place for module in modules()} == set(MAY_IMPORT)


def test_dependencies_point_inward() -> None:
    wrong = []
    for module in modules():
        allowed = MAY_IMPORT[module.place] | {module.place}
        for found in module.imports():
            head, _, rest = found.name.partition(".")
            target = rest.partition(".")[0]
            if head != "sltfleet":
                continue
            if not (PACKAGE / target).is_dir():
                target = "sltfleet"  # `from sltfleet import __version__`
            if target not in allowed:
                may = ", ".join(sorted(allowed)) or "nothing of sltfleet"
                wrong.append(f"{module.at(found.line)}: {module.name} imports {found.name}; it may import {may}")
    tell(wrong, "imports point inward: cli -> app -> core, adapters -> core and wire, runner -> wire, wire -> itself")


def test_imports_are_absolute() -> None:
    relative = [
        f"{module.at(found.line)}: from {found.name} import …"
        for module in modules()
        for found in module.imports()
        if found.name.startswith(".")
    ]
    tell(relative, "imports are absolute, so that they can be searched for")


@pytest.mark.parametrize("place", ["wire", "core", "runner"])
def test_the_inner_packages_need_the_standard_library_only(place: str) -> None:
    foreign = [
        f"{module.at(found.line)}: {module.name} imports {found.name}"
        for module in modules()
        if module.place == place
        for found in module.imports()
        if found.name.partition(".")[0] not in sys.stdlib_module_names | {"sltfleet"}
        if not (found.name.partition(".")[0] == "redis" and module.name in QUEUE_MODULES)
    ]
    tell(foreign, f"{place} is standard library only")


@pytest.mark.parametrize("place", ["wire", "core"])
def test_what_decides_does_not_act(place: str) -> None:
    wrong = []
    for module in modules():
        if module.place != place:
            continue
        for found in module.imports():
            root = found.name.partition(".")[0]
            is_path = root == "pathlib" and found.name not in PURE_NAMES and module.name not in PATH_MODULES
            if root in ACTING or is_path:
                wrong.append(f"{module.at(found.line)}: {module.name} imports {found.name}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ACTING_CALLS:
                wrong.append(f"{module.at(node.lineno)}: {module.name} calls {node.func.id}()")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCKS:
                wrong.append(f"{module.at(node.lineno)}: {module.name} asks the clock by {ast.unparse(node)}")
    tell(wrong, f"{place} has no I/O and no clock: it takes `now` and what was read, and returns values")


def test_third_party_packages_are_imported_where_they_belong_and_late_where_they_are_heavy() -> None:
    wrong = []
    for module in modules():
        for found in module.imports():
            root = found.name.partition(".")[0]
            if root in sys.stdlib_module_names or root == "sltfleet" or found.typing:
                continue
            if root not in TOP_LEVEL:
                wrong.append(f"{module.at(found.line)}: {module.name} imports {root}, about which there is no rule")
            elif not module.among(TOP_LEVEL[root] | (LATE.get(root, frozenset()) if found.late else frozenset())):
                how = "inside a function" if found.late else "at its top"
                wrong.append(f"{module.at(found.line)}: {module.name} imports {root} {how}")
    tell(wrong, "third-party packages have their places (TOP_LEVEL and LATE in this test)")


def test_what_talks_to_fabric_is_imported_when_a_host_needs_it() -> None:
    early = [
        f"{module.at(found.line)}: {module.name} imports {found.name} at its top"
        for module in modules()
        if module.name not in FABRIC_MODULES
        for found in module.imports()
        if not (found.late or found.typing)
        for target in FABRIC_MODULES
        if f"{found.name}.".startswith(f"sltfleet.{target}.")
    ]
    tell(early, "fabric is imported late, and so are the modules that import it")


def test_the_runners_first_page_names_each_of_its_modules_and_no_other() -> None:
    page = ast.get_docstring(ast.parse((PACKAGE / "runner" / "__init__.py").read_text())) or ""
    named = set(re.findall(r"`(\w+)`", page))
    modules = {path.stem for path in (PACKAGE / "runner").glob("*.py")} - {"__init__"}
    assert named == modules
