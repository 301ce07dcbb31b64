#!/usr/bin/env bash
# Installs what building, testing and the demo need and this machine lacks.
#
#   scripts/setup.sh [run] [test] [check] [bench] [fuzz] [deb] [musl]
#
#   run    to build and mount: a linker, FUSE, Samba as the server of the demo
#   test   what the tests use besides; some of it goes into a cache directory (see lab.sh)
#   check  what `make check` uses besides
#   bench  the rivals of `make bench`
#   fuzz   what `make fuzz` uses
#   deb    what `make deb` uses
#   musl   what `make musl` uses
#
# Without arguments: all of them. Root gets missing packages installed through apt; an ordinary user is told what
# root must do. Cargo's tools are installed for whoever runs this.
set -euo pipefail
# shellcheck source=scripts/lab.sh
. "$(dirname "$0")/lab.sh"

# A linker, servers, file systems: name of the program, then its package on Debian.
run_programs=(
    cc:gcc
    fusermount3:fuse3
    smbd:samba
    pdbedit:samba
    setpriv:util-linux
)
test_programs=(
    git:git
    rsync:rsync
    sqlite3:sqlite3
    tar:tar
    find:findutils
    ps:procps
    python3:python3
    bash:bash
    unshare:util-linux
    fio:fio
    stress-ng:stress-ng
    dbench:dbench
    dbus-run-session:dbus-daemon
    gnome-keyring-daemon:gnome-keyring
    secret-tool:libsecret-tools
    make:make
    dpkg-shlibdeps:dpkg-dev
)
# What boots a machine, which only root may.
machine_programs=(
    mmdebstrap:mmdebstrap
    systemd-nspawn:systemd-container
)

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup: $*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
# Servers are in sbin, which is not on everybody's PATH.
have() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

# What a mirror or a lock refuses once, it mostly grants the next time.
retry() {
    local attempt
    for attempt in 1 2 3 4; do
        "$@" && return
        say "attempt $attempt of '$1' failed; trying again"
        sleep $((attempt * 5))
    done
    "$@"
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600 "$@" </dev/null
}

packages() {
    local entry missing=()
    for entry in "$@"; do
        have "${entry%%:*}" || missing+=("${entry#*:}")
    done
    # A library has no program to look for.
    ldconfig_paths=$(PATH="$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null || true)
    case $ldconfig_paths in
        *libnss_wrapper.so*) ;;
        *) missing+=(libnss-wrapper) ;;
    esac
    # Nor has a library of Debian's Python, which need not be the first python3 on the PATH.
    case " $* " in
        *" python3:python3 "*)
            /usr/bin/python3 -c 'import impacket' 2>/dev/null || missing+=(python3-impacket)
            ;;
    esac
    [ ${#missing[@]} = 0 ] && return
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    have apt-get || fail "missing, and there is no apt to install them: ${missing[*]}"
    if ! is_root; then
        fail "root must run: apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing ${missing[*]}"
    retry apt update
    retry apt --no-install-recommends install "${missing[@]}"
}

fuse_device() {
    if [ ! -e /dev/fuse ]; then
        is_root || fail "/dev/fuse is missing; root must run: modprobe fuse"
        PATH="$PATH:/usr/sbin:/sbin" modprobe fuse || true
        [ -e /dev/fuse ] || fail "/dev/fuse is missing, and loading the module fuse does not make it"
    fi
    # fusermount3 opens it with the rights of the user who calls it.
    if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
        if is_root; then
            say "opening /dev/fuse to ordinary users"
            chmod 0666 /dev/fuse
        elif [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
            fail "/dev/fuse is closed; root must run: chmod 0666 /dev/fuse"
        fi
    fi
}

rust() {
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        fail "cargo is not on the PATH; run: . \"$HOME/.cargo/env\""
    fi
    have cargo || fail "Rust is missing: install rustup (the Rust project's installer), then run this again"
}

cargo_tool() {
    local program=$1
    have "$program" && return
    say "installing $program (some minutes: it is compiled)"
    # A target directory that is set for the project is not to be filled with other programs' parts.
    retry env -u CARGO_TARGET_DIR cargo install --locked "$program"
}

rust_component() {
    have rustup || fail "$1 is missing, and there is no rustup to install it with"
    say "installing the Rust component $1"
    retry rustup component add "$1"
}

rust_target() {
    rustup target list --installed | grep -q "^$1\$" && return
    say "installing Rust's library for $1"
    retry rustup target add "$1"
}

main() {
    local parts=("$@") part programs=()
    [ ${#parts[@]} -gt 0 ] || parts=(run test check)
    for part in "${parts[@]}"; do
        case $part in
            run) programs+=("${run_programs[@]}") ;;
            test)
                programs+=("${run_programs[@]}" "${test_programs[@]}")
                ! is_root || programs+=("${machine_programs[@]}")
                ;;
            check | fuzz | musl) programs+=(cc:gcc) ;;
            deb) programs+=(cc:gcc dpkg-shlibdeps:dpkg-dev) ;;
            bench) programs+=(smbclient:smbclient time:time smbnetfs:smbnetfs) ;;
            *) fail "unknown part: $part" ;;
        esac
    done
    packages "${programs[@]}"
    rust
    for part in "${parts[@]}"; do
        case $part in
            run) fuse_device ;;
            test)
                fuse_device
                cargo_tool cargo-nextest
                cargo_tool cargo-deb
                newer_samba
                machine_tree
                lab_programs
                lab_user
                ;;
            check)
                cargo fmt --version >/dev/null 2>&1 || rust_component rustfmt
                cargo clippy --version >/dev/null 2>&1 || rust_component clippy
                ! have rustup || rust_target x86_64-pc-windows-gnu
                cargo_tool cargo-deny
                ;;
            deb) cargo_tool cargo-deb ;;
            musl)
                have rustup || fail "a Rust library for musl is missing, and there is no rustup to install it with"
                rust_target x86_64-unknown-linux-musl
                ;;
            fuzz)
                if ! cargo +nightly --version >/dev/null 2>&1; then
                    have rustup || fail "a nightly Rust is missing, and there is no rustup to install it with"
                    say "installing a nightly Rust, which cargo-fuzz needs"
                    retry rustup toolchain install nightly --profile minimal
                fi
                cargo_tool cargo-fuzz
                ;;
        esac
    done
}

main "$@"
