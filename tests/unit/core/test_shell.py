"""Shell text: what is quoted comes out literally, by a real sh and by rsync's own rules."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sltfleet.core.shell import ROOT_PRELUDE, Script, join, quote, rsync_rsh, script_input

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def sh(script: Script) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh"], input=script_input(script, "MARK"), capture_output=True, check=False, timeout=120)


@settings(max_examples=20)
@given(st.lists(WORDS, min_size=1))
def test_joined_words_are_those_words_to_a_shell(words: list[str]) -> None:
    done = subprocess.run(["sh", "-c", join(["printf", "%s\\0", *words])], capture_output=True, check=True)
    assert done.stdout == b"".join(word.encode() + b"\0" for word in words)


@pytest.mark.parametrize("act", [lambda: quote("a\0b"), lambda: script_input(Script("true", ("\0",)), "MARK")])
def test_a_nul_in_a_word_is_refused(act: object) -> None:
    assert callable(act)
    with pytest.raises(ValueError, match="NUL"):
        act()


def test_a_nul_in_a_script_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        script_input(Script("echo \0"), "MARK")


def test_the_sentinel_comes_first_on_both_streams() -> None:
    done = sh(Script("echo out; echo err >&2"))
    assert done.stdout == b"\nMARK\nout\n"
    assert done.stderr == b"\nMARK\nerr\n"


def test_nothing_runs_before_the_whole_script_has_arrived(odd_path: Path) -> None:
    whole = script_input(Script('touch "$1"', (f"{odd_path}/trace",)), "MARK")
    # All of it but the last newline, whose place the end of the input takes.
    for cut in range(len(whole) - 1):
        subprocess.run(["sh"], input=whole[:cut], capture_output=True, check=False)
        assert not (odd_path / "trace").exists()
    subprocess.run(["sh"], input=whole, capture_output=True, check=True)
    assert (odd_path / "trace").exists()


def test_a_command_in_the_script_cannot_eat_the_script() -> None:
    assert sh(Script("cat; echo end")).stdout == b"\nMARK\nend\n"


def test_files_are_written_for_their_owner_only(odd_path: Path) -> None:
    done = sh(Script('put_it "$1"', (f"{odd_path}/it",), (("it", bytes(range(256))),)))
    assert done.returncode == 0
    assert (odd_path / "it").read_bytes() == bytes(range(256))
    assert (odd_path / "it").stat().st_mode & 0o777 == 0o600


def test_a_watched_script_sees_its_input_end_on_descriptor_3() -> None:
    assert sh(Script("cat <&3; echo seen", watched=True)).stdout == b"\nMARK\nseen\n"


@pytest.mark.parametrize(
    ("root", "home", "resolved"),
    [
        ("~", "/home/a b", "/home/a b"),
        ("~/x y", "/home/a b", "/home/a b/x y"),
        ("/srv/~/x", "/home/a b", "/srv/~/x"),
        ("~bob/x", "/home/a b", "~bob/x"),
        ("rel $HOME", "/home/a b", "rel $HOME"),
    ],
)
def test_a_leading_tilde_is_the_home_folder_on_the_host(root: str, home: str, resolved: str) -> None:
    text = script_input(Script(ROOT_PRELUDE + 'printf %s "$root"', (root,)), "MARK")
    environment = {**os.environ, "HOME": home}
    done = subprocess.run(["sh"], input=text, capture_output=True, env=environment, check=True)
    assert done.stdout.decode() == f"\nMARK\n{resolved}"


def test_rsync_reads_the_words_of_its_remote_shell_as_they_were(odd_path: Path) -> None:
    # rsync itself is the judge: it runs the remote shell with the host and its own command after our words.
    words = ["a b", "", "it's", 'say "hi"', "back\\slash", "$x *", "tab\there", "ümlaut"]
    seen = odd_path / "seen"
    body = f"printf '%s\\0' \"$@\" >{quote(str(seen))}; exit 1"
    argv = ["rsync", "-e", rsync_rsh(["sh", "-c", body, "sh", *words]), "host:file", "."]
    assert subprocess.run(argv, capture_output=True, check=False).returncode != 0
    assert seen.read_text().split("\0")[: len(words) + 1] == [*words, "host"]


@given(st.lists(WORDS, min_size=1))
def test_rsyncs_rules_give_the_words_back(words: list[str]) -> None:
    assert _split_as_rsync_does(rsync_rsh(words)) == words


def _split_as_rsync_does(text: str) -> list[str]:
    """Split as rsync(1) says of `--rsh`: at spaces, with quotes that are doubled to stand for themselves."""
    words: list[str] = []
    word: list[str] | None = None
    quoting = ""
    position = 0
    while position < len(text):
        char = text[position]
        if quoting and char == quoting:
            if text[position + 1 : position + 2] == quoting:
                word = [*(word or []), char]
                position += 1
            else:
                quoting = ""
        elif not quoting and char in "'\"":
            quoting, word = char, word or []
        elif not quoting and char == " ":
            words += ["".join(word)] if word is not None else []
            word = None
        else:
            word = [*(word or []), char]
        position += 1
    return [*words, "".join(word)] if word is not None else words
