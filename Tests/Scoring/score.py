#!/usr/bin/env python3
"""How often HeapGrowth is right: score.py DIR [-v] -- nightjar replay {} --format json

DIR holds labelled traces: labels-*.csv (trace,source,label,kind,onset_s,...) and one TRACE.csv or TRACE.csv.gz a row.
The command runs once a trace, `{}` being its path, and prints the JSON of `nightjar replay`; findings of kind
heap_growth and severity leak count.

A leak trace is a hit when a finding was raised at or after its onset, or is still open then; a finding before its onset
is a false positive as well. A healthy trace with any finding is a false positive. Ambiguous traces (bounded, but still
rising when the recording ends) are run and listed apart.

Prints one JSON line: precision, recall, f1, counts, false alarms a process-day (over healthy traces and the time
before each onset), median days from onset to alert, median rise of the day-low at the alert. -v lists what is wrong.
Exit 1 where --least-precision, --least-recall or --most-false-alarms is not kept.
"""
import argparse
import csv
import glob
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile

DAY = 86_400


def labels(folder):
    rows = {}
    for path in sorted(glob.glob(os.path.join(folder, "labels-*.csv"))):
        with open(path, newline="") as file:
            rows.update((row["trace"], row) for row in csv.DictReader(file))
    return sorted(rows.items())


def open_trace(folder, name):
    plain = os.path.join(folder, name + ".csv")
    return open(plain) if os.path.exists(plain) else gzip.open(plain + ".gz", "rt")


def read(folder, name):
    """Speed-up and [(t, anon)]."""
    speedup, columns, rows = 1.0, None, []
    with open_trace(folder, name) as file:
        for line in file:
            if line.startswith("#"):
                pairs = (part.split("=", 1) for part in line[1:].split(";") if "=" in part)
                speedup = float({key.strip(): value for key, value in pairs}.get("speedup", speedup))
            elif columns is None:
                columns = line.strip().split(",")
            elif line.strip():
                cells = line.strip().split(",")
                rows.append((float(cells[columns.index("t")]), float(cells[columns.index("anon")])))
    return speedup, rows


def replay(command, folder, name):
    """The leak findings of one trace, in the order in which they were raised."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(folder, name + ".csv")
        if not os.path.exists(path):
            path = os.path.join(scratch, name + ".csv")
            with open(path, "w") as copy, open_trace(folder, name) as file:
                copy.write(file.read())
        ran = subprocess.run([word.replace("{}", path) for word in command], capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"score: {name}: {ran.stderr.strip()}")
    findings = json.loads(ran.stdout)["findings"]
    return [f for f in findings if f["kind"] == "heap_growth" and f.get("severity", "leak") == "leak"]


class Score:
    def __init__(self):
        self.hits = self.misses = self.false = self.right = self.alarms = 0
        self.quiet_days = 0.0
        self.delays, self.rises, self.wrong = [], [], []
        self.ambiguous = [0, 0]

    def healthy(self, name, kind, found, speedup, rows):
        self.quiet_days += (rows[-1][0] - rows[0][0]) * speedup / DAY
        self.alarms += len(found)
        if found:
            self.false += 1
            self.wrong.append(f"false    {name} ({kind}) at {found[0]['at_s']}")
        else:
            self.right += 1

    def leak(self, name, kind, onset, found, speedup, rows):
        self.quiet_days += onset * speedup / DAY
        early = [f for f in found if f["at_s"] < onset]
        self.alarms += len(early)
        if early:
            self.false += 1
            self.wrong.append(f"too soon {name} ({kind}) at {early[0]['at_s']}")
        hits = [f for f in found if f["at_s"] >= onset or f["cleared_s"] is None or f["cleared_s"] > onset]
        if not hits:
            self.misses += 1
            self.wrong.append(f"missed   {name} ({kind})")
            return
        self.hits += 1
        at, day = max(onset, hits[0]["at_s"]), DAY / speedup
        self.delays.append((at - onset) * speedup / DAY)
        begin = min(v for t, v in rows if onset <= t <= onset + day)
        end = min([v for t, v in rows if max(onset, at - day) <= t <= at] or [begin])
        self.rises.append(end / begin - 1)

    def summary(self):
        precision = self.hits / max(1, self.hits + self.false)
        recall = self.hits / max(1, self.hits + self.misses)
        return {
            "precision": round(precision, 4), "recall": round(recall, 4),
            "f1": round(2 * precision * recall / max(precision + recall, 1e-9), 4),
            "tp": self.hits, "fp": self.false, "fn": self.misses, "tn": self.right,
            "false_alarms_per_process_day": round(self.alarms / max(self.quiet_days, 1e-9), 5),
            "days": round(self.quiet_days, 1),
            "median_days_to_detect": round(statistics.median(self.delays), 2) if self.delays else None,
            "median_growth_at_detection": round(statistics.median(self.rises), 3) if self.rises else None,
            "ambiguous": self.ambiguous,
        }


def main():
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--least-precision", type=float, default=0)
    parser.add_argument("--least-recall", type=float, default=0)
    parser.add_argument("--most-false-alarms", type=float, default=1e9)
    options, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1:]
    if not command:
        parser.error("no command after --")
    score = Score()
    for name, label in labels(options.folder):
        speedup, rows = read(options.folder, name)
        found = replay(command, options.folder, name)
        if label["label"] == "ambiguous":
            score.ambiguous[0] += 1
            score.ambiguous[1] += bool(found)
        elif label["label"] == "healthy":
            score.healthy(name, label["kind"], found, speedup, rows)
        else:
            score.leak(name, label["kind"], float(label["onset_s"] or 0), found, speedup, rows)
    summary = score.summary()
    print(json.dumps(summary))
    if options.v:
        print("\n".join(score.wrong))
    kept = (
        summary["precision"] >= options.least_precision and summary["recall"] >= options.least_recall
        and summary["false_alarms_per_process_day"] <= options.most_false_alarms)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
