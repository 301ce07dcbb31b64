# What the tests use and no package of this machine's own release has. It goes into a cache directory, so that
# nothing of it is installed and a second run is instant. Sourced by setup.sh; `tests/src/lab.rs` looks there.

lab=${SHAREFS_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/sharefs-lab}

# With directory leases and POSIX extensions, which the Samba of Debian 12 has not.
newer_samba_version=4.22
newer_samba_packages=(
    samba samba-common-bin samba-libs samba-vfs-modules smbclient
    libsmbclient libldb2 libtdb1 libtalloc2 libtevent0 libwbclient0
)

# Cargo's package and the version that the tests' expectations were written for.
lab_tools=(pjdfstest@0.2.2 fsx@0.3.2)

# A machine that boots systemd in a container, for the tests of what comes back after a reboot.
machine_packages=(
    systemd systemd-sysv udev dbus dbus-user-session libpam-systemd login passwd procps iproute2 kmod fuse3
    cron samba smbclient
)

# apt with sources and state of its own: nothing of the machine's is read or changed but its keys.
private_apt() {
    local state=$1
    shift
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 \
        -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" \
        -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User="$(id -un)" "$@" </dev/null
}

# The mirror of this machine's release that it uses anyway; sets `codename` and `mirror`.
find_mirror() {
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$codename" '$1 == codename && $2 == "main" { print $3; exit }')
    [ -n "$mirror" ] || fail "apt knows no mirror of $codename; run: apt-get update"
}

# A newer Samba, unpacked; the tests lay it over /usr in a mount namespace of their own.
newer_samba() {
    local target=$lab/samba-$newer_samba_version state codename mirror suite package
    [ -x "$target/usr/sbin/smbd" ] && return
    have apt-get && have dpkg-deb || fail "Samba $newer_samba_version is fetched from Debian's archive; this is no Debian"
    find_mirror
    suite=$codename
    [ "$codename" != bookworm ] || suite=bookworm-backports

    say "fetching Samba $newer_samba_version from $suite"
    mkdir -p "$lab"
    state=$(mktemp -d "$lab/fetch-XXXXXX")
    mkdir -p "$state"/{lists/partial,cache/archives/partial,debs,tree}
    printf 'deb %s %s main\n' "$mirror" "$suite" >"$state/sources.list"
    retry private_apt "$state" update
    (cd "$state/debs" && retry private_apt "$state" download "${newer_samba_packages[@]}")
    for package in "$state"/debs/*.deb; do
        dpkg-deb -x "$package" "$state/tree"
    done
    [ -x "$state/tree/usr/sbin/smbd" ] || fail "the packages of $suite hold no smbd"
    # Whoever the server runs as must be able to read it.
    chmod -R go+rX "$state/tree"
    # Last, and in one step: what is there is whole.
    mv -T "$state/tree" "$target"
    rm -rf -- "$state"
}

# The root file system of that machine. Root only, as its tests are: it is their owners' and root's files.
machine_tree() {
    local target=$lab/machine-1 packages state codename mirror
    is_root || return 0
    [ -d "$target" ] && return
    find_mirror
    say "making a small $codename to boot (a minute)"
    mkdir -p "$lab"
    state=$(mktemp -d "$lab/fetch-XXXXXX")
    packages=$(IFS=, && printf '%s' "${machine_packages[*]}")
    retry mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" "$codename" "$state/tree" \
        "deb $mirror $codename main" </dev/null
    # It gets an identity of its own when it first boots, and fetches and serves nothing by itself.
    : >"$state/tree/etc/machine-id"
    rm -f "$state/tree"/etc/systemd/system/*.target.wants/{apt-*,fstrim*,e2scrub*,dpkg-*}
    local unit
    for unit in samba-ad-dc nmbd apt-daily apt-daily-upgrade; do
        ln -sf /dev/null "$state/tree/etc/systemd/system/$unit.service"
    done
    rm -rf "$state/tree"/var/cache/apt/archives/*.deb "$state/tree"/usr/share/{doc,man,locale}
    mv -T "$state/tree" "$target"
    rm -rf -- "$state"
}

# Programs of the crate registry that only the tests need.
lab_programs() {
    local tool missing=()
    for tool in "${lab_tools[@]}"; do
        grep -qs "^\"${tool%@*} ${tool#*@} " "$lab/tools/.crates.toml" || missing+=("$tool")
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing ${missing[*]} (some minutes: they are compiled)"
    retry env -u CARGO_TARGET_DIR cargo install --locked --root "$lab/tools" "${missing[@]}"
}

# Whom pjdfstest plays besides nobody; an ordinary user's run needs no one.
lab_user() {
    ! is_root || id tests >/dev/null 2>&1 || useradd --no-create-home --user-group --shell /usr/sbin/nologin tests
}
