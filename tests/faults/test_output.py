"""Fault 18: a test prints 1 GB, NUL bytes, bad UTF-8."""

from __future__ import annotations

from pathlib import Path

from tests.faults.campaign import campaign

GIGABYTE = 1024**3
#: Of what one attempt prints, the default of `output_limit` is kept.
KEPT_BYTES = 4 * 1024**2

PRINTS_A_GIGABYTE = "yes 'a line of a very noisy test' | head -c 1073741824; exit 1"
PRINTS_NULS = r"printf 'before\0\0after\n'; head -c 100000 /dev/zero; exit 1"
PRINTS_BAD_UTF8 = r"printf 'caf\351 \377\376 \355\240\200 \300\257\n'; exit 1"


def test_a_gigabyte_nuls_and_bad_utf_8_block_nobody_and_are_kept_within_bounds(odd_path: Path) -> None:
    units = [PRINTS_A_GIGABYTE, PRINTS_NULS, PRINTS_BAD_UTF8, "echo fine"]
    with campaign(odd_path, units) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--workers", "2", "--budget", "300s", "--passes", "1", code=1)
        assert scene.fetched_outcomes() == {"pass": 1, "fail": 3}
        finished = {event.unit: event for event in scene.finished("alpha")}
        assert {unit: event.outcome for unit, event in finished.items()} == {
            PRINTS_A_GIGABYTE: "fail",
            PRINTS_NULS: "fail",
            PRINTS_BAD_UTF8: "fail",
            "echo fine": "pass",
        }
        loud = finished[PRINTS_A_GIGABYTE].output
        assert (loud.size_bytes, loud.truncated) == (GIGABYTE, True)
        folder = scene.fetched_dir("alpha")
        kept = (folder / loud.path).read_bytes()
        assert KEPT_BYTES // 2 < len(kept) < KEPT_BYTES + 10_000
        assert kept.startswith(b"a line of a very noisy test\na line")
        # What was printed is kept byte for byte; only what a terminal shows is made visible.
        assert (folder / finished[PRINTS_NULS].output.path).read_bytes() == b"before\0\0after\n" + bytes(100_000)
        assert (folder / finished[PRINTS_BAD_UTF8].output.path).read_bytes() == (
            b"caf\xe9 \xff\xfe \xed\xa0\x80 \xc0\xaf\n"
        )
        for words in (["report"], ["logs"], ["status", "-v"]):
            shown = scene.person.does(*words)
            assert "\0" not in shown.stdout + shown.stderr
        used = sum(path.stat().st_blocks * 512 for path in scene.run_dir("alpha").rglob("*") if path.is_file())
        assert used < 64 * 1024**2
