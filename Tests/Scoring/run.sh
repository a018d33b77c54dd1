#!/usr/bin/env bash
# How good are the disk, log and stall detectors on made traces, and the last on recorded ones? Makes them, replays them, and keeps the figures to their bars.
# usage: Tests/Scoring/run.sh [NIGHTJAR]      (default: .build/debug/nightjar)
set -euo pipefail
cd "$(dirname "$0")"
nightjar=${1:-../../.build/debug/nightjar}
work=$(mktemp -d /tmp/nightjar-scoring.XXXXXX)
trap 'rm -rf "$work"' EXIT

# These seeds took no part in choosing any parameter. Many log traces: of 64, one false alarm more or less is 4 %.
python3 make_disk_traces.py "$work/disk" --seed 24 --each 3
python3 make_log_traces.py "$work/log" --seed 82 --traces 192
python3 make_stall_traces.py "$work/stall" --seed 24 --each 4
disk=$(python3 score_disk.py "$work/disk" -v -- "$nightjar" replay {} --format json)
log=$(python3 score_log.py "$work/log" -v -- "$nightjar" replay {} --format json)
stall=$(python3 score_stall.py "$work/stall" -v -- "$nightjar" replay {} --format json)
# Real loops on a crowded machine.
recorded=$(python3 score_stall.py ../NightjarDetectorsTests/Traces/stall -v -- "$nightjar" replay {} --format json)
printf 'disk %s\nlog %s\nstall %s\nstall, recorded %s\n' "$disk" "$log" "$stall" "$recorded"

DISK=$disk LOG=$log STALL=$stall RECORDED=$recorded python3 - <<'PYTHON'
import json, os, sys

disk = json.loads(os.environ["DISK"].splitlines()[0])
log = json.loads(os.environ["LOG"].splitlines()[0])
stall = json.loads(os.environ["STALL"].splitlines()[0])
recorded = json.loads(os.environ["RECORDED"].splitlines()[0])
bars = [
    ("disk recall", disk["recall"], ">=", 0.88),
    ("disk error of the time to full", disk["median_eta_error"], "<=", 0.135),
    # Copies that end by themselves and first janitor runs look like fills: no bar at zero, but one a hundred days.
    ("disk false alarms a disk-day", disk["false_alarms_per_disk_day"], "<=", 0.02),
    ("flood precision, x8 and more", log["precision_x8"], ">=", 0.95),
    ("flood recall, x8 and more", log["x8"]["recall"], ">=", 0.90),
    ("flood delay, half of them within minutes", log["x8"]["median_delay_min"], "<=", 60),
    ("flood culprit right", log["x8"]["culprit_right"], ">=", 0.98),
    ("stall precision", stall["precision"], ">=", 0.95),
    ("stall recall", stall["recall"], ">=", 0.95),
    ("stall delay, s", stall["median_delay_s"], "<=", 30),
    ("stall precision, recorded", recorded["precision"], ">=", 1),
    ("stall recall, recorded", recorded["recall"], ">=", 1),
]
missed = [bar for bar in bars if not (bar[1] >= bar[3] if bar[2] == ">=" else bar[1] <= bar[3])]
for name, value, sign, limit in bars:
    print(f"  {name}: {value} ({sign} {limit})")
sys.exit(1 if missed else 0)
PYTHON
