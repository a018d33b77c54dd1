#!/usr/bin/env bash
# Installs Nightjar from this checkout, or removes it again.
#
#   packaging/install.sh [--bin-dir DIR] [--no-start]     builds a release (unless --bin-dir has one), installs, starts
#   packaging/install.sh --remove                         stops and removes; configuration and history stay
#   packaging/install.sh --remove --purge                 also removes configuration, history, logs and the user
#
#   --bin-dir DIR   take nightjard, nightjar, nightjar-inspect and nightjar-incident from DIR instead of building
#   --root DIR      install below DIR (for images and packages); nothing is started
#   --prefix DIR    where the programs go: DIR/bin (default /usr/local)
#   --no-start      install and enable, but do not start
#
# Leaves an edited /etc/nightjar/nightjar.conf alone. Running it again upgrades.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() { sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//'; }
fail() { echo "install: $1" >&2; exit "${2:-3}"; }

action=install bin_dir= root= prefix=/usr/local start=yes purge=no
while [ $# -gt 0 ]; do
    case $1 in
        --remove) action=remove ;;
        --purge) purge=yes ;;
        --bin-dir) bin_dir=${2:?--bin-dir needs a folder}; shift ;;
        --root) root=${2:?--root needs a folder}; shift ;;
        --prefix) prefix=${2:?--prefix needs a folder}; shift ;;
        --no-start) start=no ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown option '$1'" 2 ;;
    esac
    shift
done
[ "$purge" = no ] || [ "$action" = remove ] || fail "--purge goes with --remove" 2

programs=(nightjard nightjar nightjar-inspect nightjar-incident)
bin=$root$prefix/bin
unit=$root/etc/systemd/system/nightjard.service
sysusers=$root/usr/lib/sysusers.d/nightjar.conf
catalog=$root/usr/lib/systemd/catalog/nightjar.catalog
config=$root/etc/nightjar/nightjar.conf
man=$root$prefix/share/man

[ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "run as root (it writes $prefix/bin, /etc/nightjar and a systemd unit)"
# With --root nothing outside it is touched; without a running systemd there is nothing to tell.
has_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

install_files() {
    if [ -z "$bin_dir" ]; then
        "$here/build-release.sh"
        bin_dir=$here/../.build-release/bin
    fi
    for program in "${programs[@]}"; do
        [ -x "$bin_dir/$program" ] || fail "no $program in $bin_dir; build it with packaging/build-release.sh"
    done
    mkdir -p "$bin" "$(dirname "$unit")" "$(dirname "$sysusers")" "$(dirname "$catalog")" "$(dirname "$config")" \
        "$man/man1" "$man/man8"
    for program in "${programs[@]}"; do
        # Into place by rename, so that a running program keeps its file.
        install -m 755 "$bin_dir/$program" "$bin/.$program.new"
        mv -f "$bin/.$program.new" "$bin/$program"
    done
    sed "s|@bindir@|$prefix/bin|" "$here/systemd/nightjard.service" >"$unit"
    install -m 644 "$here/systemd/nightjar.sysusers" "$sysusers"
    install -m 644 "$here/nightjar.catalog" "$catalog"
    install -d -m 755 "$root/etc/nightjar/nightjar.conf.d"
    if [ -e "$config" ] && ! cmp -s "$config" "$here/nightjar.conf"; then
        install -m 644 "$here/nightjar.conf" "$config.new"
        echo "install: kept your $config; the new defaults are in $config.new"
    else
        install -m 644 "$here/nightjar.conf" "$config"
    fi
    install -m 644 "$here"/man/*.1 "$man/man1/"
    install -m 644 "$here"/man/*.8 "$man/man8/"
}

start_agent() {
    [ -z "$root" ] || return 0
    systemd-sysusers "$sysusers" 2>/dev/null || getent passwd nightjar >/dev/null ||
        useradd --system --home-dir /var/lib/nightjar --shell /usr/sbin/nologin --user-group nightjar
    journalctl --update-catalog >/dev/null 2>&1 || true
    if ! has_systemd; then
        echo "install: no systemd runs here; start the agent by hand: nightjard"
        return 0
    fi
    systemctl daemon-reload
    systemctl enable --quiet nightjard
    if [ "$start" = yes ]; then
        systemctl restart nightjard
        echo "install: nightjard runs; try: nightjar ps, nightjar doctor, nightjar drill leak"
    fi
}

remove() {
    if has_systemd; then
        systemctl disable --quiet --now nightjard 2>/dev/null || true
    fi
    for program in "${programs[@]}"; do rm -f "$bin/$program"; done
    rm -f "$unit" "$sysusers" "$catalog" "$man/man1/nightjar.1" "$man/man8/nightjard.8"
    if [ "$purge" = yes ]; then
        rm -rf "$root/etc/nightjar" "$root/var/lib/nightjar" "$root/var/log/nightjar"
        if [ -z "$root" ] && getent passwd nightjar >/dev/null; then userdel nightjar 2>/dev/null || true; fi
        if [ -z "$root" ] && getent group nightjar >/dev/null; then groupdel nightjar 2>/dev/null || true; fi
    fi
    if has_systemd; then
        systemctl daemon-reload
        systemctl reset-failed nightjard 2>/dev/null || true
    fi
    if [ -z "$root" ]; then journalctl --update-catalog >/dev/null 2>&1 || true; fi
    if [ "$purge" = no ]; then
        echo "install: removed; configuration (/etc/nightjar) and history (/var/lib/nightjar) stay; --purge takes them too"
    fi
}

case $action in
    install) install_files; start_agent ;;
    remove) remove ;;
esac
