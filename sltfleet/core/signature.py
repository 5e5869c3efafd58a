"""A failure's signature: its message without what differs from one failing case to the next.

Two failures of one signature have, as far as their messages tell, one cause. Numbers, hashes, addresses, paths, quoted
values, statements and the lines of a diff are masked; what is left are the words of whoever wrote the message. Grouping
the failures of a run by it is `results.causes`.
"""

from __future__ import annotations

import re

#: What lies behind it adds nothing: the words of an error stand at its beginning.
MAX_MESSAGE_CHARS = 4000
MAX_LINES = 4
MAX_CHARS = 300

#: Between what were lines. It is split at again, so that a signature is its own signature.
_JOINT = " | "

#: Colours of a terminal, see ECMA-48, SGR.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: A statement says what was asked, never what went wrong: to the end of its line it is a value.
_STATEMENT = re.compile(r"\[(SQL|Query|Statement)(?::|\])(?!\Z).*", re.IGNORECASE)

#: The lines in which Rust's assertions, and many others, show two values.
_VALUE_LINE = re.compile(r"(left|right|expected|actual|got|found) ?:.*", re.IGNORECASE)

#: In the order in which they are tried at each place; a mask stays what it is.
_MASKS: tuple[tuple[str, str], ...] = (
    (r"<[a-z]+>", ""),
    # Code in backticks tells causes apart (`Result::unwrap()`, `left == right`), a value there does not.
    (r"`[^`\n]*(?:::|[=!]=)[^`\n]*`", ""),
    (r"(?<!\w)'[^'\n]*'(?!\w)|\"[^\"\n]*\"", "<text>"),
    (r"`[^`\n]*`", "<text>"),
    (r"(?<![\w/.~@+%-])(?:[a-z][a-z0-9+.-]*:/)?[\w.~@+%-]*(?:/[\w.~@+%-]+)+/?(?::\d+){0,2}", "<path>"),
    (r"(?<![\w/.~@+%-])[\w+-][\w.+-]*\.[A-Za-z]\w{0,9}(?::\d+){1,2}", "<path>"),
    (r"0[xX][0-9a-fA-F]+", "<address>"),
    (r"(?<!\w)[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w)", "<hash>"),
    (r"(?<!\w)(?=[0-9]*[a-fA-F])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{7,}(?!\w)", "<hash>"),
    (r"(?:(?<!\w)[-+])?\d+(?:[.,_]\d+)*(?:[eE][-+]?\d+)?", "<n>"),
)
_MASK = re.compile("|".join(f"({pattern})" for pattern, _ in _MASKS))

#: In what stays, numbers go all the same.
_NUMBER = re.compile(r"\d+")

#: Lists of values are as long as they are by chance.
_LIST = re.compile(r"(<[a-z]+>)(?:(?: ?[,;] ?| )<[a-z]+>)+")


def signature(message: str) -> str:
    """Return the signature of a failure's message, "" for one that says nothing.

    The signature of a signature is itself: masking goes on until it changes nothing more. It ends, since every round
    that changes something leaves fewer characters outside the masks.
    """
    masked = _COLOUR.sub("", message[:MAX_MESSAGE_CHARS])
    while True:
        before, masked = masked, _round(masked)
        if masked == before:
            return masked


def _round(text: str) -> str:
    lines: list[str] = []
    for part in re.split(rf"[\n\r]|{re.escape(_JOINT)}", text):
        line = " ".join(part.split())
        # The lines of a diff are values, but for the first line: it is all that a message is sure to have.
        if line and not (lines and line[0] in "+-"):
            lines.append(_masked_line(line))
    return _JOINT.join(lines[:MAX_LINES])[:MAX_CHARS].strip()


def _masked_line(line: str) -> str:
    line = _STATEMENT.sub(r"[\1]", line)
    line = _VALUE_LINE.sub(r"\1: <text>", line) if _VALUE_LINE.match(line) else line
    return _LIST.sub(_merged, _MASK.sub(_mask, line))


def _mask(found: re.Match[str]) -> str:
    assert found.lastindex is not None
    return _MASKS[found.lastindex - 1][1] or _NUMBER.sub("<n>", found[0])


def _merged(found: re.Match[str]) -> str:
    return found[1] if set(re.findall(r"<[a-z]+>", found[0])) == {found[1]} else "<values>"
