"""The values of secret variables of fleet.yaml are in no log and no error, whatever a test prints."""

from __future__ import annotations

from pathlib import Path

from tests.faults.campaign import campaign

SECRET = "s3cr3t 'tok'\"en$x"
PRINTS_IT = 'echo "FAILED login: the token $API_TOKEN was refused by redis://jane:hunter22@db"; exit 1'
VERDICT = {"kind": "output", "failed": [r"^FAILED (?P<case>.*?): (?P<message>.*)$"]}


def test_no_command_shows_a_secret_that_a_test_printed(odd_path: Path) -> None:
    suite = {"verdict": VERDICT, "env": {"API_TOKEN": SECRET, "PLAIN": "of no interest"}}
    with campaign(odd_path, [PRINTS_IT], suite=suite) as scene:
        person = scene.person
        person.does("sync")
        typed = [person.does("run", "--workers", "1", "--passes", "1", "--budget", "300s", code=1)]
        run = scene.run_dir("alpha").name
        for words in (["logs"], ["fetch"], ["report"], ["report", "--format", "json"], ["status", "--format", "json"]):
            typed.append(person.does(*words))
        typed.append(person.does("repro", run, "login", code=1))
        typed.append(person.does("repro", "--print", run, "login"))
        for one in typed:
            shown = one.stdout + one.stderr
            assert "s3cr3t" not in shown, one.said
            assert "hunter22" not in shown
        assert "the token <hidden> was refused by redis://jane:<hidden>@db" in person.does("report").stdout
        # The test got it, and what it printed is kept as it is, for its owner's eyes.
        (kept,) = (scene.fetched_dir("alpha") / "artifacts").glob("*.out")
        assert SECRET in kept.read_text()


def test_no_error_shows_a_secret(odd_path: Path) -> None:
    command = ["sh", "-c", 'echo "cannot log in with $DB_PASSWORD" >&2; exit 1']
    build = {"command": command, "env": {"DB_PASSWORD": SECRET}}
    with campaign(odd_path, ["true"], suite={"build": build}) as scene:
        scene.person.does("sync")
        for words in (["build"], ["build", "-v"], ["run", "--budget", "5s"]):
            failed = scene.person.does(*words, code=5)
            assert "cannot log in with <hidden>" in failed.stderr, failed.said
            assert "s3cr3t" not in failed.stdout + failed.stderr
        fleet = scene.person.cwd / "fleet.yaml"
        text = fleet.read_text()
        for wrong in ("[s3cr3t-9]", "{a: s3cr3t-9}", "2026-11-23 s3cr3t-9\n    bad indent: ["):
            fleet.write_text(text.replace("DB_PASSWORD:", f"DB_PASSWORD: {wrong}\n        OTHER:"))
            refused = scene.person.does("status", code=2)
            assert "s3cr3t" not in refused.stderr, refused.said
