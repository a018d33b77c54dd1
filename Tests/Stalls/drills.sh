#!/usr/bin/env bash
# Every stall that `nightjar drill` knows, one after another, through an agent of its own: each must be named with its function
# and cause, and the starved twin must stay quiet. Usage: Tests/Stalls/drills.sh [FOLDER OF NIGHTJARD, NIGHTJAR, …] [NAME…]
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=${1:-.build/debug}
if [ $# -gt 0 ]; then shift; fi
drills=("$@")
[ ${#drills[@]} -gt 0 ] ||
    drills=(json-on-loop regex-on-loop read-on-loop lock-held deadlock pool-exhausted starved-twin)
work=$(mktemp -d)
agent=
clean_up() {
    if [ -n "$agent" ]; then kill "$agent" 2>/dev/null || true; wait "$agent" 2>/dev/null || true; fi
    rm -rf "$work"
}
trap clean_up EXIT
mkdir "$work/run" "$work/state" "$work/logs"
export NIGHTJAR_SOCKET=$work/run/probe.sock RUNTIME_DIRECTORY=$work/run STATE_DIRECTORY=$work/state
export LOGS_DIRECTORY=$work/logs
printf '[HTTP]\nSocket=%s\n' "$work/run/api.sock" >"$work/nightjar.conf"
"$bin/nightjard" --config "$work/nightjar.conf" >"$work/agent.log" 2>&1 &
agent=$!
for _ in $(seq 200); do [ ! -S "$work/run/api.sock" ] || break; sleep 0.1; done
[ -S "$work/run/api.sock" ] || { cat "$work/agent.log" >&2; echo "drills.sh: the agent did not start" >&2; exit 3; }
failed=()
for drill in "${drills[@]}"; do
    "$bin/nightjar" drill "$drill" --socket "$work/run/api.sock" || failed+=("$drill")
done
if [ ${#failed[@]} -gt 0 ]; then echo "failed: ${failed[*]}"; exit 1; fi
