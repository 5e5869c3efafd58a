from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sltfleet.config.load import LoadedConfig, load_config
from sltfleet.config.model import FleetConfig, TimeoutConfig
from sltfleet.config.queue_url import SHAPE
from sltfleet.config.units import FilesConfig
from sltfleet.config.verdicts import ExitCodeConfig, JsonConfig
from sltfleet.core.errors import ConfigError, UsageError
from sltfleet.report.sanitize import visible

SMALL = """\
project: p
hosts: {localhost: {transport: local}}
suites: {s: {build: {test: t}, units: {kind: partitions, count: 1}}}
"""

DESIGN = """\
project: vibesql                  # names the folder on the hosts
repo: .                           # what is synced, relative to this file
sync: {gitignore: true, exclude: [target/, .git/, node_modules/], max_delete: 1000}
hosts:
  localhost: {transport: local}
  rwalters-sandbox-1:             # an ssh alias: ~/.ssh/config decides user, port, key, jump host
    workers: 64                   # default: the cores that the host may use
    tags: [big]
suites:
  sqllogictest:
    build: {package: vibesql, test: sqllogictest_suite, profile: release}
    units: {kind: files, root: third_party/sqllogictest/test, include: ["**/*.test"], exclude: []}
    env: {SQLLOGICTEST_FILES: "{unit}", SQLLOGICTEST_WORKER_ID: "{worker}", SQLLOGICTEST_TOTAL_WORKERS: "{workers}",
          SQLLOGICTEST_SEED: "{seed}", SQLLOGICTEST_TIME_BUDGET: "{timeout}"}
    timeout: 300s
    verdict: {kind: json, path: "target/sqllogictest_results_worker_{worker}.json",
              passed: tested_files.passed, failed: tested_files.failed}
    budget: 3600s
"""


def write(folder: Path, text: str = SMALL) -> Path:
    """Write a fleet.yaml and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "fleet.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(cwd: Path, path: Path | None = None, ssh_config: str | None = None, **environ: str) -> LoadedConfig:
    """Load as a command would in the folder `cwd`."""
    return load_config(path, ssh_config=ssh_config, environ=environ, cwd=cwd)


def test_the_file_of_the_design_means_what_it_says(odd_path: Path) -> None:
    write(odd_path, DESIGN)
    loaded = load(odd_path)
    suite = loaded.config.suites["sqllogictest"]
    assert list(loaded.config.hosts) == ["localhost", "rwalters-sandbox-1"]
    assert loaded.config.hosts["rwalters-sandbox-1"].workers == 64
    assert suite.units == FilesConfig(kind="files", root="third_party/sqllogictest/test", include=("**/*.test",))
    assert isinstance(suite.verdict, JsonConfig)
    assert (suite.timeout, suite.budget) == (TimeoutConfig(max=300.0), 3600.0)
    assert suite.env["SQLLOGICTEST_FILES"] == "{unit}"


def test_defaults_fill_what_a_file_leaves_out(odd_path: Path) -> None:
    config = load(odd_path, write(odd_path)).config
    suite = config.suites["s"]
    assert suite.verdict == ExitCodeConfig(kind="exit-code")
    assert (suite.timeout.max, suite.kill_after, suite.workdir, suite.nice) == (300.0, 5.0, "shared", 10)
    assert config.sync.exclude == ("/target/", ".git/", "node_modules/")


def test_a_host_without_settings_has_the_defaults(odd_path: Path) -> None:
    write(odd_path, SMALL.replace("{localhost: {transport: local}}", "\n  box-1:\n  box-2: ~\nsync:"))
    config = load(odd_path).config
    assert [host.transport for host in config.hosts.values()] == ["ssh", "ssh"]


def test_numbers_in_the_environment_and_arguments_are_the_text_that_is_written(odd_path: Path) -> None:
    write(odd_path, SMALL.replace("count: 1}", "count: 1}, env: {A: 1, B: 1.10, C: 010, D: 1e3}, args: [--jobs, 2]"))
    suite = load(odd_path).config.suites["s"]
    assert suite.env == {"A": "1", "B": "1.10", "C": "010", "D": "1e3"}
    assert suite.args == ("--jobs", "2")


@pytest.mark.parametrize(("text", "seconds"), [("300", 300.0), ("0.5", 0.5), ("'300'", 300.0), ("1h30m", 5400.0)])
def test_durations_are_numbers_or_text(text: str, seconds: float, odd_path: Path) -> None:
    write(odd_path, SMALL.replace("count: 1}", f"count: 1}}, budget: {text}"))
    assert load(odd_path).config.suites["s"].budget == seconds


@pytest.mark.parametrize(
    ("text", "timeout"),
    [
        ("90", TimeoutConfig(max=90.0)),
        ("5m", TimeoutConfig(max=300.0)),
        ("{factor: 5}", TimeoutConfig(factor=5.0)),
        ("{factor: 2.5, floor: 2s, max: 20m}", TimeoutConfig(factor=2.5, floor=2.0, max=1200.0)),
    ],
)
def test_a_timeout_is_a_duration_or_a_multiple_of_what_is_known(
    text: str, timeout: TimeoutConfig, odd_path: Path
) -> None:
    write(odd_path, SMALL.replace("count: 1}", f"count: 1}}, timeout: {text}"))
    assert load(odd_path).config.suites["s"].timeout == timeout


def test_the_file_is_found_in_the_folder_or_the_nearest_one_above(odd_path: Path) -> None:
    outer, inner = write(odd_path), write(odd_path / "inner")
    assert load(odd_path / "inner").path == inner
    (odd_path / "other" / "deep").mkdir(parents=True)
    assert load(odd_path / "other" / "deep").path == outer


def test_an_argument_goes_before_the_environment_and_that_before_the_folder(odd_path: Path) -> None:
    write(odd_path)
    by_environment, by_argument = write(odd_path / "e"), write(odd_path / "a")
    assert load(odd_path, SLTFLEET_FLEET="e/fleet.yaml").path == by_environment
    assert load(odd_path, Path("a/fleet.yaml"), SLTFLEET_FLEET="e/fleet.yaml").path == by_argument
    assert load(odd_path, SLTFLEET_FLEET="").path == odd_path / "fleet.yaml"


def test_without_a_file_the_error_says_how_to_get_one(odd_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(odd_path)
    assert caught.value.what == "there is no fleet.yaml"
    assert caught.value.fix == "`sltfleet init` writes one"


@pytest.mark.parametrize("name", ["nothing.yaml", ".", "\0"])
def test_a_file_that_cannot_be_read_is_an_error_of_ours(name: str, odd_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(odd_path, Path(name))


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_an_empty_file_is_called_empty(text: str, odd_path: Path) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        load(odd_path, write(odd_path, text))


def test_the_repo_is_relative_to_the_file(odd_path: Path) -> None:
    write(odd_path / "ops", SMALL + "repo: ..\n")
    loaded = load(odd_path / "ops")
    assert (loaded.repo, loaded.fleet_dir) == (odd_path, odd_path / "ops")
    write(odd_path)
    assert load(odd_path).repo == odd_path


def test_the_ssh_config_is_that_of_the_argument_the_environment_or_the_file_in_this_order(odd_path: Path) -> None:
    for name in ("by argument", "by environment", "by file"):
        (odd_path / name).touch()
    path = write(odd_path / "ops", SMALL + "ssh_config: ../by file\nrepo: ..\n")
    assert load(odd_path, path).ssh_config == odd_path / "by file"
    assert load(odd_path, path, SLTFLEET_SSH_CONFIG="by environment").ssh_config == odd_path / "by environment"
    chosen = load(odd_path, path, "by argument", SLTFLEET_SSH_CONFIG="by environment").ssh_config
    assert chosen == odd_path / "by argument"
    assert load(odd_path, write(odd_path)).ssh_config is None
    assert load(odd_path, write(odd_path), "/dev/null").ssh_config == Path("/dev/null")


def test_an_ssh_config_that_is_not_there_is_an_error_that_says_who_named_it(odd_path: Path) -> None:
    path = write(odd_path)
    with pytest.raises(UsageError, match="SLTFLEET_SSH_CONFIG names it"):
        load(odd_path, path, SLTFLEET_SSH_CONFIG="gone")
    with pytest.raises(UsageError, match="--ssh-config names it"):
        load(odd_path, path, "gone")


def test_names_that_no_file_can_have_are_not_there(odd_path: Path) -> None:
    path = write(odd_path, SMALL + f"repo: {'x' * 5000}\nssh_config: {'x' * 5000}\n")
    with pytest.raises(ConfigError) as caught:
        load(odd_path, path)
    assert [problem.key for problem in caught.value.problems] == ["repo", "ssh_config"]
    with pytest.raises(ConfigError):
        load(odd_path, Path("x" * 5000))


def test_an_ssh_config_of_the_file_that_is_not_used_need_not_be_there(odd_path: Path) -> None:
    (odd_path / "mine").touch()
    path = write(odd_path, SMALL + "ssh_config: gone\n")
    assert load(odd_path, path, "mine").ssh_config == odd_path / "mine"


def test_lists_and_tuples_both_make_a_model() -> None:
    raw = {**yaml.safe_load(SMALL), "sync": {"exclude": ["a"], "include": ("b",)}}
    assert FleetConfig.model_validate(raw).sync.exclude == ("a",)


_WORDS = (
    "project repo ssh_config default_suite sync hosts suites build units verdict kind env args timeout budget root",
    "include exclude transport address workers tags test package features success passed failed path count first",
    "workdir nice gitignore max_delete output_limit a [key] <<",
)
_KEYS = st.sampled_from([word for line in _WORDS for word in line.split()])
_TRAPS = ["files", "partitions", "json", "output", "exit-code", "local", "ssh", "5m", "4MiB", "{unit}", "..", "**", "("]
_PIECES = ["", "  ", "\n", ": ", "{", "[]", "*x ", "&x ", "on", "~", "- ", "'", "-1", "../"]
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(_TRAPS)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5))
_SUITE = st.fixed_dictionaries(
    {},
    optional={
        "build": _VALUES,
        "units": _VALUES,
        "verdict": _VALUES,
        "env": _VALUES,
        "timeout": _VALUES,
        "args": _VALUES,
    },
)
_FLEETS = st.fixed_dictionaries(
    {},
    optional={
        "project": _SCALARS,
        "repo": _SCALARS,
        "sync": _VALUES,
        "default_suite": _VALUES,
        "hosts": _VALUES
        | st.dictionaries(_KEYS | st.text(st.characters(codec="utf-8"), max_size=5), _VALUES, max_size=3),
        "suites": _VALUES | st.dictionaries(_KEYS, _SUITE | _VALUES, max_size=3),
    },
)


def _load_or_explain(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "fleet.yaml")
        path.write_bytes(data)
        try:
            load(Path(folder), path)
        except ConfigError as error:
            for problem in error.problems:
                assert problem.line >= 1
                assert problem.column >= 1
                assert problem.message


@given(_FLEETS | _VALUES)
def test_any_values_are_a_configuration_or_a_config_error(raw: Any) -> None:
    _load_or_explain(yaml.safe_dump(raw, allow_unicode=True).encode("utf-8"))


@given(st.binary() | st.text(st.characters(codec="utf-8")).map(str.encode))
def test_any_bytes_are_a_configuration_or_a_config_error(data: bytes) -> None:
    _load_or_explain(data)


@given(st.data())
def test_a_good_file_with_a_piece_torn_out_or_pasted_in_is_read_or_explained(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(DESIGN)))
    end = data.draw(st.integers(start, min(start + 20, len(DESIGN))))
    piece = data.draw(st.sampled_from([*_TRAPS, *_PIECES]))
    _load_or_explain((DESIGN[:start] + piece + DESIGN[end:]).encode("utf-8"))


@pytest.mark.parametrize(
    ("in_file", "variable", "place"),
    [
        ("redis://a", None, "redis://a:6379/0"),
        ("redis://a", "rediss://b", "rediss://b:6379/0"),
        ("", "redis://b", "redis://b:6379/0"),
        ("redis://a", "", None),
        ("", None, None),
    ],
)
def test_the_variable_names_the_queue_before_the_file_does(
    in_file: str, variable: str | None, place: str | None, odd_path: Path
) -> None:
    environ = {} if variable is None else {"SLTFLEET_QUEUE": variable}
    queue = load(odd_path, write(odd_path, f"queue: {in_file}\n{SMALL}"), **environ).queue
    assert (queue and str(queue)) == place


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ("queue: http://:{secret}@q", "queue", "neither 'redis' nor 'rediss'; did you mean redis://?"),
        ("queue: [redis://:{secret}@q]", "queue", "expected the address of a queue"),
        ("queue: redis://:{secret}@q?wait=5", "queue", "has the unknown option 'wait'; known options"),
        ("sync: redis://:{secret}@q", "sync", "found the text 'redis://…@q'"),
        ("qeue: redis://:{secret}@q", "qeue", "did you mean 'queue'?"),
    ],
)
def test_a_bad_queue_is_an_error_with_line_and_key_and_without_the_secret(
    line: str, key: str, words: str, odd_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(odd_path, write(odd_path, f"{SMALL}{line.format(secret='s3cr3t')}\n"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (4, key)
    assert words in f"{problem.message}; {problem.hint}"
    assert "s3cr3t" not in f"{caught.value} {problem}"


def test_a_bad_queue_in_the_variable_is_an_error_that_names_it(odd_path: Path) -> None:
    with pytest.raises(UsageError, match="SLTFLEET_QUEUE cannot be used: the address names no host") as caught:
        load(odd_path, write(odd_path), SLTFLEET_QUEUE="redis://:s3cr3t@")
    assert "s3cr3t" not in f"{caught.value} {caught.value.fix}"


def test_the_hint_how_to_write_an_address_is_shown_as_it_is() -> None:
    assert visible(SHAPE) == SHAPE


def test_a_file_with_a_password_that_others_may_read_is_noticed(odd_path: Path) -> None:
    path = write(odd_path, f"queue: redis://:s3cr3t@q\n{SMALL}")
    path.chmod(0o640)
    assert load(odd_path).queue_exposed
    path.chmod(0o600)
    assert not load(odd_path).queue_exposed
    path.chmod(0o644)
    write(odd_path, f"queue: redis://q\n{SMALL}")
    assert not load(odd_path).queue_exposed
    assert "s3cr3t" not in repr(load(odd_path))
