#!/usr/bin/env bash
# How good are the disk and log detectors on made traces? Makes them, replays them, and keeps the figures to their bars.
# usage: Tests/Scoring/run.sh [NIGHTJAR]      (default: .build/debug/nightjar)
set -euo pipefail
cd "$(dirname "$0")"
nightjar=${1:-../../.build/debug/nightjar}
work=$(mktemp -d /tmp/nightjar-scoring.XXXXXX)
trap 'rm -rf "$work"' EXIT

# Seed 24 took no part in choosing any parameter.
python3 make_disk_traces.py "$work/disk" --seed 24 --each 3
python3 make_log_traces.py "$work/log" --seed 24 --traces 64
disk=$(python3 score_disk.py "$work/disk" -v -- "$nightjar" replay {} --format json)
log=$(python3 score_log.py "$work/log" -v -- "$nightjar" replay {} --format json)
printf 'disk %s\nlog %s\n' "$disk" "$log"

DISK=$disk LOG=$log python3 - <<'PYTHON'
import json, os, sys

disk = json.loads(os.environ["DISK"].splitlines()[0])
log = json.loads(os.environ["LOG"].splitlines()[0])
bars = [
    ("disk recall", disk["recall"], ">=", 0.88),
    ("disk error of the time to full", disk["median_eta_error"], "<=", 0.135),
    # Copies that end by themselves and first janitor runs look like fills: no bar at zero, but one a hundred days.
    ("disk false alarms a disk-day", disk["false_alarms_per_disk_day"], "<=", 0.02),
    ("flood precision, x8 and more", log["precision_x8"], ">=", 0.95),
    ("flood recall, x8 and more", log["x8"]["recall"], ">=", 0.90),
    ("flood culprit right", log["x8"]["culprit_right"], ">=", 0.98),
]
missed = [bar for bar in bars if not (bar[1] >= bar[3] if bar[2] == ">=" else bar[1] <= bar[3])]
for name, value, sign, limit in bars:
    print(f"  {name}: {value} ({sign} {limit})")
sys.exit(1 if missed else 0)
PYTHON
