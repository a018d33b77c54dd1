#!/usr/bin/env bash
# Nightjar in three minutes: builds it, starts the agent beside services that leak, stall and fill a disk (and a healthy
# twin), and shows the alerts as they come: on the terminal, in the journal, and with `nightjar`.
#   packaging/demo.sh            everything
#   packaging/demo.sh --quick    the leak alone
# Installs what is missing (as root). Nothing is installed of Nightjar itself, and nothing is left behind.
set -euo pipefail
cd "$(dirname "$0")/.."
quick=no
case ${1:-} in
    "") ;;
    --quick) quick=yes ;;
    -h | --help) sed -n '2,6p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
    *) echo "demo: unknown option '$1'; see --help" >&2; exit 2 ;;
esac

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

if [ "${NIGHTJAR_DEMO_INSIDE:-}" != 1 ]; then
    say "building (some minutes the first time)"
    packaging/build-release.sh 2>&1 | grep -E '^Build of product|error:|^setup:' || true
    export NIGHTJAR_BIN=$PWD/.build-release/bin NIGHTJAR_DEMO_INSIDE=1
    [ -x "$NIGHTJAR_BIN/nightjar-incident" ] || { echo "demo: the build failed; run packaging/build-release.sh" >&2; exit 3; }
    if [ ! -S /run/systemd/journal/socket ] && [ "$(id -u)" -eq 0 ]; then
        say "no journald runs here: starting a real one in a private mount namespace"
        exec Tests/System/journald-sandbox.sh "$0" "$@"
    fi
fi

work=$(mktemp -d)
export PATH=$NIGHTJAR_BIN:$PATH
export NIGHTJAR_SOCKET=$work/run/probe.sock RUNTIME_DIRECTORY=$work/run STATE_DIRECTORY=$work/state LOGS_DIRECTORY=$work/logs
mkdir -p "$RUNTIME_DIRECTORY" "$STATE_DIRECTORY" "$LOGS_DIRECTORY"
socket=$RUNTIME_DIRECTORY/api.sock
agent='' twin='' flood=''
stop() {
    [ -z "$twin" ] || kill "$twin" 2>/dev/null || true
    [ -z "$flood" ] || kill "$flood" 2>/dev/null || true
    umount "$work/disk" 2>/dev/null || true
    [ -z "$agent" ] || { kill "$agent" 2>/dev/null || true; wait "$agent" 2>/dev/null || true; }
    rm -rf "$work"
}
trap stop EXIT
# Inside the private namespace the catalog may be installed; on a real system it is left alone.
if [ "${NIGHTJAR_JOURNALD:-}" = 1 ]; then
    cp packaging/nightjar.catalog /usr/lib/systemd/catalog/ && journalctl --update-catalog
fi

say "starting the agent"
printf '[HTTP]\nSocket=%s\n[Disks]\nAlsoTypes=tmpfs\n' "$socket" >"$work/nightjar.conf"
mkdir "$work/disk"
if [ "${NIGHTJAR_JOURNALD:-}" = 1 ]; then mount -t tmpfs -o size=256m tmpfs "$work/disk"; fi
nightjard --config "$work/nightjar.conf" >"$work/agent.log" 2>&1 &
agent=$!
for _ in $(seq 100); do [ ! -S "$socket" ] || break; sleep 0.1; done
if [ ! -S "$socket" ]; then cat "$work/agent.log" >&2; echo "demo: the agent did not start" >&2; exit 3; fi
head -n 3 "$work/agent.log"
echo
echo "drills are looked at with shortened spans, by this built-in section; the rest is the live path:"
nightjar config --file "$work/nightjar.conf" | sed -n '/^\[Process drill/,$p'

say "a healthy service, which must stay quiet"
nightjar-incident leak-twin --seconds 600 >/dev/null &
twin=$!
echo "nightjar-incident leak-twin (pid $twin)"

drill() {
    say "nightjar drill $1"
    nightjar drill "$1" --socket "$socket"
}
drill leak

say "the same in the journal: journalctl -x NIGHTJAR_DETECTOR=HeapGrowth"
journalctl --sync 2>/dev/null || true
journalctl -x -o short --no-pager -n 1 NIGHTJAR_DETECTOR=HeapGrowth NIGHTJAR_STATE=firing 2>/dev/null ||
    echo "(no journal on this machine)"

say "nightjar ps 'drill-*'"
nightjar ps 'drill-*' --socket "$socket"

if [ "$quick" = no ]; then
    drill json-on-loop
    drill lock-held
    if mountpoint -q "$work/disk"; then
        say "a debug log left on, at 5 MB a second on a disk of 256 MB"
        nightjar-incident debug-log --directory "$work/disk" --rate 5000000 --seconds 120 >/dev/null &
        flood=$!
        # `nightjar alerts` answers 1 while anything fires.
        id=''
        for _ in $(seq 90); do
            alerts=$(nightjar alerts --socket "$socket" --format json || true)
            id=$(sed -n 's/.*"id":"\([^"]*\)"[^{}]*"detector":"DiskFill".*/\1/p' <<<"$alerts")
            [ -z "$id" ] || break
            sleep 1
        done
        if [ -z "$id" ]; then echo "demo: the fill was not named: that is a mistake of ours" >&2; exit 1; fi
        nightjar show "$id" --socket "$socket"
        kill "$flood" 2>/dev/null || true
        nightjar disk --socket "$socket"
        wait "$flood" 2>/dev/null || true
        say "the same service and the same debug log, through NightjarLogFile: 600 MB of lines on the same 256 MB"
        nightjar-incident debug-log-tamed --directory "$work/disk" --rate 30000000 --seconds 20
        echo "no request failed, the log kept to its budget, and it says itself what was left out"
    fi
fi

say "the healthy twin"
alerts=$(nightjar alerts --all --socket "$socket" --format json || true)
if grep -F 'drill-leak-twin' <<<"$alerts" >/dev/null; then
    echo "raised an alert: that is a mistake of ours" >&2
    exit 1
fi
echo "no alert about leak-twin, as it must be"
