"""Which environment variables of fleet.yaml are secret, and how their values are taken out of a text.

By their names, as everywhere. What is hidden is what is shown to people: on the hosts tests get the values, and may
write them wherever they like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: In the place of a secret.
HIDDEN = "<hidden>"

#: A shorter value would take whole words out of every text, and is no secret.
MIN_CHARACTERS = 4

_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|(^|_)(API|ACCESS|PRIVATE)?_?KEY$|(^|_)AUTH(_|$)", re.IGNORECASE
)

#: Of a URL: `redis://jane:password@host`.
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(@)")


def is_secret(name: str) -> bool:
    """Whether the value of a variable of this name is to be hidden."""
    return _SECRET_NAME.search(name) is not None


def secret_values(environments: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return what is to be hidden, the longest first; of a value of several lines each of them, as they are shown."""
    values = {value for variables in environments for name, value in variables.items() if is_secret(name)}
    parts = {part for value in values for part in (value, *value.splitlines())}
    return tuple(sorted((part for part in parts if len(part) >= MIN_CHARACTERS), key=lambda part: (-len(part), part)))


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without the secrets and without passwords in URLs."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return _URL_PASSWORD.sub(rf"\1{HIDDEN}\2", text) if "://" in text else text
