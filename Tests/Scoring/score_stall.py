#!/usr/bin/env python3
"""Score a stall replay program against labelled recordings.

    score_stall.py DIR [-v] -- COMMAND [ARG ...]

DIR holds `labels-stall.csv` (trace, kind, onset_s, starved; no onset = no stall is wanted) and
the traces.  COMMAND runs once a trace, `{}` in it replaced by the trace's path, and prints
`{"findings": [{"kind": "loop_stall" or "loop_starved", "at_s": …, "cleared_s": …}]}`.

Rules
  found    a `loop_stall` that begins at the onset or up to 90 s later
  false    every other `loop_stall`
  starved  of the traces where the thread went without a processor, how many a `loop_starved` tells of; no bar, since a
           starved loop need not be late enough for one
Output: one JSON object on one line; with -v one line per wrong trace after it.
"""
import csv
import json
import os
import statistics
import sys

from scoring import arguments, replay

LATEST = 90


def main():
    options, command = arguments(__doc__)
    with open(os.path.join(options.folder, "labels-stall.csv")) as file:
        rows = list(csv.DictReader(file))
    incidents = found = false = starved = told = 0
    delays, wrong = [], []
    for row in rows:
        findings = replay(command, os.path.join(options.folder, row["trace"] + ".csv"))
        stalls = [f for f in findings if f["kind"] == "loop_stall"]
        if int(row["starved"]):
            starved += 1
            told += any(f["kind"] == "loop_starved" for f in findings)
        onset = float(row["onset_s"]) if row["onset_s"] else None
        hits = [f["at_s"] for f in stalls if onset is not None and onset - 1 <= f["at_s"] <= onset + LATEST]
        for finding in stalls:
            if finding["at_s"] not in hits:
                false += 1
                wrong.append((row["trace"], "false", finding["at_s"], finding.get("says")))
        if onset is None:
            continue
        incidents += 1
        if hits:
            found += 1
            delays.append(min(hits) - onset)
        else:
            wrong.append((row["trace"], "missed", onset))
    print(json.dumps({
        "traces": len(rows), "incidents": incidents, "false_alarms": false,
        "precision": round(found / max(1, found + false), 4), "recall": round(found / max(1, incidents), 4),
        "median_delay_s": round(statistics.median(delays), 1) if delays else None,
        "starved": starved, "starved_told": told,
    }))
    if options.verbose:
        for line in wrong:
            print(line)


if __name__ == "__main__":
    sys.exit(main())
