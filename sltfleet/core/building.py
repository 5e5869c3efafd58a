"""The two scripts of a build on a host, and what they print.

The first finds cargo, decides whether anything is to be done, and runs it until the controller goes away; the second
seals the result: the executable's digest, and what it was made from. docs/decisions/004-mtimes-and-cargo.md tells
what counts as a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sltfleet.core.cargo import Artifact, CargoBuild, cargo_arguments
from sltfleet.core.paths import SYNC_RECORD_NAME, HostPaths
from sltfleet.core.shell import ROOT_PRELUDE, Script
from sltfleet.core.syncing import NEVER_CODE, WHOLE_SYNC_CHECK, SyncRecord, record_from_json
from sltfleet.wire.codec import DecodeError, decode, to_text
from sltfleet.wire.spec import LibtestBinary

#: Exit codes of the scripts; those of WHOLE_SYNC_CHECK come besides. cargo's own comes in a line of its own.
NO_MANIFEST_CODE = 91
NO_CARGO_CODE = 92
BROKEN_CARGO_CODE = 93
CHANGED_CODE = 94
NO_BINARY_CODE = 95

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")

_ENTER = (
    ROOT_PRELUDE
    + f"""\
cd -P "$root/$1" 2>/dev/null || exit {NEVER_CODE}
shift
{WHOLE_SYNC_CHECK}
here=$(pwd -P)
content=$(sed -n 's/.*"content_id": *"\\([0-9a-f]*\\)".*/\\1/p' {SYNC_RECORD_NAME})
"""
)

#: cargo runs in a session of its own, so that all that it starts can be ended together when descriptor 3 ends.
_SUPERVISOR = """\
(
  trap "" TERM
  while read -r _ <&3; do :; done
  kill -s TERM -- "-$$"
  sleep 5
  kill -s KILL -- "-$$"
) >/dev/null 2>&1 &
watcher=$!
"$@" 3<&-
code=$?
kill -s KILL "$watcher"
exit "$code"
"""

_BUILD_BODY = (
    _ENTER
    + f"""\
name=$1; key=$2; force=$3; folder=$4; toolchain=$5; supervisor=$6; tool=$7; variables=$8; shift 8
while [ "$variables" -gt 0 ]; do export "$1"; shift; variables=$((variables - 1)); done
cd -P "repo/$folder" 2>/dev/null && {{ [ -z "$tool" ] || [ -f Cargo.toml ]; }} || exit {NO_MANIFEST_CODE}
case $(pwd -P)/ in "$here"/repo/*) ;; *) exit {NO_MANIFEST_CODE} ;; esac
printf '@project %s\\n@sync ' "$here"
cat "$here/{SYNC_RECORD_NAME}"
if [ "$#" = 0 ]; then printf '@content %s\\n' "$content"; exit 0; fi

# A session without a terminal has no ~/.cargo/bin on its PATH. What rustup puts there is no cargo until it has a
# toolchain.
cargo=; said=
path_cargo=$(command -v cargo 2>/dev/null)
for place in "${{CARGO_HOME:-$HOME/.cargo}}/bin/cargo" "$HOME/.cargo/bin/cargo" /usr/local/cargo/bin/cargo \\
    "$path_cargo" /usr/bin/cargo /usr/local/bin/cargo; do
  [ -f "$place" ] && [ -x "$place" ] || continue
  if problem=$(RUST_BACKTRACE=0 "$place" ${{toolchain:+"+$toolchain"}} --version 2>&1); then
    cargo=$place
    break
  fi
  said=$problem
  # It works, but not with the toolchain that is asked for here: another cargo would be a silent substitute.
  if (cd / && RUST_BACKTRACE=0 "$place" --version) >/dev/null 2>&1; then break; fi
done
if [ -z "$cargo" ] && [ -n "$tool" ]; then
  [ -n "$said" ] || exit {NO_CARGO_CODE}
  printf '%s\\n' "$said" >&2
  exit {BROKEN_CARGO_CODE}
fi
PATH=${{cargo:+${{cargo%/*}}:}}$PATH
CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never
export PATH CARGO_TERM_COLOR CARGO_TERM_PROGRESS_WHEN
# Another command puts its files where the person expects them.
if [ -n "$tool" ]; then CARGO_TARGET_DIR=$here/target; export CARGO_TARGET_DIR; fi
printf '@toolchain %s\\n' "$(rustc ${{toolchain:+"+$toolchain"}} -V 2>/dev/null)"

fingerprint=$(
  {{
    printf '%s\\n' "$key" "$content" "$cargo"
    cargo ${{toolchain:+"+$toolchain"}} -vV
    rustc ${{toolchain:+"+$toolchain"}} -vV
    cat "${{CARGO_HOME:-$HOME/.cargo}}/config.toml" "${{CARGO_HOME:-$HOME/.cargo}}/config"
    # Of the session itself, what differs from one to the next.
    env | grep -v -E '^(SSH_|XDG_|DBUS_|PWD=|OLDPWD=|SHLVL=|_=)' | sort
  }} 2>/dev/null | sha256sum | cut -c 1-64
)
record=$here/builds/$name
if [ "$force" = 0 ] && grep -q -F "\\"fingerprint\\":\\"$fingerprint\\"" "$record.json" 2>/dev/null &&
    {{ [ -f "$record.sha256" ] && [ ! -s "$record.sha256" ] ||
      sha256sum --check --status "$record.sha256" 2>/dev/null; }} &&
    [ -z "$(find "$here/repo" -newer "$record.json" -print -quit 2>&1)" ]; then
  sed 's/^\\\\//; s/ .*//; s/^/@digest /' "$record.sha256"
  printf '@record '
  cat "$record.json"
  exit 0
fi
printf '@fingerprint %s\\n@content %s\\n' "$fingerprint" "$content"
lock=$PWD
while [ ! -f "$lock/Cargo.lock" ] && [ "$lock" != "$here/repo" ]; do lock=${{lock%/*}}; done
printf '@packages %s\\n' "$(grep -c '^\\[\\[package\\]\\]' "$lock/Cargo.lock" 2>/dev/null)"
if [ -n "$tool" ]; then
  setsid sh -c "$supervisor" sltfleet-build cargo "$@"
else
  setsid sh -c "$supervisor" sltfleet-build "$@" >&2
fi
printf '\\n@exit %s\\n' "$?"
"""
)

_SEAL_BODY = (
    _ENTER
    + f"""\
name=$1; built_from=$2; shift 2
[ "$content" = "$built_from" ] || exit {CHANGED_CODE}
for binary; do [ -f "$binary" ] || exit {NO_BINARY_CODE}; done
mkdir -p builds && cd builds || exit 1
: >"$name.sha256.new"
[ "$#" = 0 ] || sha256sum -- "$@" >"$name.sha256.new" || exit {NO_BINARY_CODE}
put_record "$name.json.new" && mv "$name.sha256.new" "$name.sha256" && mv "$name.json.new" "$name.json" || exit 1
sed 's/^\\\\//; s/ .*//; s/^/@digest /' "$name.sha256"
"""
)


@dataclass(frozen=True)
class BuiltSuite:
    """A suite that is ready to run on one host.

    `binary`, `project_root` and `repo` are absolute there, `package_dir` is relative to the repo ("" for the repo
    itself); `digest` is the binary's SHA-256 in hex; `commit` and `dirty_digest` are those of the last sync. `cached`:
    nothing had changed, and cargo was not even started. Of libtest suites `binaries` has the executables; `binary` is
    "" there, and where nothing was built: then `digest` is made of all digests, or of the synced content.
    """

    host: str
    suite: str
    binary: str
    digest: str
    package: str
    package_dir: str
    commit: str
    dirty_digest: str
    toolchain: str
    project_root: str
    repo: str
    cached: bool
    duration_s: float
    binaries: tuple[LibtestBinary, ...] = ()


@dataclass(frozen=True)
class BuildRecord:
    """What the last build of a suite made, and from what: `builds/SUITE.json`. `duration_s` is that of the build."""

    fingerprint: str
    suite: str
    artifacts: tuple[Artifact, ...]
    toolchain: str
    duration_s: float


@dataclass(frozen=True)
class CommandBuild:
    """Another command than cargo, run in the repo; without words nothing is built. `output` is relative to the repo."""

    command: tuple[str, ...] = ()
    output: str | None = None


def build_script(
    paths: HostPaths, suite: str, build: CargoBuild | CommandBuild, environment: Mapping[str, str], *, force: bool
) -> Script:
    """Return the script that builds, unless nothing has changed.

    Names of variables are names (config.load has seen to it).
    """
    if isinstance(build, CargoBuild):
        tool, folder, toolchain, arguments = "cargo", build.folder, build.toolchain or "", cargo_arguments(build)
    else:
        tool, folder, toolchain, arguments = "", ".", "", list(build.command)
    variables = [f"{name}={value}" for name, value in sorted(environment.items())]
    # The format of the record is in the key: one of another version is not taken for what was built.
    key = json.dumps([2, tool, folder, arguments, variables])
    head = (paths.root, paths.project, suite, key, "1" if force else "0", folder)
    words = (toolchain, _SUPERVISOR, tool, str(len(variables)), *variables, *arguments)
    return Script(_BUILD_BODY, (*head, *words), watched=True)


def seal_script(paths: HostPaths, record: BuildRecord, content_id: str) -> Script:
    """Return the script that remembers a build, unless `content_id` is no longer the repo's, and prints the digests."""
    text = to_text(record).encode("ascii") + b"\n"
    binaries = (artifact.executable for artifact in record.artifacts)
    args = (paths.root, paths.project, record.suite, content_id, *binaries)
    return Script(_SEAL_BODY, args, files=(("record", text),))


@dataclass
class BuildAnswer:
    """What the scripts say in their own lines, which begin with `@`; all other lines are cargo's."""

    project: str = ""
    toolchain: str = ""
    fingerprint: str = ""
    content: str = ""
    packages: int | None = None
    sync: SyncRecord | None = None
    digests: list[str] = field(default_factory=list)
    exit_code: int | None = None
    record: BuildRecord | None = None
    problems: list[str] = field(default_factory=list)

    def feed(self, line: str) -> bool:
        """Take in a line; False where it is not one of the script's."""
        name, _, value = line.partition(" ")
        if name == "@project":
            self.project = value
        elif name == "@toolchain":
            self.toolchain = value
        elif name == "@sync":
            self.sync = record_from_json(value)
        elif name == "@fingerprint":
            self.fingerprint = value
        elif name == "@content":
            self.content = value
        elif name == "@packages":
            self.packages = int(value) if _NUMBER.match(value) and value != "0" else None
        elif name == "@digest":
            self.digests += [value] if _DIGEST.match(value) else []
        elif name == "@exit":
            self.exit_code = int(value) if _NUMBER.match(value) else None
        elif name == "@record":
            self._read_record(value)
        else:
            return False
        return True

    def _read_record(self, value: str) -> None:
        try:
            self.record = decode(BuildRecord, json.loads(value))
        except (ValueError, RecursionError, DecodeError) as error:
            self.problems.append(f"the record of the last build is damaged: {error}")
