#!/usr/bin/env bash
# Plants stalls and adds up what the probe made of them: Tests/Stalls/run.sh [REPETITIONS] [static] [stripped]
#   REPETITIONS  of every cause on every loop (default 4: 5 loops × 11 causes × 4 = 220, and deadlocks and the pool)
#   static       with the Swift runtime linked in
#   stripped     without debug information
# Prints what was missed, unnamed or given a wrong cause, then the sums; exits 1 below 99 % detected, 97 % named, 95 % right
# causes, or with a false report.
set -euo pipefail
cd "$(dirname "$0")/../.."
repetitions=4
flags=(-c release --product nightjar-stalls)
strip=no
for word in "$@"; do
    case $word in
        static) flags+=(--static-swift-stdlib --scratch-path .build-static) ;;
        stripped) strip=yes ;;
        *) repetitions=$word ;;
    esac
done
swift build "${flags[@]}" >&2
program=$(swift build "${flags[@]}" --show-bin-path)/nightjar-stalls
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$program" "$work/nightjar-stalls"
if [ "$strip" = yes ]; then strip -g "$work/nightjar-stalls"; fi
run() { timeout 600 "$work/nightjar-stalls" "$@" >>"$work/lines" || echo "failed	$*" >>"$work/lines"; }
for loop in runloop dispatch-main queue nio main-actor; do
    run "$loop" "$repetitions"
    for _ in 1 2; do run deadlock "$loop"; done
done
for _ in $(seq "$repetitions"); do run pool; done
awk -F'\t' '
    $3 == "detected" || $3 == "missed" { total++ }
    # A stall that was mostly waiting for a processor is not the service'"'"'s, and need not be reported.
    $3 == "missed" && $9 ~ /^[0-9]+$/ && $9 < 55000 { total--; excused++; next }
    $3 == "detected" { detected++; if ($4 == "named") named++; if ($5 == "right") right++ }
    $3 == "detected" && $6 ~ /^-?[0-9]+$/ { starts[n++] = $6 < 0 ? -$6 : $6; lengths[m++] = $7 < 0 ? -$7 : $7 }
    $3 == "missed" || $4 == "unnamed" || $5 == "wrong" || $1 == "failed" { print "  " $0 }
    $3 ~ /^false=/ { sub(/false=/, "", $3); wrongly += $3 }
    function median(values, count,   i, j, t) {
        for (i = 1; i < count; i++) for (j = i; j > 0 && values[j-1] > values[j]; j--) { t = values[j]; values[j] = values[j-1]; values[j-1] = t }
        return count ? values[int(count / 2)] : 0
    }
    END {
        printf "planted %d (%d more were starved)\ndetected %.1f %%\nnamed %.1f %%\ncause right %.1f %%\nfalse %d\n", total, excused, 100 * detected / total, 100 * named / total, 100 * right / total, wrongly
        printf "start off by %.1f ms (median), duration off by %.1f ms (median)\n", median(starts, n) / 1000, median(lengths, m) / 1000
        exit !(detected >= 0.99 * total && named >= 0.97 * total && right >= 0.95 * total && wrongly == 0)
    }' "$work/lines"
