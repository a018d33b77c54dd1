#!/bin/bash
# The live agent and the heap census: services that leak are named with type and holder, unasked, and a cache is not.
# usage: live-census.sh BIN_DIR [--quick]     (BIN_DIR holds nightjard and the others; --quick: the first part alone)
#
#   1  one object a request at 1,000 requests a second, a healthy LRU cache beside it: named within five minutes
#   2  a retain cycle a request, a task that never ends, a timer never cancelled, a dictionary without bound, all at
#      once: each named within twenty minutes (studies come one after the other), and nothing else
#
# No settings are shortened. Measured: part 1 about 4 minutes, part 2 about 8.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
need python3:python3
BIN=$(programs_in "${1:?usage: live-census.sh BIN_DIR [--quick]}")
quick=${2:-}
W=$(mktemp -d)
mkdir -p "$W"/{run,state,logs}
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$W"
}
trap stop EXIT

# Incidents call themselves drill-…, and drills are looked at in shortened spans: not here.
printf '[HTTP]\nSocket=%s/run/api.sock\n[Probe]\nSocket=%s/run/probe.sock\n[Process drill-*]\nSpeedup=1\n' "$W" "$W" \
    >"$W/nightjar.conf"
env RUNTIME_DIRECTORY="$W/run" STATE_DIRECTORY="$W/state" LOGS_DIRECTORY="$W/logs" \
    "$BIN/nightjard" --config "$W/nightjar.conf" >"$W/agent.log" 2>&1 &
pids+=($!)
agent=$!
wait_for 30 "the agent's socket" test -S "$W/run/api.sock" || { cat "$W/agent.log"; exit 1; }

# start NAME: an incident of that name; its pid is in $started
start() {
    NIGHTJAR_PROBE=off "$BIN/nightjar-incident" "$1" --rate 1000 --size "${2:-1000}" --seconds 3600 >/dev/null 2>&1 &
    started=$!
    pids+=("$started")
}

# named PID SECONDS WORD...: waits for an alert on that process that is a leak and whose text has every word
named() {
    local pid=$1 limit=$(($2 * NJ_SLOW)) began=$SECONDS
    shift 2
    until python3 - "$W/alerts.json" "$pid" "$@" <<'P'
import json, sys
path, pid, words = sys.argv[1], sys.argv[2], sys.argv[3:]
try:
    alerts = json.load(open(path))
except Exception:
    sys.exit(1)
alerts = alerts.get("alerts", alerts) if isinstance(alerts, dict) else alerts
for alert in alerts:
    text = json.dumps(alert, ensure_ascii=False)
    if "HeapGrowth" in text and pid in text and "firing" in text and '"leak"' in text and all(word in text for word in words):
        sys.exit(0)
sys.exit(1)
P
    do
        kill -0 "$agent" || { cat "$W/agent.log"; die "the agent ended"; }
        [ $((SECONDS - began)) -le "$limit" ] || { cat "$W/agent.log" "$W/alerts.json"; die "not named within $limit s: $*"; }
        sleep 2
        "$BIN/nightjar" alerts --format json --socket "$W/run/api.sock" >"$W/alerts.json" 2>/dev/null || true
    done
}
quiet() {
    if python3 - "$W/alerts.json" "$1" <<'P'
import json, sys
text = open(sys.argv[1]).read()
sys.exit(0 if f'"pid":{sys.argv[2]}' in text.replace(" ", "") or f"pid {sys.argv[2]}" in text else 1)
P
    then cat "$W/alerts.json"; die "the healthy cache is accused"; fi
}
ok() { printf 'ok  %4d s  %s\n' "$SECONDS" "$1"; }

start healthy-cache; cache=$started
start leak; began=$SECONDS; leaking=$started
named "$leaking" 300 'Request' 'handle(_:forgetsToRemove:) ← Emitter.handlers ← global'
ok "the leak is named after $((SECONDS - began)) s, with what holds it; the cache beside it is quiet"
grep -a "census of" "$W/agent.log" | sed 's/^/          /' || true
quiet "$cache"
kill "$leaking"
[ "$quick" != --quick ] || exit 0

start retain-cycle; cycle=$started
start task-leak; task=$started
start timer-leak; timer=$started
start dictionary-cache; dictionary=$started
named "$cycle" 1200 'Conversation.transport → Transport.delegate'
ok "the retain cycle is named with its fields"
named "$task" 1200 'Task in Mailbox.answer(to:)' 'Mailbox.waiting'
ok "tasks that never end are named with their function"
named "$timer" 1200 'Ticket'
ok "timers that were never cancelled are named by what they keep"
named "$dictionary" 1200 'ProfileDirectory.profiles'
ok "the dictionary without bound is named"
quiet "$cache"
ok "the cache stayed quiet for ${SECONDS} s"
grep -a "census of" "$W/agent.log" | sed 's/^/          /' || true
