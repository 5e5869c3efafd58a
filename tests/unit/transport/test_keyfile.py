from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.transport.keyfile import read_key_file
from tests.support.hosts import make_key


def public_of(path: Path) -> bytes:
    return base64.b64decode(Path(f"{path}.pub").read_text().split()[1])


@pytest.mark.parametrize("passphrase", ["", "a passphrase"])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_private_key_tells_its_public_key_and_whether_it_has_a_passphrase(
    odd_path: Path, kind: str, passphrase: str
) -> None:
    path = make_key(odd_path / "key", kind=kind, passphrase=passphrase)
    public = public_of(path)
    Path(f"{path}.pub").unlink()
    found = read_key_file(str(path))
    assert (found.public, found.encrypted, found.private) == (public, bool(passphrase), True)
    assert kind in found.key_type


@pytest.mark.parametrize("passphrase", ["", "a passphrase"])
def test_a_private_key_in_an_older_format_is_known_by_the_public_key_beside_it(odd_path: Path, passphrase: str) -> None:
    path = odd_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-m", "PEM", "-N", passphrase, "-f", str(path)], check=True)
    found = read_key_file(str(path))
    assert (found.public, found.key_type, found.encrypted) == (public_of(path), "ssh-rsa", bool(passphrase))


def test_a_public_key_on_its_own_has_no_private_part(odd_path: Path) -> None:
    path = make_key(odd_path / "key")
    found = read_key_file(f"{path}.pub")
    assert (found.public, found.private) == (public_of(path), False)


def test_a_missing_file_is_an_os_error(odd_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_key_file(str(odd_path / "key"))


@given(st.binary() | st.binary().map(lambda body: b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.b64encode(body)))
def test_a_damaged_file_tells_nothing_and_harms_nothing(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged key"
    path.write_bytes(data)
    assert isinstance(read_key_file(str(path)).public, bytes)
