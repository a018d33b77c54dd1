#!/bin/bash
# Nightjar's whole life on a real systemd: installed, started, a leaking unit named in the journal with all fields and its
# catalog text, killed and hung and back by itself, reloaded with a good and a bad configuration, removed without a trace.
# usage: install-life.sh BIN_DIR      (root; BIN_DIR holds the release programs, see packaging/build-release.sh)
# Measured: about 60 s, most of it the leak being a leak.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
need_root
BIN=$(programs_in "${1:?usage: install-life.sh BIN_DIR}")
SRC=$(readlink -f "$HERE/../..")
W=$(mktemp -d); BOX=$HERE/systemd-box.sh; S=$W/box
NJ_BOX_BIND="$SRC/packaging $BIN"; export NJ_BOX_BIND
trap '"$BOX" stop "$S" || true; rm -rf "$W"' EXIT
# Who lives in the box: a command, output passed through.
B() { "$BOX" exec "$S" "$@" </dev/null; }
has() { grep -F -- "$1" >/dev/null; }           # not grep -q: fails at random under pipefail
passed=0
ok() { passed=$((passed + 1)); printf 'ok %2d  %s\n' "$passed" "$1"; }
show() { B systemctl show nightjard -p "$1" --value; }
is_active() { [ "$(B systemctl is-active nightjard 2>/dev/null || true)" = active ]; }
restarted() { [ "$(show NRestarts)" -ge "$1" ] && is_active; }
journal() { B journalctl --sync; B journalctl -o json --no-pager "$@"; }
fail_with_log() { B journalctl -u nightjard --no-pager -n 40 || true; die "$1"; }

"$BOX" start "$S" >/dev/null
B "$SRC/packaging/install.sh" --bin-dir "$BIN" --no-start >"$W/install.log" 2>&1 || { cat "$W/install.log"; die "install.sh failed"; }
# Short watchdog and horizons for the test; everything else is the shipped unit.
B sh -c 'mkdir -p /etc/systemd/system/nightjard.service.d && printf "[Service]\nWatchdogSec=4\n" >/etc/systemd/system/nightjard.service.d/test.conf'
B systemctl daemon-reload
B systemctl start nightjard || fail_with_log "nightjard does not start"
is_active || fail_with_log "nightjard is not active"
[ "$(B systemctl is-enabled nightjard)" = enabled ] || die "nightjard is not enabled"
ok "installed, enabled, active (Type=notify)"

B systemd-analyze verify --man=no nightjard.service >"$W/verify" 2>&1 || { cat "$W/verify"; die "systemd-analyze verify"; }
B systemd-analyze security --no-pager --threshold=30 nightjard >"$W/security" || { cat "$W/security"; die "exposure above 3.0"; }
ok "unit is well-formed; $(tail -n 1 "$W/security" | sed 's/.*level for //')"

[ "$(B stat -c %U /proc/"$(show MainPID)")" = nightjar ] || die "nightjard does not run as nightjar"
[ "$(B stat -c '%a %G' /run/nightjar/api.sock)" = "660 nightjar" ] || die "api.sock: $(B stat -c '%a %U %G' /run/nightjar/api.sock)"
ok "runs as its own user; the API socket is 0660, group nightjar"

B nightjar ps --limit 5 >"$W/ps" || { cat "$W/ps"; die "nightjar ps"; }
has systemd <"$W/ps" || { cat "$W/ps"; die "ps does not list systemd"; }
B nightjar doctor >"$W/doctor" || { cat "$W/doctor"; fail_with_log "doctor finds something bad in a fresh installation"; }
ok "nightjar ps and doctor answer"

B sh -c 'cat >/etc/nightjar/nightjar.conf.d/test.conf <<C
[Unit leaky.service]
Speedup=5000
[Unit healthy.service]
Speedup=5000
C'
B systemctl reload nightjard || fail_with_log "reload"
B systemd-run --quiet --unit=leaky nightjar-incident leak --rate 2000 --size 2000
B systemd-run --quiet --unit=healthy nightjar-incident leak-twin --rate 2000 --size 2000
named() { journal NIGHTJAR_DETECTOR=HeapGrowth NIGHTJAR_STATE=firing NIGHTJAR_UNIT=leaky.service | has leaky; }
wait_for 120 "the leaking unit in the journal" named || fail_with_log "the leak was not named"
journal NIGHTJAR_DETECTOR=HeapGrowth NIGHTJAR_UNIT=leaky.service | head -n 1 >"$W/entry"
for field in MESSAGE_ID PRIORITY NIGHTJAR_ALERT NIGHTJAR_DETECTOR NIGHTJAR_STATE NIGHTJAR_SUBJECT NIGHTJAR_UNIT NIGHTJAR_PID NIGHTJAR_EVIDENCE; do
    has "\"$field\"" <"$W/entry" || { cat "$W/entry"; die "the journal entry has no $field"; }
done
ok "the leaking unit is named: $(python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["MESSAGE"].splitlines()[0])' <"$W/entry")"
B journalctl -x -o short --no-pager NIGHTJAR_DETECTOR=HeapGrowth >"$W/catalog"
has "Subject:" <"$W/catalog" || { cat "$W/catalog"; die "no catalog text"; }
ok "journalctl -x explains it"
[ -z "$(journal NIGHTJAR_STATE=firing NIGHTJAR_UNIT=healthy.service)" ] || die "the healthy twin raised an alert"
ok "the healthy twin is quiet"

id=$(python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["NIGHTJAR_ALERT"])' <"$W/entry")
typed() { B nightjar show "$id" | has "Emitter.handlers"; }
wait_for 150 "the census of the leaking unit" typed || { B nightjar show "$id" || true; fail_with_log "the census did not name the holder"; }
ok "the census runs with the unit's rights: $(B nightjar show "$id" | grep -o 'held by .*Emitter.handlers' | head -n 1)"
B systemctl kill -s KILL nightjard; wait_for 20 "restart after SIGKILL" restarted 1
wait_for 20 "the alert after the restart" sh -c "'$BOX' exec '$S' nightjar show '$id' </dev/null | grep -F leaky >/dev/null"
ok "killed, back by itself, the alert is still there"
again=$(journal NIGHTJAR_STATE=firing NIGHTJAR_ALERT="$id" | wc -l)
[ "$again" -eq 1 ] || die "the restart announced the alert again ($again entries)"
ok "and it was not announced twice"

B systemctl kill -s STOP nightjard; wait_for 40 "restart after a hang" restarted 2
ok "hung, ended by the watchdog, back by itself"

B sh -c 'printf "[Agent]\nIntervall=2s\n" >/etc/nightjar/nightjar.conf.d/bad.conf'
B systemctl reload nightjard || true
is_active || fail_with_log "a bad configuration ended the agent"
B journalctl --sync
B journalctl -u nightjard -o cat --no-pager | has "bad.conf:2: unknown key 'Intervall' in [Agent]; did you mean Interval?" || fail_with_log "the mistake was not named"
B nightjard --check >"$W/check" 2>&1 && die "nightjard --check accepts a bad file"
ok "a bad configuration is named with file and line, the old one stays"
B sh -c 'printf "[Agent]\nInterval=2s\n" >/etc/nightjar/nightjar.conf.d/bad.conf'
B systemctl reload nightjard
wait_for 10 "the new interval" sh -c "'$BOX' exec '$S' nightjar config </dev/null | grep -F 'Interval=2s' >/dev/null"
ok "a good one is taken"

B systemctl stop leaky healthy 2>/dev/null || true
B systemctl stop nightjard
B journalctl --sync
[ "$(show Result)" = success ] || fail_with_log "stop: $(show Result)"
ok "SIGTERM ends it cleanly"
B rm -rf /etc/systemd/system/nightjard.service.d
B "$SRC/packaging/install.sh" --remove >"$W/remove.log"
B test -d /var/lib/nightjar || die "--remove deleted the history"
B "$SRC/packaging/install.sh" --remove --purge >"$W/purge.log"
B sh -c 'for path in /etc/nightjar /var/lib/nightjar /var/log/nightjar /run/nightjar /usr/local/bin/nightjar* /etc/systemd/system/nightjard.service \
    /usr/lib/sysusers.d/nightjar.conf /usr/lib/systemd/catalog/nightjar.catalog /usr/local/share/man/man1/nightjar.1; do
    [ ! -e "$path" ] || { echo "left: $path"; exit 1; }; done; ! getent passwd nightjar' || die "purge left a trace"
ok "removed without a trace"
printf '%d passed, 0 failed\n' "$passed"
