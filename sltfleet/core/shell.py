"""The one place where text for a shell is made.

Everywhere else a command is an argv, a list of words, or a `Script`: POSIX sh text that is a constant of this program,
with its values apart, as arguments. A script goes to the host's `sh` on standard input, so the person's login shell
(bash, zsh, fish, csh) sees nothing but the word `sh`, and nothing in the script is ever quoted twice.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: What a login shell is told to run. The script follows on standard input.
SHELL_COMMAND = "sh"

#: Set `$root` from the first argument, with a leading `~/` taken as the home folder on the host. Scripts that work
#: in a project's folder begin with it.
ROOT_PRELUDE = """\
root=$1; shift
case $root in
  "~") root=$HOME ;;
  "~/"*) root=$HOME/${root#"~/"} ;;
esac
"""


@dataclass(frozen=True)
class Script:
    """POSIX sh text and the arguments it sees as $1, $2, …: values are never pasted into the text.

    `files` are handed over as well: for each name, a shell function `put_NAME PATH` that writes the bytes to a new file
    (umask 077). `watched` scripts find on descriptor 3 a stream that ends when the controller goes away or gives up.
    """

    body: str
    args: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    watched: bool = False


def quote(word: str) -> str:
    """Return `word` as one word of a POSIX shell, whatever characters it has.

    Raises ValueError for a NUL, which no argument can carry.
    """
    if "\0" in word:
        raise ValueError(f"{word!r} has a NUL character, which no command line can carry")
    return shlex.quote(word)


def join(argv: Iterable[str]) -> str:
    """Return shell text that runs `argv`; also how a command is shown to a person."""
    return " ".join(quote(word) for word in argv)


def command_line(folder: str, env: Mapping[str, str], argv: Iterable[str]) -> str:
    """Return shell text that runs `argv` in `folder` with the variables `env` set besides. Raises as `quote` does."""
    assignments = [f"{name}={value}" for name, value in sorted(env.items())]
    return f"cd {quote(folder)} && {join(['env', *assignments, *argv])}"


def script_input(script: Script, sentinel: str) -> bytes:
    """Return what `sh` gets on standard input to run `script`.

    `sentinel` is printed first on both streams, on a line of its own: what comes before it was printed by start-up
    files. The body is a function that is read whole before it runs, with /dev/null as its input: no command in it can
    eat the script. Raises ValueError for a NUL in the body or in an argument.
    """
    if "\0" in script.body:
        raise ValueError("a script cannot have a NUL character")
    lines = ["LC_ALL=C; export LC_ALL; umask 077"]
    if script.watched:
        lines.append("exec 3<&0")
    for name, data in script.files:
        lines += [f"put_{name}() {{", _base64_writer(data), "}"]
    lines += ["sltfleet_main() {", script.body.rstrip("\n"), "}"]
    # One compound command: where the connection ends in the middle of it, its } is missing and nothing runs.
    call = " ".join(["sltfleet_main", *(quote(arg) for arg in script.args)])
    mark = quote(sentinel)
    lines.append(f"{{ printf '\\n%s\\n' {mark}; printf '\\n%s\\n' {mark} >&2; {call} </dev/null; exit $?; }}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def rsync_rsh(argv: Iterable[str]) -> str:
    """Return the value of rsync's `-e` that makes it run `argv` before the host and the remote command.

    rsync splits it at spaces, and knows single and double quotes but no backslash; a quote of the same kind is doubled
    inside (rsync(1), `--rsh`). Raises ValueError for a word with a NUL.
    """
    words = []
    for word in argv:
        if "\0" in word:
            raise ValueError(f"{word!r} has a NUL character, which no command line can carry")
        words.append("'" + word.replace("'", "''") + "'" if not word or set(word) & set(" \t\n'\"") else word)
    return " ".join(words)


def _base64_writer(data: bytes) -> str:
    import base64

    text = base64.encodebytes(data).decode("ascii")
    return f"base64 -d >\"$1\" <<'sltfleet_end_of_file'\n{text}sltfleet_end_of_file"
