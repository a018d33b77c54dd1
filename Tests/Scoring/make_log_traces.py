#!/usr/bin/env python3
"""Makes labelled log-volume traces for `score_log.py`.

    make_log_traces.py DIR [--seed N] [--traces N]

A trace is one host over 14 days: columns `t,source,bytes`, what each of its 1 to 8
sources wrote in the five minutes that end at `t`.  Half of the sources have the shape
of a rate that was recorded on a real system (recorded-rates.txt), the other half a
made-up one with daily and weekly seasons.  DIR/labels-log.csv says what happened:

    trace,kind,source,onset_s,end_s,factor,background

    flood         a debug log left on: x8 to x60 for 6 hours to 3 days
    flood-nightly the same, on a source that also has a nightly job
    deploy        a new version that logs x3.5 to x6 from now on
    spikes        ten minutes of x10 to x50, several times       (nothing wanted)
    nightly       a job of 20 to 50 minutes at x5 to x40         (nothing wanted)
    growth        x1.2 to x1.9 over the two weeks                (nothing wanted)
    none          nothing                                        (nothing wanted)

The first two days are never the time of an incident; the same seed makes the same files.
"""
import argparse
import math
import os
import random

STEP = 300
SLOTS = 14 * 288
FOLDER = os.path.dirname(os.path.abspath(__file__))
KINDS = ["flood", "none", "flood-nightly", "spikes", "flood", "nightly", "deploy", "growth"]


def recorded():
    """Every stretch of 14 days of every recorded series, as rates around 1."""
    stretches = []
    with open(os.path.join(FOLDER, "recorded-rates.txt")) as file:
        for line in file:
            if line.startswith("#"):
                continue
            name, *cells = line.split()
            values = [float(cell) for cell in cells]
            for part in range(0, max(1, len(values) - SLOTS + 1), SLOTS):
                stretch = values[part:part + SLOTS]
                if len(stretch) < SLOTS:
                    stretch = (stretch * (SLOTS // len(stretch) + 1))[:SLOTS]
                mean = sum(stretch) / SLOTS or 1
                stretches.append((f"{name}-{part // SLOTS}", [v / mean for v in stretch]))
    return stretches


def seasonal(rng):
    """Rates around 1 with a day, a week and noise."""
    day, week = rng.uniform(0, 0.9), rng.uniform(0, 0.6)
    phase, noise = rng.uniform(0, 288), rng.choice([0.05, 0.15, 0.3, 0.5])
    drift, out = 0.0, []
    for slot in range(SLOTS):
        wave = 1 + day * math.sin(2 * math.pi * (slot + phase) / 288)
        if slot // 288 % 7 >= 5:
            wave *= 1 - week
        drift = 0.97 * drift + rng.gauss(0, noise / 4)
        out.append(max(0.01, wave) * math.exp(drift + rng.gauss(0, noise)))
    return out


def add_nightly(rng, rate):
    """A job of 20 to 50 minutes, x5 to x40 of the mean, every night at about the same time."""
    start, length, factor = rng.randrange(288), rng.randint(4, 10), rng.uniform(5, 40)
    mean = sum(rate) / len(rate)
    for day in range(-1, 15):
        first = day * 288 + start + rng.randint(-2, 2)
        for slot in range(max(0, first), min(SLOTS, first + length)):
            rate[slot] += mean * factor * rng.uniform(0.8, 1.2)


def add_spikes(rng, rate):
    """Ten minutes of x10 to x50, three to twelve times."""
    mean = sum(rate) / len(rate)
    for _ in range(rng.randint(3, 12)):
        first = rng.randrange(288, SLOTS - 2)
        for slot in (first, first + 1):
            rate[slot] += mean * rng.uniform(10, 50)


def add_flood(rng, rate, low, high, hours):
    """(onset, end, factor): from onset on the rate is `factor` times what it was, on its own scale and the mean's."""
    onset = rng.randrange(3 * 288, 11 * 288)
    end = min(SLOTS, onset + int(rng.uniform(*hours) * 12))
    factor = math.exp(rng.uniform(math.log(low), math.log(high)))
    mean, mixed = sum(rate) / len(rate), rng.random()
    for slot in range(onset, end):
        base = mixed * rate[slot] + (1 - mixed) * mean
        rate[slot] += (factor - 1) * base * math.exp(rng.gauss(0, 0.1))
    return onset * STEP, end * STEP, factor


def make(number, rng, stretches):
    kind = KINDS[number % len(KINDS)]
    count = rng.choice([1, 1, 1, 2, 3, 8])
    rates, backgrounds = [], []
    for _ in range(count):
        if rng.random() < 0.5:
            name, rate = rng.choice(stretches)
            shift = rng.randrange(0, 7) * 288
            rate = [v * math.exp(rng.gauss(0, 0.05)) for v in rate[shift:] + rate[:shift]]
        else:
            name, rate = "made", seasonal(rng)
        rates.append(rate)
        backgrounds.append(name)
    victim = rng.randrange(count)
    rate, label = rates[victim], ("", "", "")
    if kind in ("flood-nightly", "nightly"):
        add_nightly(rng, rate)
    if kind == "spikes":
        add_spikes(rng, rate)
    if kind == "growth":
        top = rng.uniform(1.2, 1.9)
        rates[victim] = [v * (1 + (top - 1) * slot / SLOTS) for slot, v in enumerate(rate)]
    if kind.startswith("flood"):
        label = add_flood(rng, rate, 8, 60, (6, 72))
    if kind == "deploy":
        label = add_flood(rng, rate, 3.5, 6, (24 * 14, 24 * 14 + 1))
    scales = [10 ** rng.uniform(3.5, 6.5) for _ in range(count)]
    rows = [[int(v * scale) for v in rate] for rate, scale in zip(rates, scales)]
    return kind, f"source-{victim + 1}", label, backgrounds[victim], rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traces", type=int, default=64)
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    stretches = recorded()
    with open(os.path.join(arguments.folder, "labels-log.csv"), "w") as labels:
        labels.write("trace,kind,source,onset_s,end_s,factor,background\n")
        for number in range(arguments.traces):
            kind, source, (onset, end, factor), background, rows = make(
                number, random.Random(arguments.seed * 100003 + number), stretches)
            name = f"log-{arguments.seed}-{number + 1:03d}"
            with open(os.path.join(arguments.folder, name + ".csv"), "w") as trace:
                trace.write(f"# nightjar-trace v1; kind=log; source=made; seed={arguments.seed}; speedup=1; bytes\n")
                trace.write("t,source,bytes\n")
                for slot in range(SLOTS):
                    trace.writelines(
                        f"{(slot + 1) * STEP},source-{i + 1},{row[slot]}\n" for i, row in enumerate(rows))
            factor = f"{factor:.1f}" if factor else ""
            labels.write(f"{name},{kind},{source if factor else ''},{onset},{end},{factor},{background}\n")


if __name__ == "__main__":
    main()
