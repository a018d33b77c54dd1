#!/usr/bin/env python3
"""Record the programs beside this file as traces: record.py DIR [SECONDS]

Starts every mode of Programs/programs.py and Programs/programs.c, reads /proc/PID/statm ten times a second for SECONDS
(240), and writes DIR/real-PROGRAM.csv and DIR/labels-recorded.csv. A tenth of a second stands for five minutes. A
bounded program whose lower envelope still rises by more than 1 % over the last quarter is labelled ambiguous.
"""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


def modes(command):
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        name, label, *onset = line.split()
        yield name, label, int(onset[0]) if onset else 0, command + [name]


def still_rises(values):
    eighth = len(values) // 8
    return min(values[-eighth:]) > 1.01 * min(values[-2 * eighth:-eighth])


def main():
    folder, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 240
    os.makedirs(folder, exist_ok=True)
    binary = os.path.join(folder, "programs")
    subprocess.run(["cc", "-O1", "-w", "-pthread", "-o", binary, os.path.join(HERE, "Programs/programs.c")], check=True)
    script = [sys.executable, os.path.join(HERE, "Programs/programs.py")]
    started = []
    for language, command in (("c", [binary]), ("py", script)):
        for name, label, onset, line in modes(command):
            started.append((f"real-{language}-{name.replace('_', '-')}", label, onset, subprocess.Popen(line), []))
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        for _, _, _, process, rows in started:
            _, rss, shared, *_ = open(f"/proc/{process.pid}/statm").read().split()
            rows.append((now, int(rss) * PAGE, (int(rss) - int(shared)) * PAGE))
        time.sleep(max(0, begin + len(started[0][4]) * 0.1 - time.monotonic()))
    with open(os.path.join(folder, "labels-recorded.csv"), "w") as labels:
        labels.write("trace,source,label,kind,onset_s,limit_kib\n")
        for name, label, onset, process, rows in started:
            process.kill()
            if label == "healthy" and still_rises([anon for _, _, anon in rows]):
                label = "ambiguous"
            onset_s = onset / 10 if label == "leak" else ""
            labels.write(f"{name},real,{label},{name[5:]},{onset_s},\n")
            with open(os.path.join(folder, name + ".csv"), "w") as file:
                file.write("# nightjar-trace v1; kind=memory; source=real; interval_s=0.1; speedup=3000; KiB\nt,rss,anon\n")
                file.writelines(f"{t:.2f},{rss},{anon}\n" for t, rss, anon in rows)
    os.remove(binary)


if __name__ == "__main__":
    main()
