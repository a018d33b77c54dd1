#!/usr/bin/env bash
# Installs what Nightjar needs on a Debian machine: packaging/setup.sh [build|test]
#   build   libraries and headers to build the agent (the default)
#   test    also what the tests use: sqlite3, prometheus, systemd-container, mmdebstrap, …
# Does nothing where all of it is there. Needs root only if something is missing.
set -euo pipefail

build_packages=(libsystemd-dev libsqlite3-dev pkg-config)
test_packages=(sqlite3 zstd btrfs-progs e2fsprogs systemd systemd-container mmdebstrap prometheus python3 iproute2 curl procps util-linux libjemalloc2 libmimalloc2.0 libtcmalloc-minimal4)

wanted=("${build_packages[@]}")
if [ "${1:-build}" = test ]; then wanted+=("${test_packages[@]}"); fi

missing=()
for package in "${wanted[@]}"; do
    if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -x installed >/dev/null; then
        missing+=("$package")
    fi
done
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing packages, run as root: apt-get install ${missing[*]}" >&2
    exit 3
fi

# Installing libsystemd-dev may upgrade systemd itself, and without an init dpkg has been seen to stop half way for
# want of its temporary folder. A folder of our own and one repair bring it through.
work=$(mktemp -d /var/tmp/nightjar-apt.XXXXXX)
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work DEBIAN_FRONTEND=noninteractive
# Where there is no init, no package may start its services.
policy=/usr/sbin/policy-rc.d
if [ ! -d /run/systemd/system ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -rf "$work" "$policy"' EXIT
fi

install() {
    apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
}
echo "setup: installing ${missing[*]}"
apt-get update -q -o DPkg::Lock::Timeout=300 >/dev/null
if ! install >"$work/log" 2>&1; then
    apt-get -y -q --fix-broken install >>"$work/log" 2>&1 || true
    if ! install >>"$work/log" 2>&1; then
        cat "$work/log" >&2
        echo "setup: cannot install ${missing[*]}" >&2
        exit 3
    fi
fi
