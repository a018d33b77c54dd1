#!/bin/bash
# Builds a small Debian root tree with systemd, once, for systemd-box.sh.
# usage: rootfs.sh            prints the folder; does nothing when an up-to-date one is cached
#        rootfs.sh --force    builds anew
# Packages come from this machine's own apt sources (those whose Origin is this distribution).
# Rebuilt when the package list or the release changes, or when older than NJ_ROOTFS_DAYS (30).
# Measured: 30 s on a quiet two-core machine, 34-193 s on a loaded one; 230 MB on disk.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
need_root
need mmdebstrap:mmdebstrap flock:util-linux

PACKAGES=systemd,systemd-sysv,dbus,libsystemd0,libsqlite3-0,libgcc-s1,libstdc++6,zlib1g,libzstd1,procps,iproute2
PACKAGES+=,curl,kmod,udev,python3-minimal,python3,passwd,libcap2-bin,e2fsprogs,util-linux
. /etc/os-release
SUITE=${VERSION_CODENAME:?no VERSION_CODENAME in /etc/os-release}

OUT=$NJ_CACHE/rootfs
KEY=$(printf '%s\n' "$PACKAGES" "$SUITE" | sha256sum | cut -c1-16)
mkdir -p "$NJ_CACHE"
exec 9>"$NJ_CACHE/rootfs.lock"
flock -w $((600 * NJ_SLOW)) 9 || die "another build holds $NJ_CACHE/rootfs.lock"
if [ "${1:-}" != --force ] && [ "$(cat "$OUT.key" 2>/dev/null)" = "$KEY" ] &&
   [ -z "$(find "$OUT.key" -mtime +"${NJ_ROOTFS_DAYS:-30}")" ]; then
    echo "$OUT"; exit 0
fi

# One line a source, third-party archives left out.
SOURCES=$(apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
    awk -F'|' -v o="${ID^}" -v s="$SUITE" '$1==o && index($2,s)==1 && !seen[$3 $4 $5]++ { print "deb", $3, $4, $5 }')
[ -n "$SOURCES" ] || die "apt knows no ${ID^} $SUITE sources; run apt-get update first"

W=$(mktemp -d "$NJ_CACHE/rootfs-build.XXXX"); trap 'rm -rf "$W"' EXIT
chmod 755 "$W"
printf '%s\n' "$SOURCES" > "$W/sources.list"
# stdin must not be the caller's: mmdebstrap would read it
timeout -k 10 $((900 * NJ_SLOW)) mmdebstrap --quiet --variant=minbase --include="$PACKAGES" \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$SUITE" "$W/root.tar" "$W/sources.list" </dev/null >"$W/log" 2>&1 || { cat "$W/log" >&2; die "mmdebstrap failed"; }
mkdir "$W/root"
tar --numeric-owner -C "$W/root" -xpf "$W/root.tar"
[ -x "$W/root/lib/systemd/systemd" ] || die "the tree has no systemd"
rm -rf "$OUT"; mv "$W/root" "$OUT"; echo "$KEY" > "$OUT.key"
echo "$OUT"
