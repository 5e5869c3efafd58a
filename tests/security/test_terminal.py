"""No control character of a host, a test or an error reaches the terminal raw: C0, C1, OSC 8 and 52 among them."""

from __future__ import annotations

import json
from pathlib import Path

from sltfleet.demo.loopback import LoopbackHost
from tests.faults.campaign import Campaign, campaign
from tests.support.cli import Typed

#: Title, clipboard (OSC 52), link (OSC 8), clear, a C1 CSI, bell, backspace, and text that runs backwards.
ESCAPES = (
    "\x1b]0;owned\x07\x1b]52;c;cm0gLXJm\x07\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\\x1b[2J\x1b[1;31m"
    "\x9b31m\x9d0;owned\x9c\x90q\x9cover\b\x7f\u202egnp.exe"
)

#: A test that prints them, names its case by them and gives them as the reason.
HOSTILE = "cat hostile.txt; exit 1"
VERDICT = {"kind": "output", "failed": [r"^FAILED (?P<case>.*): (?P<message>.*)$"]}


def assert_harmless(typed: Typed) -> None:
    """Line ends and tabs are all that may be in there of what a terminal obeys."""
    shown = typed.stdout + typed.stderr
    found = {character for character in shown if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0}
    assert found <= {"\n", "\t"}, typed.said
    assert "\u202e" not in shown
    assert "Traceback" not in shown


def prepare(scene: Campaign) -> None:
    text = f"FAILED case {ESCAPES}: message {ESCAPES}\n{ESCAPES}\r\n"
    (scene.person.cwd / "repo" / "hostile.txt").write_bytes(text.encode())
    scene.person.does("sync")


def test_of_hostile_tests_every_command_shows_escapes_as_text(odd_path: Path) -> None:
    with campaign(odd_path, [HOSTILE], suite={"verdict": VERDICT}) as scene:
        prepare(scene)
        person = scene.person
        typed = [person.does("run", "--workers", "1", "--passes", "2", "--budget", "300s", code=1)]
        run = scene.run_dir("alpha").name
        for words in (["status", "-v"], ["status", "--format", "json"], ["logs"], ["logs", "--runner"], ["fetch"]):
            typed.append(person.does(*words))
        typed.append(person.does("repro", run, HOSTILE, code=1))
        typed.append(person.does("repro", "--print", run, HOSTILE))
        report, as_json = person.does("report"), person.does("report", "--format", "json")
        for one in (*typed, report, as_json):
            assert_harmless(one)
        # It is all there, to be seen.
        assert "case ␛]0;owned␇" in report.stdout
        assert as_json.json()["failing"][0]["case"] == "case " + ESCAPES


#: What a host may send in place of what a runner writes, and the commands that read it.
TAMPERED = {
    "state.json": (["status", "-v"], ["logs", "-f"]),
    "journal.jsonl": (["logs"], ["fetch"], ["report"]),
    "runner.log": (["logs", "--runner"],),
    "identity": (["status"], ["stop"]),
    "../../current": (["status"], ["logs"], ["fetch"], ["stop"]),
}


def tampered(name: str, text: str) -> str:
    if name == "state.json":
        said = {"suite": ESCAPES, "reason": ESCAPES, "trouble": ESCAPES, "failing": [ESCAPES]}
        return json.dumps({**json.loads(text), **said, "outcomes": {ESCAPES: 1}})
    if name == "journal.jsonl":
        note = json.dumps({"kind": "note", "t": 0.1, "text": ESCAPES})
        odd = json.dumps({"kind": ESCAPES, ESCAPES: ESCAPES})
        return text + f"{note}\n{odd}\n{ESCAPES}\n"
    return ESCAPES + text


def test_of_a_hostile_host_every_command_shows_escapes_as_text(odd_path: Path) -> None:
    with campaign(odd_path, ["false"], [LoopbackHost("alpha", login_noise=ESCAPES)]) as scene:
        scene.person.does("sync")
        scene.person.does("run", "--workers", "1", "--passes", "1", "--budget", "300s", code=1)
        run_dir = scene.run_dir("alpha")
        for name, commands in TAMPERED.items():
            file = run_dir / name
            text = file.read_text()
            file.write_text(tampered(name, text))
            for words in commands:
                assert_harmless(scene.person.types(*words))
            file.write_text(text)
