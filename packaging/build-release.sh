#!/usr/bin/env bash
# Builds the four programs for a release: static Swift runtime, symbols stripped of debug information.
# They land in .build-release/bin. Usage: packaging/build-release.sh
set -euo pipefail
cd "$(dirname "$0")/.."
packaging/setup.sh build
scratch=.build-release
for product in nightjard nightjar nightjar-inspect nightjar-incident; do
    swift build -c release --static-swift-stdlib --scratch-path "$scratch" --product "$product"
done
mkdir -p "$scratch/bin"
for product in nightjard nightjar nightjar-inspect nightjar-incident; do
    # Function names stay: an incident's stacks and closures are named from them.
    strip -g -o "$scratch/bin/$product" "$scratch/release/$product"
done
