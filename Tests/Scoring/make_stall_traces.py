#!/usr/bin/env python3
"""Makes labelled recordings of a loop's beats for `score_stall.py`.

    make_stall_traces.py DIR [--seed N] [--each N]

A trace is one loop that beats every 10 ms for 120 to 300 s: columns `t,lag_us,rundelay_us,cpu_us`, when the beat ran, how late it
was, how long of that the thread was ready without a processor, and what it ran.  The head says when the recording ended
(`end_s`), because a loop that hangs writes no row.  DIR/labels-stall.csv says what happened:

    trace,kind,onset_s,starved

    json          250 to 450 ms of work every 1 to 3 s, from the onset on
    small         40 to 90 ms, two to five times a second
    creep         stalls that grow from 20 ms to 300 ms
    hang          7 to 20 s once, then all is well
    hang-for-ever it never comes back
    none, busy    nothing; jobs of 1 to 15 ms                    (nothing wanted)
    gc            20 to 50 ms every 5 s                          (nothing wanted)
    cron          200 to 350 ms once a minute                    (nothing wanted)

Half of each kind stand on a crowded host, where the thread waits for a processor for 10 to 60 % of the time, some of the
others under a quota that holds them back for most of every 100 ms: `starved` is 1 there.
"""
import argparse
import csv
import os
import random

KINDS = ["json", "small", "creep", "hang", "hang-for-ever", "none", "busy", "gc", "cron"]
INCIDENTS = KINDS[:5]
BEAT = 0.010


def host(rng, kind):
    """A function of time and own work: the seconds without a processor that come with it."""
    if kind == "calm":
        return lambda t, own: rng.expovariate(1 / 0.0002)
    if kind == "quota":
        share = rng.uniform(0.1, 0.4)

        def quota(t, own):
            # Of every 100 ms the first part is ours, the rest is waited for.
            periods = (t % 0.1 + own) / (share * 0.1)
            return int(periods) * (1 - share) * 0.1
        return quota
    crowd = rng.uniform(0.1, 0.6)

    def crowded(t, own):
        waited = rng.expovariate(1 / 0.004) if rng.random() < crowd else 0.0
        if rng.random() < 0.004 * crowd:
            waited += rng.uniform(0.1, 2.0)
        return waited + own * crowd * rng.uniform(0.5, 2.5)
    return crowded


def work(rng, kind, onset, length):
    """A function of time: the seconds that the loop is held up by its own job at this beat."""
    state = {"next": onset}
    gap = rng.uniform(1, 3)
    rate = rng.uniform(2, 5)
    phase = rng.uniform(0, 60)
    span = rng.uniform(7, 20)

    def at(t):
        own = rng.expovariate(1 / 0.0003)
        if kind == "busy":
            own += rng.uniform(0.001, 0.015)
        if kind in ("gc", "cron"):
            period = 5 if kind == "gc" else 60
            if state.setdefault("tick", int((t + phase) / period)) != int((t + phase) / period):
                state["tick"] = int((t + phase) / period)
                own += rng.uniform(0.02, 0.05) if kind == "gc" else rng.uniform(0.2, 0.35)
        if kind not in INCIDENTS or t < state["next"]:
            return own
        if kind == "json":
            state["next"] = t + gap * rng.uniform(0.8, 1.2)
            return own + rng.uniform(0.25, 0.45)
        if kind == "small":
            state["next"] = t + rng.uniform(0.5, 1.5) / rate
            return own + rng.uniform(0.04, 0.09)
        if kind == "creep":
            state["next"] = t + rng.uniform(0.2, 0.6)
            return own + 0.02 + 0.28 * (t - onset) / (length - onset)
        state["next"] = length * 2
        return own + (span if kind == "hang" else length)
    return at


def write(path, rng, kind, place, length, onset):
    waits, works = host(rng, place), work(rng, kind, onset, length)
    due, free = BEAT, 0.0
    with open(path, "w") as file:
        file.write(f"# nightjar-stall v1; beat_ms=10; lag in us per beat; end_s={length:.0f}\n")
        file.write("t,lag_us,rundelay_us,cpu_us\n")
        while True:
            start = max(due, free)
            own = works(start)
            waited = waits(start, own)
            ran = start + own + waited
            if ran >= length:
                return
            file.write(f"{ran:.3f},{(ran - due) * 1e6:.0f},{waited * 1e6:.0f},{own * 1e6:.0f}\n")
            free = ran
            due = ran + BEAT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=4, help="traces of each kind")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    with open(os.path.join(options.folder, "labels-stall.csv"), "w", newline="") as file:
        labels = csv.writer(file)
        labels.writerow(["trace", "kind", "onset_s", "starved"])
        for kind in KINDS:
            for index in range(options.each):
                rng = random.Random(f"{options.seed} {kind} {index}")
                place = "calm" if index % 2 == 0 else rng.choice(["crowded", "crowded", "quota"])
                length = rng.uniform(120, 300)
                onset = length * rng.uniform(0.2, 0.6)
                name = f"{kind}-{index}"
                write(os.path.join(options.folder, name + ".csv"), rng, kind, place, length, onset)
                labels.writerow([name, kind, f"{onset:.0f}" if kind in INCIDENTS else "", int(place != "calm")])


main()
