#!/usr/bin/env bash
# The probe at work under the thread sanitizer: stalls on every kind of loop, the pool, and an agent that asks for all stacks.
# Usage: Tests/Stalls/tsan.sh [build|built]      build only, or run what was built
# The sanitizer holds signals back until their thread enters a call, so what is checked is only that it finds no race; how
# well stalls are named under it is not. Exits 1 with the reports where it found one.
set -euo pipefail
cd "$(dirname "$0")/../.."
flags=(--product nightjar-stalls --sanitize thread --scratch-path .build-tsan)
if [ "${1:-}" != built ]; then swift build "${flags[@]}" >&2; fi
if [ "${1:-}" = build ]; then exit; fi
program=$(swift build "${flags[@]}" --show-bin-path)/nightjar-stalls
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TSAN_OPTIONS="log_path=$work/race exitcode=0 suppressions=$PWD/Tests/Stalls/tsan.supp"
# What finds nothing must be able to find something.
TSAN_OPTIONS="log_path=$work/planted exitcode=0" timeout 60 "$program" race
grep 'data race' "$work"/planted.* >/dev/null || { echo "tsan: the planted race was not seen" >&2; exit 1; }
for loop in runloop dispatch-main queue nio main-actor; do
    timeout 120 "$program" "$loop" 1 compute sleep read mutex semaphore queue-sync >"$work/out" || { cat "$work/out"; exit 1; }
done
timeout 60 "$program" pool >"$work/out"
timeout 60 "$program" stuck >"$work/out" || true
if compgen -G "$work/race.*" >/dev/null; then
    cat "$work"/race.*
    echo "tsan: $(cat "$work"/race.* | grep -c 'WARNING: ThreadSanitizer') reports"
    exit 1
fi
echo "tsan: no race in 5 loops, the pool and a stuck process"
