#!/usr/bin/env bash
# How often HeapGrowth is right, over the recorded and made traces of Tests/Scoring/memory: packaging/score.sh [-v]
# Builds the release `nightjar` and replays each trace through it; exit 1 where a bar is not kept.
set -euo pipefail
cd "$(dirname "$0")/.."

swift build -c release --product nightjar
nightjar=$(swift build -c release --show-bin-path)/nightjar
python3 Tests/Scoring/score.py Tests/Scoring/memory "$@" \
    --least-precision .95 --least-recall .97 --most-false-alarms .013 -- "$nightjar" replay {} --format json
