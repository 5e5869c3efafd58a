"""Makes text from hosts and tests safe to show: what a terminal would obey, or a reader would not see, becomes
visible.

Escape sequences (CSI, OSC and the rest) begin with ESC or a C1 control; with those replaced the remainder is plain
text. Bidi overrides, zero-width characters and lone surrogates are written as escapes. Letters, marks and symbols of
any script stay. This is for eyes only: nothing reads the result back.

Since all foreign text passes here, here is also where secrets of fleet.yaml are taken out of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sltfleet.core.secret import mask

#: Control, format, surrogate, private-use, unassigned; line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

#: Letters, marks and symbols without width or ink: Unicode's Default_Ignorable_Code_Point, and the blank Braille cell.
_INKLESS = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810)))

_ELLIPSIS = "…"

#: What is never shown. A command has one fleet.yaml, and sets this once.
_secrets: tuple[str, ...] = ()


def hide_secrets(secrets: Iterable[str]) -> None:
    """Take these out of everything that is shown from now on."""
    global _secrets
    _secrets = tuple(secrets)


def without_secrets(text: str) -> str:
    """Return `text` without what is never shown."""
    return mask(text, _secrets)


class _Visible(dict[int, str]):
    """A table for str.translate that is filled as characters are met."""

    def __init__(self, *, keep: str) -> None:
        super().__init__({ord(character): character for character in keep})

    def __missing__(self, code: int) -> str:
        self[code] = shown = _shown(code)
        return shown


def _shown(code: int) -> str:
    character = chr(code)
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures: ␀ … ␛ … ␟
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) not in _HIDDEN_CATEGORIES and code not in _INKLESS:
        return character
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ONE_LINE = _Visible(keep="")
_LINES = _Visible(keep="\n\t")


#: Stands where a test has an empty name, or one of spaces: a blank cell would look like a fault of the table.
NO_NAME = "(no name)"


def visible_name(name: str, *, limit: int | None = None) -> str:
    """Return the name of a unit or a case as `visible` does, and something to see where there is nothing."""
    shown = visible(name, limit=limit)
    return NO_NAME if not shown or shown.isspace() else shown


def visible(text: str, *, one_line: bool = True, limit: int | None = None) -> str:
    """Return `text` with everything that is not plain to see made visible, e.g. ESC as `␛`, U+202E as `\\u202e`.

    Line ends and tabs are made visible as well unless `one_line` is False. With `limit` the result has at most so many
    characters, the last one an ellipsis where something was cut.
    """
    text = without_secrets(text)
    if limit is None:
        return text.translate(_ONE_LINE if one_line else _LINES)
    # No character becomes less than one: what lies behind the limit need not be looked at.
    shown = text[: limit + 1].translate(_ONE_LINE if one_line else _LINES)
    return shown if len(shown) <= limit else shown[: max(0, limit - 1)] + _ELLIPSIS[:limit]
