#!/usr/bin/env bash
# Shows the whole way once: a throw-away Samba that takes nothing unencrypted, an ordinary user who mounts its
# share, a tree copied in and out and compared. Everything it makes, it removes again; the exit code tells.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
PATH="$PATH:/usr/sbin:/sbin"

# As long as the key of an Azure storage account, and made anew each time.
key=$(head -c 64 /dev/urandom | base64 -w 0)
user_of_server=demo
address="127.$((RANDOM % 190 + 32)).$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1))"
port=4445
demo_user=sharefs-demo

lab=$(mktemp -d "${TMPDIR:-/tmp}/sharefs-demo-XXXXXX")
# smbd and the ordinary user both work below it.
chmod 0755 "$lab"
point=$lab/home/share
smbd_pid=
made_user=
rows=()

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}
is_root() { [ "$(id -u)" = 0 ]; }

# As the ordinary user, who sees nothing of root's environment.
as_user() {
    local environment=(HOME="$lab/home" XDG_RUNTIME_DIR="$lab/home/run" PATH="$PATH" LC_ALL=C.UTF-8)
    if is_root; then
        (cd "$lab/home" && setpriv --reuid "$uid" --regid "$gid" --clear-groups env -i "${environment[@]}" "$@")
    else
        (cd "$lab/home" && env -i "${environment[@]}" "$@")
    fi
}

clean_up() {
    local code=$?
    trap - EXIT INT TERM
    if grep -q " $point " /proc/self/mountinfo; then
        as_user "$lab/sharefs" umount "$point" || as_user fusermount3 -u -z "$point" || code=1
    fi
    if [ -n "$smbd_pid" ]; then
        # The group of the server that was started here, and nothing else.
        kill -KILL -- "-$smbd_pid" 2>/dev/null || true
        wait "$smbd_pid" 2>/dev/null || true
    fi
    if [ "$code" != 0 ]; then
        tail -n 20 "$lab/smbd/log/"* "$lab"/home/run/sharefs/*.log 2>/dev/null >&2 || true
    fi
    [ -z "$made_user" ] || userdel "$made_user" || code=1
    if grep -q " $point " /proc/self/mountinfo; then
        printf 'demo: %s is still mounted; %s is left as it is\n' "$point" "$lab" >&2
    else
        rm -rf -- "$lab"
    fi
    [ "$code" = 0 ] && printf 'demo: all is well\n' || printf 'demo: FAILED\n' >&2
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# timed NAME BYTES FILES COMMAND...: runs it and notes how fast it was.
timed() {
    local name=$1 bytes=$2 files=$3 start end
    shift 3
    start=$(date +%s%N)
    "$@"
    end=$(date +%s%N)
    rows+=("$(awk -v n="$name" -v b="$bytes" -v f="$files" -v t=$((end - start)) 'BEGIN {
        s = t / 1e9
        speed = b > 0 ? sprintf("%.0f MB/s, %.0f files/s", b / 1e6 / s, f / s) : ""
        printf "%-34s %8.2f s   %s", n, s, speed
    }')")
}

# The checksums of all files below a directory, without their names: the server's disk has other names for what
# SMB forbids in a name.
sums() { (cd "$1" && find . -type f -print0 | xargs -0 sha256sum -z | tr '\0' '\n' | cut -d' ' -f1 | sort); }
# The same with names.
named_sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum -z | tr '\0' '\n'); }

make_user() {
    if is_root; then
        if ! id "$demo_user" >/dev/null 2>&1; then
            useradd --no-create-home --home-dir "$lab/home" --shell /bin/bash "$demo_user"
            made_user=$demo_user
        fi
        uid=$(id -u "$demo_user") gid=$(id -g "$demo_user")
    else
        demo_user=$(id -un) uid=$(id -u) gid=$(id -g)
    fi
    mkdir -p "$lab/home/run" "$point"
    (umask 077 && printf 'username=%s\ndomain=AZURE\npassword=%s\n' "$user_of_server" "$key" >"$lab/home/credentials")
    chmod 0700 "$lab/home/run"
    ! is_root || chown -R "$uid:$gid" "$lab/home"
}

start_samba() {
    local d=$lab/smbd owner=$uid
    mkdir -p "$d"/{private,lock,state,cache,run,ncalrpc,log,share}
    ! is_root || chown "$uid:$gid" "$d/share"
    # For nss_wrapper, so that the server's user need not be one of this machine's.
    printf '%s:x:%s:%s::/:/bin/false\nnobody:x:%s:%s::/:/bin/false\nroot:x:0:0::/:/bin/false\n' \
        "$user_of_server" "$owner" "$gid" "$owner" "$gid" >"$d/passwd"
    printf '%s:x:%s:\nroot:x:0:\n' "$user_of_server" "$gid" >"$d/group"
    cat >"$d/smb.conf" <<END
[global]
  server role = standalone server
  workgroup = AZURE
  netbios name = SHAREFSDEMO
  smb ports = $port
  interfaces = $address/8
  bind interfaces only = yes
  disable netbios = yes
  server min protocol = SMB3_11
  server smb encrypt = required
  server smb3 encryption algorithms = AES-256-GCM, AES-128-GCM
  ntlm auth = ntlmv2-only
  smb2 max read = 1048576
  smb2 max write = 1048576
  smb2 max trans = 1048576
  private dir = $d/private
  lock directory = $d/lock
  state directory = $d/state
  cache directory = $d/cache
  pid directory = $d/run
  ncalrpc dir = $d/ncalrpc
  passdb backend = tdbsam:$d/private/passdb.tdb
  logging = file
  log file = $d/log/smbd.log
  max log size = 0
  load printers = no
  disable spoolss = yes
  printcap name = /dev/null
  usershare path =
[files]
  path = $d/share
  read only = no
END
    local wrapper=(LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD="$d/passwd" NSS_WRAPPER_GROUP="$d/group")
    printf '%s\n%s\n' "$key" "$key" | env "${wrapper[@]}" pdbedit -s "$d/smb.conf" -t -a -u "$user_of_server" >/dev/null
    # A group of its own, with which it is ended.
    setsid env "${wrapper[@]}" smbd -F --no-process-group -l "$d/log" -s "$d/smb.conf" \
        </dev/null >"$d/log/output" 2>&1 &
    smbd_pid=$!
    local attempt
    for attempt in $(seq 200); do
        kill -0 "$smbd_pid" 2>/dev/null || fail "Samba ended at its start"
        if (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; then return; fi
        sleep 0.05
    done
    fail "Samba does not listen"
}

make_tree() {
    local d=$lab/home/tree i
    mkdir -p "$d"/{large,small/{a,b,c}/{x,y,z},"odd names"}
    for i in 1 2 3; do head -c 64M /dev/urandom >"$d/large/$i.bin"; done
    for i in $(seq 300); do
        head -c $((i * 97 % 20000)) /dev/urandom >"$d/small/$(printf 'abc' | cut -c$((i % 3 + 1)))/$(printf 'xyz' | cut -c$((i / 3 % 3 + 1)))/$i"
    done
    for i in 'a: b?' 'star*' 'quote"s' 'back\slash' 'Ünïcödé 日本語 😀' 'ends in dot.' 'ends in blank ' '-n'; do
        printf '%s' "$i" >"$d/odd names/$i"
    done
    : >"$d/odd names/empty"
    ! is_root || chown -R "$uid:$gid" "$d"
    tree=$d
    files=$(find "$d" -type f | wc -l)
    bytes=$(find "$d" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')
}

mount_share() {
    as_user "$lab/sharefs" mount "//$address/files" "$point" -o "port=$port,credentials=$lab/home/credentials"
    grep -q " $point " /proc/self/mountinfo || fail "nothing is mounted"
}

say 'Building sharefs'
scripts/setup.sh run
cargo build --release -p sharefs
# From where the ordinary user can run it.
install -m 0755 "${CARGO_TARGET_DIR:-target}/release/sharefs" "$lab/sharefs"

say 'Making an ordinary user and a Samba that requires encryption'
make_user
start_samba
make_tree
printf 'user %s (%s) of this machine; AZURE\\%s with a key of %s characters on //%s/files port %s\n' \
    "$demo_user" "$uid" "$user_of_server" "${#key}" "$address" "$port"
printf 'a tree of %s files, %s MB\n' "$files" $((bytes / 1000000))

say 'Mounting as the ordinary user, copying in'
timed 'mount' 0 0 mount_share
timed 'cp -r into the share' "$bytes" "$files" as_user cp -r "$tree" "$point/tree"
as_user "$lab/sharefs" status
# The second mount has no cache of the first: what is read comes from the server.
timed 'umount (everything is written)' 0 0 as_user "$lab/sharefs" umount "$point"
[ "$(sums "$tree")" = "$(sums "$lab/smbd/share/tree")" ] || fail 'the server has not what was copied'

say 'Mounting again, copying out'
timed 'mount' 0 0 mount_share
timed 'cp -r out of the share' "$bytes" "$files" as_user cp -r "$point/tree" "$lab/home/copy"
timed 'find on the share' 0 0 as_user find "$point" -ls >/dev/null
[ "$(named_sums "$tree")" = "$(named_sums "$lab/home/copy")" ] || fail 'what came back is not what was copied'
timed 'rm -r on the share' 0 0 as_user rm -r "$point/tree"
timed 'umount' 0 0 as_user "$lab/sharefs" umount "$point"
[ -z "$(ls -A "$lab/smbd/share")" ] || fail 'the share is not empty'

say 'What was done'
printf '%s\n' "${rows[@]}"
printf '%-34s %8s     %s\n' 'checksums compared' "$files" 'source, server, copy: equal'
