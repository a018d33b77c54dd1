#!/usr/bin/env bash
# A probed Hummingbird service and its agent under a moderate load for a while: neither may grow, and no stall may be told.
# Usage: Tests/Stalls/long-life.sh CHECKOUT FOLDER [MINUTES]
#   CHECKOUT  the program that `swift build -c release --package-path Tests/Samples/Checkout` makes
#   FOLDER    holds nightjard and nightjar of a release build
#   MINUTES   how long (default 12); what is held after two of them must be held at the end, but for 2 MiB
# Needs wrk. About 1,000 requests a second, each a JSON answer of 4 KB.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,8s/^# //p' "$0" >&2; exit 2; }
checkout=$1 bin=$2 minutes=${3:-12}
for program in "$checkout" "$bin/nightjard" "$bin/nightjar"; do
    [ -x "$program" ] || { echo "long-life.sh: no program '$program'; build it as the usage says" >&2; exit 2; }
done
command -v wrk >/dev/null || { echo "long-life.sh: wrk is missing; run: apt-get install -y wrk" >&2; exit 3; }
work=$(mktemp -d)
pids=()
clean_up() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
mkdir "$work/run" "$work/state" "$work/logs"
printf '[HTTP]\nSocket=%s/run/api.sock\n[Probe]\nSocket=%s/run/probe.sock\n' "$work" "$work" >"$work/nightjar.conf"
RUNTIME_DIRECTORY=$work/run STATE_DIRECTORY=$work/state LOGS_DIRECTORY=$work/logs \
    "$bin/nightjard" --config "$work/nightjar.conf" >"$work/agent.log" 2>&1 &
agent=$!
pids+=("$agent")
for _ in $(seq 200); do [ ! -S "$work/run/api.sock" ] || break; sleep 0.1; done
port=$((20000 + RANDOM % 20000))
PORT=$port NIGHTJAR_SOCKET=$work/run/probe.sock "$checkout" >"$work/checkout.log" 2>&1 &
service=$!
pids+=("$service")
for _ in $(seq 200); do ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break; sleep 0.1; done
echo 'function delay() return 14 end' >"$work/pace.lua"
wrk -t1 -c16 -d"$((minutes * 60))s" -s "$work/pace.lua" "http://127.0.0.1:$port/orders" >"$work/wrk.log" &
load=$!
pids+=("$load")

# held PID: anonymous memory in KiB and open descriptors.
held() { echo "$(awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status") $(ls "/proc/$1/fd" | wc -l)"; }
ask() { "$bin/nightjar" "$@" --socket "$work/run/api.sock"; }

sleep 120
read -r service_first service_files < <(held "$service")
read -r agent_first agent_files < <(held "$agent")
echo "after  2 min: service $service_first KiB, $service_files descriptors; agent $agent_first KiB, $agent_files descriptors"
for minute in $(seq 3 "$minutes"); do
    sleep 59
    if [ $((minute % 2)) = 0 ]; then echo "after $minute min: service $(held "$service"), agent $(held "$agent")"; fi
done
read -r service_last service_files_last < <(held "$service")
# The agent's descriptors follow the processes of the host.
read -r agent_last _ < <(held "$agent")
wait "$load"
grep -E 'Requests/sec|requests in' "$work/wrk.log"
ask show checkout
failures=0
fail() { echo "long-life: $*"; failures=$((failures + 1)); }
[ "$service_last" -le $((service_first + 2048)) ] || fail "the service grew from $service_first to $service_last KiB"
[ "$agent_last" -le $((agent_first + 2048)) ] || fail "the agent grew from $agent_first to $agent_last KiB"
[ "$service_files_last" -le $((service_files + 2)) ] || fail "the service had $service_files descriptors, now $service_files_last"
ask alerts --all >"$work/alerts" || true
if grep -E 'LoopStall|PoolStarvation|HeapGrowth' "$work/alerts"; then fail "an alert about a healthy service"; fi
[ "$failures" = 0 ]
