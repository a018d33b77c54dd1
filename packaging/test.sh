#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: packaging/test.sh
set -euo pipefail
if [ $# -gt 0 ]; then
    sed -n '2s/^# //p' "$0" >&2
    case $1 in -h | --help) exit 0 ;; esac
    echo "test: takes no options, got '$1'; for some tests: swift test --filter NAME" >&2
    exit 2
fi
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

# within MINUTES COMMAND...: what takes longer is ended, and all that runs then is shown. A test that waits for ever must
# say which one it is.
within() {
    local seconds=$(($1 * 60)) status=0 parent=$BASHPID
    shift
    (
        self=$BASHPID
        sleep "$seconds" >/dev/null 2>&1 &
        trap "kill $!" TERM
        wait $! || exit 0
        printf '\ntest: "%s" still runs after %d minutes; what runs now:\n' "$*" $((seconds / 60))
        ps -eo pid,ppid,stat,wchan:24,etime,args --forest | grep -v ' \[.*\]$' | cut -c 1-200
        pgrep -P "$parent" | grep -vx "$self" | xargs -r kill -KILL
    ) &
    local watcher=$!
    "$@" || status=$?
    kill "$watcher" 2>/dev/null || true
    return "$status"
}

step "packages"
packaging/setup.sh test

step "format"
swift format lint --strict -r Sources Tests Package.swift </dev/null

step "build and unit tests"
swift build --build-tests
# All suites share one process and begin at once. Those that measure stalls of this very process, or race a filling disk,
# are run after the crowd, one by one: on a small machine it would be the stall.
alone='NightjarProbeTests|NightjarAgentTests.RealDiskTests|NightjarInspectTests.LiveTests'
within 15 swift test --skip-build --skip "$alone"
within 15 swift test --skip-build --no-parallel --filter "$alone"

step "journald and full disks"
# A filter that matches nothing passes too, so what ran is counted.
journal_log=$(mktemp)
trap 'rm -f "$journal_log"' EXIT
within 10 Tests/System/journald-sandbox.sh swift test --skip-build --filter 'NightjarSinksTests.JournaldTests|NightjarHistoryTests.FullDiskTests|NightjarSourcesTests.JournalVolumeTests' 2>&1 | tee "$journal_log"
grep -E 'Test run with [1-9][0-9]* tests? .*passed' "$journal_log" >/dev/null

step "consumers: who embeds one product needs nothing else"
Tests/Consumers/run.sh

step "release build"
packaging/build-release.sh
bin=.build-release/bin

step "how often the detectors are right, on recorded and made traces"
python3 Tests/Scoring/score.py Tests/Scoring/memory --least-precision .95 --least-recall .97 --most-false-alarms .013 \
    -- "$bin/nightjar" replay {} --format json
Tests/Scoring/run.sh "$PWD/$bin/nightjar"

step "a real Prometheus"
Tests/System/prometheus.sh "$bin"

step "a real systemd"
Tests/System/install-life.sh "$bin"
