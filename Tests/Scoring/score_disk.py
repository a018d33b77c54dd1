#!/usr/bin/env python3
"""Score a disk replay program against labelled traces.

    score_disk.py DIR [-v] -- COMMAND [ARG ...]

DIR holds `labels-disk.csv` (trace, kind, full_s; empty = never full) and the traces.
COMMAND runs once a trace, `{}` in it replaced by the trace's path, and prints
`{"findings": [{"kind": "disk_fill", "severity": …, "at_s": …, "cleared_s": …,
"evaluations": [{"t_s": …, "eta_s": …|null}]}]}`.  Findings with a `stage` (burst,
backstop, full) are counted apart: they are no forecasts.

Rules
  hit     an alert is open at a moment at most 48 hours before full, and began at least an hour before full
  false   an alert that begins more than 48 hours before full, or on a disk that is never full
  eta     median of |forecast - truth| / truth over the evaluations 1 to 48 hours before full that name a time
Output: one JSON object on one line; with -v one line per wrong trace after it.
"""
import csv
import json
import os
import statistics
import sys

from scoring import arguments, replay

HOUR = 3600
DAY = 24 * HOUR


def last_time(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 200))
        return float(file.read().splitlines()[-1].split(b",")[0])


def judge(findings, full):
    """(hit, number of false alarms, lead of the first hit or None) of one trace's forecasts."""
    hit, false, lead = False, 0, None
    for finding in findings:
        at, cleared = finding["at_s"], finding["cleared_s"]
        if full is None or full - at > 48 * HOUR:
            false += 1
        if full is not None and full - at >= HOUR and (cleared is None or cleared > full - 48 * HOUR):
            hit = True
            if lead is None and full - at <= 48 * HOUR:
                lead = full - at
    return hit, false, lead


def errors(findings, full):
    """Relative errors of all evaluations within 1 to 48 hours before full."""
    out = []
    for finding in findings:
        for evaluation in finding.get("evaluations", []):
            truth = full - evaluation["t_s"]
            if evaluation["eta_s"] is not None and HOUR <= truth <= 48 * HOUR:
                out.append(abs(evaluation["eta_s"] - truth) / truth)
    return out


def main():
    options, command = arguments(__doc__)
    fills = hits = alarms = false_alarms = 0
    days, misses, leads, wrong, stages = 0.0, [], [], [], {}
    eta_errors = []
    with open(os.path.join(options.folder, "labels-disk.csv")) as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = os.path.join(options.folder, row["trace"] + ".csv")
        full = float(row["full_s"]) if row["full_s"] else None
        all_findings = [f for f in replay(command, path) if f["kind"] == "disk_fill"]
        forecasts = [f for f in all_findings if "stage" not in f]
        for finding in all_findings:
            if "stage" in finding:
                stages[finding["stage"]] = stages.get(finding["stage"], 0) + 1
        days += last_time(path) / DAY
        hit, false, lead = judge(forecasts, full)
        alarms += len(forecasts)
        false_alarms += false
        if false:
            wrong.append((row["trace"], row["kind"], "false", forecasts[0]["at_s"]))
        if full is None:
            continue
        fills += 1
        hits += hit
        eta_errors += errors(forecasts, full)
        if lead is not None:
            leads.append(lead / HOUR)
        if not hit:
            wrong.append((row["trace"], row["kind"], "missed", full))
    print(json.dumps({
        "traces": len(rows), "fills": fills, "recall": round(hits / max(1, fills), 4),
        "precision": round((alarms - false_alarms) / max(1, alarms), 4), "false_alarms": false_alarms,
        "false_alarms_per_disk_day": round(false_alarms / max(days, 1e-9), 5), "days": round(days, 1),
        "median_eta_error": round(statistics.median(eta_errors), 4) if eta_errors else None,
        "median_lead_h": round(statistics.median(leads), 1) if leads else None, "stages": stages,
    }))
    if options.verbose:
        for line in wrong:
            print(line)


if __name__ == "__main__":
    sys.exit(main())
