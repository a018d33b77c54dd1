#!/usr/bin/env python3
"""Makes labelled disk traces for `score_disk.py`.

    make_disk_traces.py DIR [--seed N] [--each N]

Every trace is one file system over 5 to 12 days, read every five minutes: columns
`t,size,free` in seconds and MiB, and a row in DIR/labels-disk.csv (`full_s` empty =
never full).  Sixteen kinds, `--each` of every kind; the same seed makes the same
files.  What a kind stands for is said at its function.
"""
import argparse
import math
import os
import random

STEP = 300
DAY = 86400
HOUR = 3600


class Disk:
    """What the kinds need: a size, a start, a clock and noise of the disk's own scale."""

    def __init__(self, rng):
        self.rng = rng
        self.size = math.exp(rng.uniform(math.log(8e3), math.log(2e6)))
        self.days = rng.uniform(5, 12)
        self.free = self.size * rng.uniform(0.45, 0.8)
        self.noise = self.size * 10 ** rng.uniform(-5, -3.3)
        self.phase = rng.uniform(0, DAY)

    def steps(self):
        return range(0, int(self.days * DAY), STEP)

    def fills_in(self, low, high):
        """A rate, MiB a second, that would fill the disk in so many days."""
        return self.free / (self.rng.uniform(low, high) * DAY)


def day_wave(disk, t, floor):
    """Activity over the day, from `floor` to 1."""
    return floor + (1 - floor) * (0.5 + 0.5 * math.sin(2 * math.pi * (t + disk.phase) / DAY)) ** 2


def linear(disk):
    """Data that only grows."""
    rate = disk.fills_in(2.5, 11)
    return [rate * t for t in disk.steps()]


def season(disk):
    """Grows by day, rests at night."""
    rate, floor, used, out = disk.fills_in(3, 11), disk.rng.uniform(0, 0.4), 0.0, []
    mean = floor + (1 - floor) * 0.375
    for t in disk.steps():
        out.append(used)
        used += rate * STEP * day_wave(disk, t, floor) / mean
    return out


def weekend(disk):
    """Grows on working days only."""
    disk.days += 3
    rate, used, out = disk.fills_in(4, 13), 0.0, []
    shift = disk.rng.randrange(7)
    for t in disk.steps():
        out.append(used)
        if (t // DAY + shift) % 7 < 5:
            used += rate * STEP * 7 / 5 * day_wave(disk, t, 0.2) / 0.5
    return out


def saw(disk, net):
    """A log rotated away at a fixed interval; `net` of each tooth stays for ever."""
    period = disk.rng.choice([6, 12, 24, 24, 36, 48]) * HOUR
    tooth = disk.free * disk.rng.uniform(0.08, 0.35)
    rate, kept, used, out = tooth / period, 0.0, 0.0, []
    for t in disk.steps():
        if t and t % period < STEP:
            kept += used * net
            used = 0.0
        used += rate * STEP * disk.rng.uniform(0.7, 1.3)
        out.append(kept + used)
    return out


def rotate_flat(disk):
    """Rotation that takes back all it wrote."""
    return saw(disk, 0)


def rotate_grow(disk):
    """Rotation with a growing rest."""
    rate = disk.fills_in(4, 11)
    teeth = saw(disk, 0)
    return [tooth + rate * i * STEP for i, tooth in enumerate(teeth)]


def bursts(disk, low, high, a_day, hours):
    """Temporary files: some a day, gone again after a while."""
    out = [0.0] * len(disk.steps())
    for _ in range(max(1, int(disk.days * a_day))):
        start = disk.rng.randrange(len(out))
        rise = disk.rng.randint(3, 18)
        length = int(disk.rng.uniform(*hours) * HOUR / STEP) + rise
        height = disk.free * disk.rng.uniform(low, high)
        for i in range(start, min(len(out), start + length)):
            out[i] += height * min(1, (i - start + 1) / rise)
    return out


def burst_temp(disk):
    """Temporary files on a disk that does not grow."""
    return bursts(disk, 0.05, 0.6, disk.rng.uniform(0.3, 1.5), (0.3, 3))


def burst_grow(disk):
    """Temporary files on a disk that grows."""
    rate = disk.fills_in(4, 10)
    return [burst + rate * i * STEP for i, burst in enumerate(bursts(disk, 0.03, 0.3, 0.4, (0.3, 3)))]


def cleanup(disk):
    """Grows until a janitor deletes at a threshold."""
    rate, used, out = disk.fills_in(0.8, 3), 0.0, []
    threshold, goal = disk.free * disk.rng.uniform(0.6, 0.92), disk.free * disk.rng.uniform(0.1, 0.5)
    for _ in disk.steps():
        out.append(used)
        used += rate * STEP * disk.rng.uniform(0.5, 1.5)
        if used > threshold * disk.rng.uniform(0.97, 1.03):
            used = goal * disk.rng.uniform(0.9, 1.1)
    return out


def debuglog(disk):
    """Quiet growth by day, then a debug log is left on."""
    slow, onset = disk.fills_in(40, 200), disk.rng.uniform(2, 8) * DAY
    fast, used, out = disk.free / (disk.rng.uniform(8, 60) * HOUR), 0.0, []
    for t in disk.steps():
        out.append(used)
        used += STEP * slow * day_wave(disk, t, 0.2) / 0.5
        if t > onset:
            used += STEP * fast * day_wave(disk, t, disk.rng.uniform(0.3, 0.7))
    return out


def wal(disk):
    """A write-ahead log that a stuck replica keeps from being recycled."""
    onset, fast = disk.rng.uniform(2, 7) * DAY, disk.free / (disk.rng.uniform(10, 60) * HOUR)
    breath = disk.free * disk.rng.uniform(0.001, 0.01)
    return [max(0, t - onset) * fast + breath * (1 + math.sin(t / 4000) + disk.rng.gauss(0, 0.3)) for t in disk.steps()]


def steps(disk):
    """Installs and copies: seldom, once each."""
    slow, used, out = disk.fills_in(100, 400), 0.0, []
    for _ in disk.steps():
        out.append(used)
        used += slow * STEP
        if disk.rng.random() < STEP / DAY * 0.8:
            used += disk.free * disk.rng.uniform(0.01, 0.12)
    return [min(v, disk.free * 0.85) for v in out]


def idle(disk):
    """Nothing happens, and a little noise."""
    slow = disk.fills_in(60, 2000)
    return [slow * t for t in disk.steps()]


def decel(disk):
    """Fast at first, then it settles below full."""
    settle, tau = disk.free * disk.rng.uniform(0.5, 0.88), disk.rng.uniform(0.8, 3.5) * DAY
    return [settle * (1 - math.exp(-t / tau)) for t in disk.steps()]


def nightly(disk):
    """A backup by night: written, shipped, deleted."""
    start, hours = disk.rng.uniform(0, DAY), disk.rng.uniform(1, 6)
    height, slow = disk.free * disk.rng.uniform(0.2, 0.8), disk.fills_in(60, 400)
    out = []
    for t in disk.steps():
        since = (t - start) % DAY / HOUR
        inside = since < 2 * hours and t > start
        out.append(slow * t + (height * min(1, since / hours) if inside else 0))
    return out


def copy(disk):
    """One long copy, a restore or a download, that ends by itself before the disk is full."""
    onset, hours = disk.rng.uniform(1.8, 5) * DAY, disk.rng.uniform(2, 9)
    height, slow = disk.free * disk.rng.uniform(0.3, 0.75), disk.fills_in(60, 400)
    return [slow * t + height * min(1, max(0, t - onset) / (hours * HOUR)) for t in disk.steps()]


def accelerate(disk):
    """Growth that itself grows: more customers every day."""
    days = disk.rng.uniform(6, 12)
    return [disk.free * (t / (days * DAY)) ** disk.rng.choice([1.6]) for t in disk.steps()]


KINDS = [
    linear, season, weekend, rotate_flat, rotate_grow, burst_temp, burst_grow, cleanup, debuglog, wal, steps, idle,
    decel, nightly, copy, accelerate,
]


def make(kind, rng):
    """(size, rows of free, full_s or None).

    The trace ends where the disk is full.  One that would be full only after its end is
    cut three days before, so that nothing it holds is within 48 hours of full.
    """
    disk = Disk(rng)
    days, disk.days = disk.days, disk.days + 8
    used = kind(disk)
    size, rows = int(disk.size), []
    for i, value in enumerate(used):
        free = disk.free - value + rng.gauss(0, disk.noise)
        if free <= 0:
            if i * STEP <= (days + 1) * DAY:
                return size, rows, i * STEP
            return size, rows[: i - 3 * DAY // STEP], None
        rows.append(int(min(size, free)))
    return size, rows[: int(days * DAY / STEP)], None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=4)
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    with open(os.path.join(arguments.folder, "labels-disk.csv"), "w") as labels:
        labels.write("trace,kind,full_s\n")
        for number in range(arguments.each * len(KINDS)):
            kind = KINDS[number % len(KINDS)]
            size, rows, full = make(kind, random.Random(arguments.seed * 100003 + number))
            name = f"disk-{arguments.seed}-{number + 1:03d}"
            word = kind.__name__.replace("_", "-")
            with open(os.path.join(arguments.folder, name + ".csv"), "w") as trace:
                trace.write(f"# nightjar-trace v1; kind=disk; source=made; seed={arguments.seed}; speedup=1; MiB\n")
                trace.write("t,size,free\n")
                trace.writelines(f"{i * STEP},{size},{free}\n" for i, free in enumerate(rows))
            labels.write(f"{name},{word},{'' if full is None else full}\n")


if __name__ == "__main__":
    main()
