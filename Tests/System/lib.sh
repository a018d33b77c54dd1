# Sourced by every script of this folder. Not a program.
#
# Environment understood by all of them:
#   NJ_CACHE   where built things are kept (rootfs, VM image, Python environment)
#              default: ${XDG_CACHE_HOME:-$HOME/.cache}/nightjar-tests
#   NJ_SLOW    integer factor on every time limit; 4 is right for a loaded two-core machine. default 1
set -euo pipefail
HERE=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
: "${NJ_CACHE:=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/nightjar-tests}"
: "${NJ_SLOW:=1}"
export NJ_CACHE NJ_SLOW

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "must run as root (namespaces, mounts)"; }

# need COMMAND:PACKAGE ...   stops with the apt line that installs all that is missing
need() {
    local pair missing=()
    for pair; do
        [ -n "$(PATH=$PATH:/usr/sbin:/sbin:/lib/systemd type -P "${pair%%:*}")" ] || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} = 0 ] || die "missing; run: apt-get install -y --no-install-recommends ${missing[*]}"
}

# programs_in DIR: the folder's real path, where the release programs are in it
programs_in() {
    [ -x "$1/nightjard" ] || die "no nightjard in '$1'; build it with packaging/build-release.sh and give .build-release/bin"
    readlink -f "$1"
}

# wait_for SECONDS WHAT COMMAND...   polls every 50 ms; never longer than SECONDS * NJ_SLOW
wait_for() {
    local limit=$(($1 * NJ_SLOW)) what=$2 end
    end=$((SECONDS + limit)); shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -le $end ] || die "gave up after ${limit} s waiting for: $what"
        sleep 0.05
    done
}


# the mount point of the cgroup v2 tree, wherever this machine has it
cgroup2_root() { findmnt -n -t cgroup2 -o TARGET | head -n 1; }
# cgroup1_dir CONTROLLER: our own directory in a v1 hierarchy, or nothing
cgroup1_dir() {
    local at path
    at=$(findmnt -n -t cgroup -O "$1" -o TARGET | head -n 1) || return 0
    path=$(awk -F: -v c="$1" '{n=split($2,a,","); for(i=1;i<=n;i++) if(a[i]==c) print $3}' /proc/self/cgroup)
    [ -z "$at" ] || [ -z "$path" ] || echo "$at${path%/}"
}
