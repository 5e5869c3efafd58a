"""Which names and paths fleet.yaml may hold: they become words of commands, and files and folders on hosts.

All of them are quoted wherever they are used; what is refused here is what would still be misunderstood: a name that
begins with a dash, a path that leaves its folder, a control character. Every check returns its text or raises
FieldError.
"""

from __future__ import annotations

import re

from sltfleet.config.fields import FieldError

#: Of projects and suites, which name files and folders.
SAFE_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
#: POSIX.1-2017, 8.1: what every shell takes as the name of a variable.
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

#: A host's name is a folder's name in `.sltfleet/`, the word before the colon for rsync, and something globs select.
_NOT_IN_HOST_NAMES = "/\\:*?[]"
_MAX_HOST_NAME_CHARACTERS = 100


def check_safe_name(text: str) -> str:
    """Names of projects and suites."""
    if not re.fullmatch(SAFE_NAME_PATTERN, text):
        raise FieldError(
            f"{text!r} is no name that can be a folder's",
            "use at most 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return text


def check_host_name(text: str) -> str:
    """Names of hosts: ssh aliases that are fit to be the name of a folder."""
    check_word(text)
    for character in _NOT_IN_HOST_NAMES:
        if character in text:
            raise FieldError(
                f"a host's name cannot have a {character!r}",
                "give the host a plain name, and what ssh should use as its `address:`",
            )
    if text.startswith("."):
        raise FieldError(f"{text!r} begins with a dot", "give the host a plain name")
    if len(text) > _MAX_HOST_NAME_CHARACTERS:
        raise FieldError(f"longer than {_MAX_HOST_NAME_CHARACTERS} characters")
    return text


def check_word(text: str) -> str:
    """Words of a command line (names of packages, tests, tags, ssh destinations): no option, no space, not empty."""
    if not text:
        raise FieldError("is empty")
    if text.startswith("-"):
        raise FieldError(f"{text!r} begins with a dash: a command would take it as an option")
    if any(character.isspace() for character in text):
        raise FieldError(f"{text!r} has a space in it")
    _refuse_control_characters(text)
    return text


def check_env_name(text: str) -> str:
    """Names of environment variables."""
    if not re.fullmatch(ENV_NAME_PATTERN, text):
        raise FieldError(
            f"{text!r} is no name of an environment variable", "use letters, digits and underscores, no digit first"
        )
    return text


def check_root(text: str) -> str:
    """Folders on a host: absolute, or below the home folder there."""
    _refuse_control_characters(text)
    if not (text == "~" or text.startswith(("/", "~/"))):
        raise FieldError(f"{text!r} is relative", "begin it with / or ~/")
    if ".." in text.split("/"):
        raise FieldError(f"{text!r} has a '..' in it", "write the folder that is meant")
    if not text.strip("/."):
        raise FieldError(f"{text!r} is the root folder", "name a folder below it")
    return text


def check_inner_path(text: str) -> str:
    """Paths that stay inside the repo."""
    check_relative_path(text)
    if ".." in text.split("/"):
        raise FieldError(f"{text!r} leaves its folder by '..'", "only files inside the repo reach the hosts")
    return text


def check_result_path(text: str) -> str:
    """Where a test writes its results.

    It is relative to the test's working directory, the package's folder; the workspace's `target/` may lie above that,
    so that leading `..` are allowed. The runner, which knows the folder, sees to it that the path stays in the run's
    tree.
    """
    check_relative_path(text)
    components = [component for component in text.split("/") if component not in ("", ".")]
    while components and components[0] == "..":
        components.pop(0)
    if ".." in components:
        raise FieldError(f"{text!r} has a '..' after a folder", "write the path without the detour")
    if not components:
        raise FieldError(f"{text!r} is a folder, not a file")
    return text


def check_relative_path(text: str) -> str:
    """Paths relative to something, `/` between their parts."""
    if not text:
        raise FieldError("is empty")
    _refuse_control_characters(text)
    if text.startswith("/"):
        raise FieldError(f"{text!r} is absolute", "write it relative, without the leading slash")
    if text.startswith("~"):
        raise FieldError(f"{text!r} begins with '~'", "write it relative to the repo")
    return text


def check_path(text: str) -> str:
    """Paths on this machine, absolute or relative to fleet.yaml."""
    if not text:
        raise FieldError("is empty")
    _refuse_control_characters(text)
    return text


def check_dotted_path(text: str) -> str:
    """Dotted paths into a JSON document."""
    if not all(text.split(".")):
        raise FieldError(f"{text!r} has an empty part", "write names with dots between them, e.g. tested_files.passed")
    return text


def _refuse_control_characters(text: str) -> None:
    for character in text:
        if not character.isprintable():
            raise FieldError(f"{text!r} has a character that cannot be seen")
