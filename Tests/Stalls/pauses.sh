#!/usr/bin/env bash
# Holds a process up from outside in every way that is not its own fault, and counts what the probe reports as a stall of the
# service: it must be nothing. Usage: Tests/Stalls/pauses.sh [PROGRAM] [CASE…]
#   stopped     SIGSTOP and SIGCONT, over and over
#   frozen      the freezer of its control group (root; v1, or cgroup.freeze on v2)
#   debugged    a debugger that takes all threads, or the one of the loop, holds them and lets go
#   jumped      CLOCK_MONOTONIC goes on by 30 s at a stroke, as after a pause of a virtual machine
#   crowded     six busy processes beside it for every two processors
#   throttled   a control group with 10 % of one processor (root; v1, or cpu.max on v2): to be reported as starved by the quota
# PROGRAM is nightjar-stalls of a release build (default: built here). Loops: runloop, queue, nio; each serves a job of 3 ms
# every 13 ms meanwhile. A case that cannot run here is skipped aloud; with NIGHTJAR_ALL=1 it fails.
set -euo pipefail
program=${1:-}
if [ $# -gt 0 ]; then shift; fi
if [ -z "$program" ]; then
    cd "$(dirname "$0")/../.."
    swift build -c release --product nightjar-stalls >&2
    program=$(swift build -c release --product nightjar-stalls --show-bin-path)/nightjar-stalls
fi
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(stopped frozen debugged jumped crowded throttled)
seconds=${NIGHTJAR_SECONDS:-8}
work=$(mktemp -d)
children=() groups=() failures=0
clean_up() {
    for child in "${children[@]}"; do kill -CONT "$child" 2>/dev/null || true; kill -9 "$child" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for group in "${groups[@]}"; do rmdir "$group" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT
export NIGHTJAR_SOCKET=

# begin CASE: the loops' processes, in a control group where $group names one.
begin() {
    pids=()
    for loop in runloop queue nio; do
        (
            if [ -n "${group:-}" ]; then sh -c 'echo $PPID' >"$group/cgroup.procs"; fi
            exec env LD_PRELOAD="${preload:-}" "$program" quiet "$loop" "$seconds" busy
        ) >"$work/$1.$loop" &
        pids+=($!)
    done
    children+=("${pids[@]}")
    sleep 1
}

# finish CASE: what was reported.
finish() {
    local false=0 host=0 quota=0 ended=0 line
    for pid in "${pids[@]}"; do wait "$pid" || true; done
    children=()
    while read -r line; do
        case $line in
            *beside*) ended=$((ended + 1)) ;;
            stranger*) echo "  $line" ;;
        esac
        [[ $line =~ false=([0-9]+) ]] && false=$((false + BASH_REMATCH[1]))
        [[ $line =~ host=([0-9]+) ]] && host=$((host + BASH_REMATCH[1]))
        [[ $line =~ quota=([0-9]+) ]] && quota=$((quota + BASH_REMATCH[1]))
    done < <(cat "$work/$1".*)
    echo "$1: $false stalls of the service, $host times starved by the host, $quota by the quota"
    [ "$ended" -eq 3 ] || { echo "$1: only $ended of 3 processes came to their end"; failures=$((failures + 1)); }
    [ "$false" -eq 0 ] || failures=$((failures + 1))
    if [ "$1" = throttled ] && [ "$quota" -eq 0 ]; then echo "$1: nobody said so"; failures=$((failures + 1)); fi
}

skip() {
    echo "$1: skipped, $2"
    if [ -n "${NIGHTJAR_ALL:-}" ]; then failures=$((failures + 1)); fi
}

alive() { kill -0 "${pids[@]}" 2>/dev/null; }

# make_group CONTROLLER: a control group of our own in $group, its version in $version.
make_group() {
    if [ -e "/sys/fs/cgroup/$1/cgroup.procs" ]; then
        version=1 group=/sys/fs/cgroup/$1/nightjar-$1.$$
    elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        version=2 group=/sys/fs/cgroup/nightjar-$1.$$
        if [ "$1" = cpu ]; then echo +cpu >/sys/fs/cgroup/cgroup.subtree_control || return 1; fi
    else
        return 1
    fi
    mkdir "$group" 2>/dev/null || return 1
    groups+=("$group")
}

stopped() {
    begin stopped
    while alive; do
        kill -STOP "${pids[@]}" 2>/dev/null || true
        sleep "0.$((RANDOM % 5 + 1))"
        kill -CONT "${pids[@]}" 2>/dev/null || true
        sleep "0.$((RANDOM % 4 + 2))"
    done
    finish stopped
}

frozen() {
    local group version
    make_group freezer || { skip frozen "no freezer for us"; return; }
    begin frozen
    while alive; do
        if [ "$version" = 1 ]; then echo FROZEN >"$group/freezer.state"; else echo 1 >"$group/cgroup.freeze"; fi
        sleep "0.$((RANDOM % 5 + 1))"
        if [ "$version" = 1 ]; then echo THAWED >"$group/freezer.state"; else echo 0 >"$group/cgroup.freeze"; fi
        sleep "0.$((RANDOM % 4 + 2))"
    done
    finish frozen
}

debugged() {
    command -v python3 >/dev/null || { skip debugged "no python3"; return; }
    begin debugged
    local pid tracers=()
    for pid in "${pids[@]}"; do python3 "$(dirname "$here")/hold.py" "$pid" $((seconds - 2)) & tracers+=($!); done
    for pid in "${tracers[@]}"; do wait "$pid" || failures=$((failures + 1)); done
    finish debugged
}

jumped() {
    local preload compiler
    compiler=$(command -v clang || command -v cc) || { skip jumped "no C compiler"; return; }
    "$compiler" -shared -fPIC -O1 -o "$work/jump.so" "$(dirname "$here")/jump.c"
    head -c 8 /dev/zero >"$work/ahead"
    export NIGHTJAR_JUMP=$work/ahead
    preload=$work/jump.so
    begin jumped
    local ahead=0
    while alive; do
        ahead=$((ahead + 30))
        python3 -c "import struct, sys; open(sys.argv[1], 'r+b').write(struct.pack('q', $ahead * 10**9))" "$work/ahead"
        sleep "0.$((RANDOM % 5 + 3))"
    done
    finish jumped
}

crowded() {
    local n=$((3 * $(nproc))) hogs=()
    for _ in $(seq "$n"); do (while :; do :; done) & hogs+=($!); done
    children+=("${hogs[@]}")
    begin crowded
    while alive; do sleep 0.2; done
    kill -9 "${hogs[@]}"
    wait "${hogs[@]}" 2>/dev/null || true
    finish crowded
}

throttled() {
    local group version
    make_group cpu || { skip throttled "no cpu group for us"; return; }
    if [ "$version" = 1 ]; then
        echo 100000 >"$group/cpu.cfs_period_us"
        echo 10000 >"$group/cpu.cfs_quota_us"
    else
        echo "10000 100000" >"$group/cpu.max"
    fi
    begin throttled
    while alive; do sleep 0.2; done
    finish throttled
}

here=$(readlink -f "$0")
for case in "${cases[@]}"; do
    case $case in
        stopped | frozen | debugged | jumped | crowded | throttled) "$case" ;;
        *) echo "pauses.sh: what is '$case'?" >&2; exit 2 ;;
    esac
done
[ "$failures" -eq 0 ]
