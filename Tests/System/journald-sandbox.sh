#!/usr/bin/env bash
# Runs a command beside a systemd-journald of its own, on a machine with or without systemd:
#
#     Tests/System/journald-sandbox.sh COMMAND [ARGUMENT…]
#
# In a private mount namespace the command finds a fresh /run, /dev and journal, and writable copies of the folders in
# which journald's configuration and catalogs live; all else is the machine's own, and the machine keeps no trace.
# The exit code is the command's. Needs root. Before reading, call `journalctl --sync`.
#
#     NJ_JOURNALD_CONF   further lines for [Journal]; the rate limit is off unless this sets it
#     NJ_JOURNAL_SIZE    size of the memory that holds the journal (512m)
#     NJ_TIMEOUT         seconds that the command may take (600), times NJ_SLOW (1)
set -euo pipefail

fail() { echo "journald-sandbox: $*" >&2; exit 3; }

[ $# -gt 0 ] || { echo "usage: journald-sandbox.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || fail "must run as root: it mounts a private /run"
journald=/lib/systemd/systemd-journald
for tool in unshare journalctl; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing; run: packaging/setup.sh test"
done
[ -x "$journald" ] || fail "'$journald' is missing; run: packaging/setup.sh test"

# First pass: into a namespace of its own, from which no mount leaves.
if [ "${NJ_SANDBOX:-}" != inside ]; then
    NJ_SANDBOX=inside exec unshare --mount --propagation private -- "$0" "$@"
fi
unset NJ_SANDBOX
export NIGHTJAR_JOURNALD=1

mount -t tmpfs -o mode=755 sandbox /run
mkdir -p /run/systemd/journal /run/log /run/lock /run/sandbox

# Writable copies: what is changed there lies in memory and is gone afterwards.
for folder in /etc/systemd /usr/lib/systemd /var/log /var/lib/systemd; do
    mkdir -p "$folder" "/run/sandbox$folder/changes" "/run/sandbox$folder/work"
    mount -t overlay sandbox "$folder" \
        -o "lowerdir=$folder,upperdir=/run/sandbox$folder/changes,workdir=/run/sandbox$folder/work"
done
if [ ! -s /etc/machine-id ]; then
    [ -e /etc/machine-id ] || fail "no /etc/machine-id; run: systemd-machine-id-setup"
    tr -d - </proc/sys/kernel/random/uuid >/run/sandbox/machine-id
    mount --bind /run/sandbox/machine-id /etc/machine-id
fi
mkdir -p /var/log/journal /etc/systemd/journald.conf.d
mount -t tmpfs -o "mode=755,size=${NJ_JOURNAL_SIZE:-512m}" sandbox /var/log/journal
mkdir -p "/var/log/journal/$(cat /etc/machine-id)"

# The kernel has one /dev for all namespaces, so a link /dev/log made there would be seen outside: a /dev of our own.
new=/run/sandbox/dev
mkdir -p "$new"
mount -t tmpfs -o mode=755 sandbox "$new"
for node in null zero full random urandom tty; do
    [ -e "/dev/$node" ] || continue
    touch "$new/$node"
    mount --bind "/dev/$node" "$new/$node"
done
for folder in shm pts; do
    mkdir -p "$new/$folder"
    if [ -d "/dev/$folder" ]; then mount --bind "/dev/$folder" "$new/$folder"; fi
done
ln -s pts/ptmx "$new/ptmx"
ln -s /proc/self/fd "$new/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${stream%%:*}" "$new/${stream#*:}"; done
mount --move "$new" /dev

{
    echo "[Journal]"
    printf '%s\n' Storage=persistent ReadKMsg=no Audit=no RateLimitIntervalSec=0 SyncIntervalSec=1s \
        ForwardToSyslog=no ForwardToWall=no ForwardToConsole=no
    printf '%s\n' "${NJ_JOURNALD_CONF:-}"
} >/etc/systemd/journald.conf.d/sandbox.conf

# journald, and how the command may stop and start it: `/run/sandbox/journald stop|start`, for tests of its absence.
cat >/run/sandbox/journald <<CONTROL
#!/bin/bash
case \$1 in
start)
    # Whoever starts it may wait for the end of all that holds its descriptors: journald gets none of them.
    (
        for descriptor in \$(seq 3 99); do eval "exec \$descriptor>&-"; done
        exec $journald </dev/null >/dev/null 2>>/run/sandbox/journald.err
    ) &
    echo \$! >/run/sandbox/journald.pid
    for i in \$(seq 500); do [ -S /run/systemd/journal/socket ] && break; sleep 0.02; done
    # Without it --sync waits for a flush from /run that never comes.
    touch /run/systemd/journal/flushed ;;
stop)
    pid=\$(cat /run/sandbox/journald.pid)
    kill -CONT \$pid; kill \$pid
    for i in \$(seq 500); do grep -q '^State:.[^Z]' /proc/\$pid/status 2>/dev/null || break; sleep 0.02; done
    kill -KILL \$pid 2>/dev/null
    rm -f /run/systemd/journal/socket /run/systemd/journal/stdout /run/systemd/journal/dev-log ;;
esac
exit 0
CONTROL
chmod 755 /run/sandbox/journald
trap '/run/sandbox/journald stop' EXIT
/run/sandbox/journald start
[ -S /run/systemd/journal/socket ] || fail "journald did not start: $(cat /run/sandbox/journald.err)"
ln -sf /run/systemd/journal/dev-log /dev/log
journalctl --update-catalog

code=0
timeout -k 10 "$((${NJ_TIMEOUT:-600} * ${NJ_SLOW:-1}))" "$@" || code=$?
exit "$code"
