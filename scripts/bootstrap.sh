# shellcheck shell=bash
# Sourced by the other scripts here: makes .venv, and sees to the programs that sltfleet needs on this machine.
# Leaves behind .venv, and Debian packages where they were missing and apt may install them.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "error: $1"
    shift
    for line in "$@"; do say "  next: $line"; done
    exit 1
}

# Prints the first python3 that is new enough and can make virtual environments.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.10; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# may_install: whether apt-get is there and may be used. Sets APT to the command.
may_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then
        APT=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    elif sudo -n true 2>/dev/null; then
        APT=(sudo -n env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120)
    else
        return 1
    fi
}

# install_missing PACKAGE…: by apt where that may be, otherwise it says what to type.
install_missing() {
    [ $# -gt 0 ] || return 0
    may_install || fail "missing on this machine: $*" "install them, on Debian: sudo apt-get install $*"
    say "installing: $*"
    local log
    log=$(mktemp)
    if ! { "${APT[@]}" -qq update && "${APT[@]}" -qq -y install --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install: $*" "read what it said above, and install them by hand"
    fi
    rm -f "$log"
}

# A rustup shim without a toolchain is on the PATH and does not work: only a run tells.
cargo_works() { cargo --version >/dev/null 2>&1; }

# Where HOME is not the account's own, rustup looks for its toolchains in the wrong place.
use_account_toolchain() {
    local home
    home=$(getent passwd "$(id -u)" | cut -d: -f6)
    if [ -z "${RUSTUP_HOME:-}" ] && [ -d "$home/.rustup/toolchains" ]; then
        RUSTUP_HOME=$home/.rustup cargo --version >/dev/null 2>&1 && export RUSTUP_HOME=$home/.rustup
    fi
}

# Debian's plain cargo is often too old; cargo-web, made for building browsers, is a recent one.
cargo_packages() {
    case $(apt-cache policy cargo-web 2>/dev/null) in
        *"Candidate: "[0-9]*) printf 'cargo-web rustc-web\n' ;;
        *) printf 'cargo rustc\n' ;;
    esac
}

ensure_cargo() {
    local packages
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    cargo_works || use_account_toolchain || true
    cargo_works && return
    may_install && "${APT[@]}" -qq update >/dev/null 2>&1
    read -ra packages <<<"$(cargo_packages)"
    install_missing "${packages[@]}"
    # Before a shim that does not work.
    PATH=/usr/bin:$PATH
    cargo_works || fail "cargo does not work" "install Rust: https://www.rust-lang.org/tools/install"
}

ensure_programs() {
    local missing=()
    command -v ssh >/dev/null && command -v ssh-keygen >/dev/null || missing+=(openssh-client)
    [ -x /usr/sbin/sshd ] || command -v sshd >/dev/null || missing+=(openssh-server)
    command -v rsync >/dev/null || missing+=(rsync)
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v git >/dev/null || missing+=(git)
    install_missing "${missing[@]}"
    ensure_cargo
}

# What the tests need beyond that: a Redis for the shared queue, and network namespaces for networks that break.
ensure_test_programs() {
    local missing=()
    command -v redis-server >/dev/null || missing+=(redis-server)
    command -v ip >/dev/null || missing+=(iproute2)
    install_missing "${missing[@]}"
}

# ensure_venv LOCK: .venv with sltfleet and what requirements/LOCK.txt names, each file checked by its hash; remade only when
# pyproject.toml or the lock has changed. Nothing is built from anything that is not in the lock.
ensure_venv() {
    local lock=requirements/$1.txt python stamp
    stamp=.venv/sltfleet-$(printf '%s %s' "$1" "$PWD" | cat - pyproject.toml "$lock" | cksum | tr ' ' '-')
    [ -e "$stamp" ] && return
    python=$(find_python) || {
        install_missing python3 python3-venv
        python=$(find_python) || fail "Python 3.10 or newer with venv is missing" "install it, and run this again"
    }
    say "making .venv with $("$python" --version)"
    if ! .venv/bin/python -c '' 2>/dev/null; then "$python" -m venv --clear .venv; fi
    local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" --require-hashes --requirement "$lock" ||
        fail "pip could not install sltfleet's dependencies" "read what it said above; is the package index reachable?"
    "${pip[@]}" --no-deps --no-build-isolation --editable . || fail "pip could not install sltfleet" "read what it said above"
    touch "$stamp"
}
