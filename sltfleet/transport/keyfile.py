"""What a key file tells without its passphrase: the public key, its type, whether it is encrypted.

Using the key is left to `login`.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

_OPENSSH_MAGIC = b"openssh-key-v1\0"


@dataclass(frozen=True)
class KeyFile:
    """What can be known of a key file without its passphrase. `public` is the key as it travels, empty if not known."""

    path: str
    public: bytes
    key_type: str
    encrypted: bool
    #: False for a public key on its own, whose private part is in the agent.
    private: bool


def read_key_file(path: str) -> KeyFile:
    """Return what a key file tells without its passphrase. Raises OSError."""
    data = Path(path).read_bytes()
    lines = data.decode("ascii", "replace").splitlines()
    first = lines[0].strip() if lines else ""
    if not first.startswith("-----BEGIN"):
        public = _public_line(first)
        return KeyFile(path, public, _type_of(public), encrypted=False, private=False)
    if "OPENSSH PRIVATE KEY" in first:
        body = "".join(line for line in lines if not line.startswith("-----"))
        cipher, public = _openssh_header(body)
        return KeyFile(path, public, _type_of(public), encrypted=cipher not in ("", "none"), private=True)
    # Older formats tell nothing of the public key; ssh-keygen leaves it beside.
    try:
        public = _public_line(Path(f"{path}.pub").read_text(errors="replace"))
    except OSError:
        public = b""
    return KeyFile(
        path, public, _type_of(public), encrypted=any("ENCRYPTED" in line for line in lines[:3]), private=True
    )


def _openssh_header(body: str) -> tuple[str, bytes]:
    """Return the cipher's name and the first public key of an OpenSSH private key; "" and b"" for a damaged one.

    The format is described in OpenSSH's PROTOCOL.key.
    """
    try:
        data = base64.b64decode(body)
        if not data.startswith(_OPENSSH_MAGIC):
            return "", b""
        at = len(_OPENSSH_MAGIC)
        cipher, at = _string(data, at)
        for _ in ("kdf", "its options"):
            _, at = _string(data, at)
        public, _ = _string(data, at + 4)  # after the number of keys
        return cipher.decode("ascii", "replace"), public
    except (ValueError, struct.error):
        return "", b""


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Return a length-prefixed string of the SSH formats (RFC 4251, 5) and where the next field begins."""
    (size,) = struct.unpack_from(">I", data, at)
    return data[at + 4 : at + 4 + size], at + 4 + size


def _public_line(line: str) -> bytes:
    words = line.split()
    try:
        return base64.b64decode(words[1], validate=True) if len(words) > 1 else b""
    except ValueError:
        return b""


def _type_of(public: bytes) -> str:
    try:
        return _string(public, 0)[0].decode("ascii", "replace")
    except struct.error:
        return ""
