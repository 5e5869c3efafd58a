"""The probe's shell text, which runs on the hosts; `core.probe` gives it its arguments and parses what it prints.

It needs `sh` and nothing else: every tool beyond it may be missing (busybox, a bare container) and then is a fact. It
changes nothing but a temporary folder of its own, which it removes. Values of /proc/sys are read by `cat`: some of them
give a shell, which reads byte by byte, only their first one.
"""

from __future__ import annotations

from sltfleet.core.shell import ROOT_PRELUDE

#: `say KEY FIELD…` prints a line; tabs and newlines inside a field become spaces. `limited` runs a program for 20 s at
#: most, so that one that hangs costs one fact.
_HELPERS = r"""
tab=$(printf '\t')
newline='
'
say() {
  line=$1; shift
  for field in "$@"; do
    set -f; IFS=$tab$newline
    set -- $field
    IFS=' '
    line=$line$tab$*
    unset IFS; set +f
  done
  printf '%s\n' "$line"
}
first_line() { printf '%s' "${1%%"$newline"*}"; }
lines() {
  [ -r "$2" ] || return 0
  while IFS= read -r text || [ -n "$text" ]; do
    case $text in ${3:-*}) say "$1" "$text" ;; esac
  done 2>/dev/null <"$2"
}
if timeout 20 true 2>/dev/null; then limited() { timeout 20 "$@"; }; else limited() { "$@"; }; fi
have() { for name in "$@"; do path=$(command -v "$name") && say have "$name" "$path"; done; }
scratch=$(mktemp -d 2>/dev/null) && trap 'rm -rf -- "$scratch"' EXIT
"""

_SYSTEM = r"""
say clock "$(date +%s.%N)"
say system "$(uname -s)" "$(uname -r)" "$(uname -m)"
lines release /etc/os-release 'ID=*'
lines release /etc/os-release 'PRETTY_NAME=*'
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || for file in /lib/ld-musl-*; do [ -e "$file" ] && libc=musl; done
say libc "$libc"
say boot "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)"
user=$(id -un)
say user "$user" "$(id -u)" "$HOME"
limited sudo -n true >/dev/null 2>&1 && say sudo yes
lines load /proc/loadavg
lines memory /proc/meminfo 'Mem*'
lines status /proc/self/status 'Cpus_allowed_list:*'
lines online /sys/devices/system/cpu/online
lines limit /proc/self/limits 'Max [po]*'
say pid_max "$(cat /proc/sys/kernel/pid_max 2>/dev/null)"
upwards() {
  base=$1; path=${2%/}; shift 2
  while [ -d "$base" ]; do
    for pair in "$@"; do lines "${pair%=*}" "$base$path/${pair#*=}"; done
    [ -n "$path" ] || break
    path=${path%/*}
  done
}
if [ -r /proc/self/cgroup ]; then
  while IFS=: read -r number controllers path; do
    for top in /sys/fs/cgroup "/sys/fs/cgroup/${controllers:-unified}"; do
      case ,$controllers, in
        ,,) upwards "$top" "$path" cpu_max=cpu.max memory_max=memory.max tasks_max=pids.max ;;
        *,cpu,*) upwards "$top" "$path" cpu_quota=cpu.cfs_quota_us cpu_period=cpu.cfs_period_us ;;
        *,memory,*) upwards "$top" "$path" memory_max=memory.limit_in_bytes ;;
        *,pids,*) upwards "$top" "$path" tasks_max=pids.max ;;
      esac
    done
  done </proc/self/cgroup
fi
if [ -d /run/systemd/seats ]; then
  for file in /usr/lib/systemd/logind.conf /etc/systemd/logind.conf /usr/lib/systemd/logind.conf.d/*.conf \
    /run/systemd/logind.conf.d/*.conf /etc/systemd/logind.conf.d/*.conf; do lines logind "$file" 'Kill*'; done
fi
[ -e "/var/lib/systemd/linger/$user" ] && say linger yes
limited systemctl --user show-environment >/dev/null 2>&1 && say user_manager yes
"""

_FOLDER = r"""
near=$root
while [ ! -e "$near" ]; do case $near in /*/*) near=${near%/*} ;; /*) near=/ ;; *) near=. ;; esac; done
state=absent; marker=
if [ -L "$root" ]; then state=link
elif [ -f "$root/$marker_name" ]; then state=marked; read -r marker <"$root/$marker_name"
elif [ -d "$root" ]; then state=unmarked
elif [ -e "$root" ]; then state=other; fi
writable=no; [ -d "$near" ] && [ -w "$near" ] && [ -x "$near" ] && writable=yes
say folder "$state" "$near" "$writable" "$marker"
disk=$(df -Pk "$near" 2>/dev/null) && say disk "${disk##*"$newline"}"
inodes=$(df -Pi "$near" 2>/dev/null) && say inodes "${inodes##*"$newline"}"
physical=$(cd -P "$near" 2>/dev/null && pwd -P)
if [ -r /proc/self/mounts ]; then
  while read -r device mount kind options rest; do
    mount=$(printf '%b' "$mount")
    case ${physical%/}/ in "${mount%/}"/*) say mount "$mount" "$kind" "$options" ;; esac
  done </proc/self/mounts
fi
"""

_PROGRAMS = r"""
have $utilities $others
for name in rsync pkg-config; do
  path=$(command -v "$name") && say have "$name" "$path" "$(first_line "$(limited "$path" --version 2>&1)")"
done
for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [ -s "$file" ] && say certificates "$file"
done
if [ -n "$scratch" ]; then
  : >"$scratch/one"; cp -al "$scratch/one" "$scratch/two" 2>/dev/null && say hard_links yes
  printf 'int main(void) { return 0; }\n' >"$scratch/probe.c"
fi
check='
import sys
missing = []
for name in sys.argv[1:]:
    try:
        __import__(name)
    except Exception:
        missing.append(name)
print("%d.%d.%d" % sys.version_info[:3] + " " + " ".join(missing))
'
seen=$newline
new() { case $seen in *"$newline$1$newline"*) return 1 ;; esac; seen=$seen$1$newline; [ -x "$1" ]; }
while [ "$1" != -- ]; do
  place=$1; shift
  case $place in
    '$PATH') path=$(command -v python3) ;;
    python3.*) path=$(command -v "$place") ;;
    *) path=$place/python3 ;;
  esac
  new "$path" && say python "$path" "$(limited "$path" -E -S -c "$check" $modules 2>/dev/null)"
done
for name in cc gcc clang; do
  path=$(command -v "$name") || continue
  output=$(limited "$path" -o "$scratch/probe" "$scratch/probe.c" 2>&1); status=$?
  say compiler "$name" "$path" "$status" "$(first_line "$output")"
done
shift
for place in "$@"; do
  case $place in
    '$CARGO_HOME/bin') [ -n "$CARGO_HOME" ] || continue; path=$CARGO_HOME/bin/cargo ;;
    '$PATH') path=$(command -v cargo) || continue ;;
    '~/'*) path=$HOME/${place#??}/cargo ;;
    *) path=$place/cargo ;;
  esac
  new "$path" || continue
  output=$(limited "$path" --version 2>&1); status=$?
  say cargo "$path" "$status" "$(first_line "$output")"
  rustup=${path%/*}/rustup
  new "$rustup" && say rustup "$rustup" "$(first_line "$(limited "$rustup" --version 2>/dev/null)")"
done
say end
"""

#: rustup would download a toolchain that is chosen but not installed, only to say its version.
_SETTINGS = """\
marker_name=$1 utilities=$2 others=$3 modules=$4 variables=$5; shift 5
while [ "$variables" -gt 0 ]; do export "$1"; shift; variables=$((variables - 1)); done
RUSTUP_AUTO_INSTALL=0; export RUSTUP_AUTO_INSTALL
"""

PROBE = ROOT_PRELUDE + _SETTINGS + _HELPERS + _SYSTEM + _FOLDER + _PROGRAMS
