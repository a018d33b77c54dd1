#!/usr/bin/env python3
"""Score a log-flood replay program against labelled traces.

    score_log.py DIR [-v] -- COMMAND [ARG ...]

DIR holds `labels-log.csv` (trace, kind, source, onset_s, end_s, factor, background; no
source = nothing is wanted) and the traces.  COMMAND runs once a trace, `{}` in it replaced
by the trace's path, and prints `{"findings": [{"kind": "log_flood", "source": …, "at_s": …,
"cleared_s": …, "ratio": …}]}`.

Rules
  found    a finding of the trace within a day of the onset; the culprit is right if its source is
           the label's; where several begin at once, the one with the largest excess counts
  false    every finding that is not on the label's source between onset and two hours after the end
  big      incidents of factor 8 and more are also counted apart
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


def excess(finding):
    return finding.get("bytes_per_second", 0) - (finding.get("usual_bytes_per_second") or 0)


class Count:
    def __init__(self):
        self.incidents = self.found = self.named = self.right = 0
        self.delays = []

    def add(self, source, onset, findings):
        self.incidents += 1
        within = [f for f in findings if onset <= f["at_s"] <= onset + DAY]
        mine = [f for f in within if f["source"] == source]
        if within:
            first = min(f["at_s"] for f in within)
            self.named += 1
            self.right += max((f for f in within if f["at_s"] == first), key=excess)["source"] == source
        if not mine:
            return False
        self.found += 1
        self.delays.append((min(f["at_s"] for f in mine) - onset) / 60)
        return True

    def summary(self):
        return {
            "incidents": self.incidents, "recall": round(self.found / max(1, self.incidents), 4),
            "culprit_right": round(self.right / max(1, self.named), 4),
            "median_delay_min": round(statistics.median(self.delays), 1) if self.delays else None,
        }


def main():
    options, command = arguments(__doc__)
    all_of_them, big, false, wrong, source_days = Count(), Count(), 0, [], 0.0
    with open(os.path.join(options.folder, "labels-log.csv")) as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        path = os.path.join(options.folder, row["trace"] + ".csv")
        findings = [f for f in replay(command, path) if f["kind"] == "log_flood"]
        with open(path) as trace:
            sources, last = set(), 0.0
            for line in trace:
                cells = line.split(",")
                if len(cells) == 3 and cells[0][0].isdigit():
                    sources.add(cells[1])
                    last = float(cells[0])
        source_days += len(sources) * last / DAY
        onset = float(row["onset_s"]) if row["source"] else None
        end = float(row["end_s"]) if row["source"] else None
        for finding in findings:
            at = finding["at_s"]
            if onset is None or finding["source"] != row["source"] or not onset <= at <= end + 2 * HOUR:
                false += 1
                wrong.append((row["trace"], row["kind"], "false", finding["source"], at, finding["ratio"]))
        if onset is None:
            continue
        found = all_of_them.add(row["source"], onset, findings)
        if float(row["factor"]) >= 8:
            big.add(row["source"], onset, findings)
        if not found:
            wrong.append((row["trace"], row["kind"], "missed", row["factor"], row["background"]))
    print(json.dumps({
        "traces": len(rows), "source_days": round(source_days), "false_alarms": false,
        "precision": round(all_of_them.found / max(1, all_of_them.found + false), 4),
        "precision_x8": round(big.found / max(1, big.found + false), 4),
        "false_alarms_per_source_day": round(false / max(source_days, 1e-9), 5),
        "all": all_of_them.summary(), "x8": big.summary(),
    }))
    if options.verbose:
        for line in wrong:
            print(line)


if __name__ == "__main__":
    sys.exit(main())
