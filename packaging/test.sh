#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: packaging/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "packages"
packaging/setup.sh test

step "format"
swift format lint --strict -r Sources Tests Package.swift </dev/null

step "build and unit tests"
swift build --build-tests
swift test --skip-build
