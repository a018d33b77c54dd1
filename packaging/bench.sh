#!/usr/bin/env bash
# Builds and runs every benchmark with its thresholds: packaging/bench.sh [--quick] [--json FILE] [NAME…]
#   --quick   the short form of each (a minute in all), for every change
#   --json    appends one JSON object a benchmark to FILE
# Exit 0 where every threshold is kept, 1 where one is not. Figures in µs are for a quiet machine; thresholds are ratios
# to a floor of the same run, and counts.
set -euo pipefail
cd "$(dirname "$0")/.."

options=()
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) options+=("$1") ;;
    --json) options+=("$1" "$(realpath -m "${2:?--json wants a file}")") && shift ;;
    -*) echo "usage: packaging/bench.sh [--quick] [--json FILE] [NAME…]" >&2 && exit 2 ;;
    *) names+=("$1") ;;
    esac
    shift
done

package=Tests/Benchmarks
# Every executable of the package but the one that the others start.
mapfile -t known < <(tr -d ' \n' <"$package/Package.swift" | grep -o 'benchmark("[A-Za-z]*"' | cut -d'"' -f2)
for name in "${names[@]}"; do
    [[ " ${known[*]} " == *" $name "* ]] || { echo "bench: no benchmark '$name'; there are ${known[*]}" >&2; exit 2; }
done
if [ "${#names[@]}" -eq 0 ]; then names=("${known[@]}"); fi

packaging/setup.sh build
scratch=$PWD/.build-benchmarks
swift build -c release --package-path "$package" --scratch-path "$scratch"
bin=$(swift build -c release --package-path "$package" --scratch-path "$scratch" --show-bin-path)

# The agent and its inspector as they are shipped, and a service with the probe, for those who weigh them.
static=$PWD/.build-release
for name in "${names[@]}"; do
    case $name in
    Agent*) product=nightjard option=--agent ;;
    Service*)
        sample=Tests/Samples/Checkout
        swift build -c release --package-path "$sample"
        options+=(--service "$(swift build -c release --package-path "$sample" --show-bin-path)/checkout")
        continue
        ;;
    Heap*) product=nightjar-inspect option=--inspect ;;
    *) continue ;;
    esac
    [[ " ${options[*]-} " == *" $option "* ]] && continue
    swift build -c release --static-swift-stdlib --scratch-path "$static" --product "$product"
    options+=("$option" "$static/release/$product")
done

failed=()
for name in "${names[@]}"; do
    if ! "$bin/$name" ${options[@]+"${options[@]}"}; then failed+=("$name"); fi
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "bench: not kept: ${failed[*]}" >&2
    exit 1
fi
