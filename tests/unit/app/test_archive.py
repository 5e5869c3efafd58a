from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sltfleet.app.archive import runner_archive

#: The interpreters of this machine that may be a host's; a version that is not here is not tried.
PYTHONS = ("/usr/bin/python3", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14")

#: What the runner does with the client, and a proof that nothing else than the archive was used.
CONNECT = """
import sys
sys.path[:0] = [sys.argv[1]]
import redis
assert redis.__file__.startswith(sys.argv[1]), redis.__file__
try:
    redis.Redis.from_url("redis://:s3cr3t@127.0.0.1:1/0", socket_connect_timeout=1).ping()
except redis.exceptions.ConnectionError as error:
    print(error)
redis.Redis.from_url("rediss://127.0.0.1:1/0?ssl_cert_reqs=required&ssl_check_hostname=true")
"""


def test_only_a_run_with_a_queue_ships_the_client(tmp_path: Path) -> None:
    plain, queue = runner_archive(), runner_archive(queue=True)
    assert plain.name != queue.name
    names = [zipfile.ZipFile(io.BytesIO(archive.data)).namelist() for archive in (plain, queue)]
    assert not any(name.startswith(("redis/", "async_timeout/")) for name in names[0])
    assert set(names[0]) < set(names[1])
    assert not any("__pycache__" in name for name in names[1])
    assert len(queue.data) < 1024 * 1024


def test_the_bytes_depend_on_the_sources_alone() -> None:
    make = runner_archive.__wrapped__
    assert make(queue=True) == make(queue=True)
    assert make() == make()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_client_works_from_inside_the_archive(python: str, odd_path: Path) -> None:
    program = shutil.which(python)
    if program is None or subprocess.run([program, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {python} here")
    version = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (3, 10):
        pytest.skip(f"{python} is {version}: no queue with it")
    odd_path.mkdir(parents=True, exist_ok=True)
    archive = odd_path / "runner.pyz"
    archive.write_bytes(runner_archive(queue=True).data)
    done = subprocess.run(
        [program, "-E", "-S", "-c", CONNECT, str(archive)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "refused" in done.stdout
    assert "s3cr3t" not in done.stdout


def test_the_runner_still_answers_from_the_archive_with_the_client(tmp_path: Path) -> None:
    archive = tmp_path / "runner.pyz"
    archive.write_bytes(runner_archive(queue=True).data)
    done = subprocess.run([sys.executable, "-E", "-S", str(archive)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: runner.pyz")
