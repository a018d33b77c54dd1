#!/bin/bash
# Leak search on healthy Swift programs: real ones of the toolchain while they work, ours, and servers and tools of
# well-known packages. None may be accused; one line a program. Exit 1 where one was.
# usage: healthy-programs.sh BIN_DIR [FOLDER...]
#   BIN_DIR holds nightjar-inspect, nightjard, nightjar-incident; every FOLDER may hold further programs as
#   executables that print or serve on their own until they are ended: all are started and looked at
#
# Each program is looked at three times while it works. What it takes (a package to build, a file to format) is made here.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
BIN=$(programs_in "${1:?usage: healthy-programs.sh BIN_DIR [FOLDER...]}")
shift
need python3:python3
INSPECT=$BIN/nightjar-inspect
W=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill -- -"$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true; done
    rm -rf "$W"
}
trap stop EXIT
accused=0 programs=0
printf '%-34s %10s %9s %9s  %s\n' program heap 'typed' pause verdict

# look NAME PID: three searches, one line
look() {
    local name=$1 pid=$2 best="" text status heap=0 rest
    for round in 1 2 3; do
        kill -0 "$pid" 2>/dev/null || break
        text=$("$INSPECT" leaks "$pid" --format json 2>"$W/error") && status=0 || status=$?
        [ "$status" -le 1 ] || continue
        line=$(python3 - "$status" <<P
import json, sys
a = json.loads('''$text''')
bad = ", ".join(f"{u['count']} x {u['type']}" for u in a["unreachable"])
print(a["heap_bytes"], f"{a['paused_ms']:.1f}ms/{a['snapshot']}", bad or "-", sep="\t")
P
        )
        IFS=$'\t' read -r heap pause rest <<<"$line"
        [ "$rest" = - ] || best="$best$rest; "
        sleep 0.5
    done
    if [ -z "$heap" ] || [ "$heap" = 0 ]; then
        printf '%-34s %s\n' "$name" "not looked at: $(head -c 100 "$W/error" | tr '\n' ' ')"
        return
    fi
    programs=$((programs + 1))
    typed=$("$INSPECT" heap "$pid" --format json 2>/dev/null | python3 -c 'import json,sys; a=json.load(sys.stdin); print("%.0f%%" % (100*a["typed_bytes"]/max(1,a["heap_bytes"]-a["free_bytes"])))' 2>/dev/null || echo -)
    if [ -z "$best" ]; then best=clean; else accused=$((accused + 1)); best="ACCUSED: $best"; fi
    printf '%-34s %7d KB %9s %14s  %s\n' "$name" $((heap / 1024)) "$typed" "$pause" "$best"
}

# child PID NAME: the youngest process below PID whose executable is called so
below() {
    local pid=$1 name=$2 kid
    for kid in $(cat /proc/"$pid"/task/*/children 2>/dev/null); do
        if [ "$(basename "$(readlink /proc/"$kid"/exe 2>/dev/null)")" = "$name" ]; then echo "$kid"; return 0; fi
        below "$kid" "$name" && return 0
    done
    return 1
}

run() { setsid "$@" >/dev/null 2>&1 </dev/null & started=$!; pids+=("$started"); }
finish() { kill -- -"$started" 2>/dev/null || kill "$started" 2>/dev/null || true; wait "$started" 2>/dev/null || true; }

# 1. Ours.
mkdir -p "$W"/{run,state,logs}
printf '[HTTP]\nSocket=%s/run/api.sock\n[Probe]\nSocket=%s/run/probe.sock\n' "$W" "$W" >"$W/nightjar.conf"
run env RUNTIME_DIRECTORY="$W/run" STATE_DIRECTORY="$W/state" LOGS_DIRECTORY="$W/logs" "$BIN/nightjard" --config "$W/nightjar.conf"
sleep 4; look nightjard "$started"; finish
for incident in leak-twin healthy-cache dictionary-cache task-leak timer-leak starved-twin; do
    run env NIGHTJAR_PROBE=off "$BIN/nightjar-incident" "$incident" --rate 2000 --seconds 100
    sleep 4; look "nightjar-incident $incident" "$started"; finish
done
run "$BIN/nightjar" top --root "$W"; sleep 2; if kill -0 "$started" 2>/dev/null; then look "nightjar top" "$started"; fi; finish

# 2. The toolchain at work.
toolchain=$(dirname "$(readlink -f "$(type -P swift)")")
mkdir -p "$W/package/Sources/toy" "$W/package/Tests/toyTests"
cat >"$W/package/Package.swift" <<'S'
// swift-tools-version: 6.0
import PackageDescription
let package = Package(name: "toy", targets: [.target(name: "toy"), .testTarget(name: "toyTests", dependencies: ["toy"])])
S
for i in $(seq 60); do
    python3 - "$i" >"$W/package/Sources/toy/File$i.swift" <<'P'
import sys
n = sys.argv[1]
for k in range(400):
    print(f"public func f{n}_{k}(_ a: [Int]) -> [String: Int] {{ Dictionary(uniqueKeysWithValues: a.map {{ (\"\\($0)\", $0 + {k}) }}) }}")
P
done
cat "$W"/package/Sources/toy/*.swift >"$W/long.swift"
cat >"$W/package/Tests/toyTests/Toy.swift" <<'S'
import Foundation
import Testing
@testable import toy
@Test(arguments: 0..<200) func works(n: Int) async throws {
    var kept: [[String: Int]] = []
    for _ in 0..<300 { kept.append(f1_1(Array(0..<n))) }
    try await Task.sleep(for: .milliseconds(40))
    #expect(kept.count == 300)
}
S
run "$toolchain/swift-format" lint "$W"/long.swift "$W"/long.swift "$W"/long.swift
sleep 3; look "swift-format lint" "$started"; finish
run "$toolchain/swift-format" format "$W"/long.swift "$W"/long.swift
sleep 3; look "swift-format format" "$started"; finish
run "$toolchain/swift-build" --package-path "$W/package"
sleep 4; look "swift-build" "$started"; finish
if swift build --build-tests --package-path "$W/package" >"$W/build.log" 2>&1; then
    run swift test --skip-build --no-parallel --package-path "$W/package"
    sleep 3
    if runner=$(below "$started" toyPackageTests.xctest || below "$started" swiftpm-testing-helper); then look "swift-testing runner" "$runner"; fi
    look "swift-test" "$started"
    finish
fi
run "$toolchain/swift-package" --package-path "$W/package" dump-symbol-graph
sleep 2; if kill -0 "$started" 2>/dev/null; then look "swift-package dump-symbol-graph" "$started"; fi; finish
mkfifo "$W/lsp"
(exec 3<>"$W/lsp"; python3 - "$W" >&3 <<'P'
import json, sys
root = sys.argv[1] + "/package"
def say(method, params, number=None):
    body = {"jsonrpc": "2.0", "method": method, "params": params}
    if number is not None: body["id"] = number
    text = json.dumps(body)
    sys.stdout.write(f"Content-Length: {len(text)}\r\n\r\n{text}")
say("initialize", {"processId": None, "rootUri": "file://" + root, "capabilities": {}}, 1)
say("initialized", {})
for n in range(1, 20):
    path = f"{root}/Sources/toy/File{n}.swift"
    say("textDocument/didOpen", {"textDocument": {"uri": "file://" + path, "languageId": "swift", "version": 1, "text": open(path).read()}})
    say("textDocument/documentSymbol", {"textDocument": {"uri": "file://" + path}}, 10 + n)
sys.stdout.flush()
P
sleep 60) &
pids+=($!)
setsid "$toolchain/sourcekit-lsp" <"$W/lsp" >/dev/null 2>&1 & started=$!; pids+=("$started")
sleep 6; look "sourcekit-lsp" "$started"; finish
for tool in docc wasmkit swift-driver; do
    case $tool in
    docc) mkdir -p "$W/doc.docc"; for i in $(seq 300); do printf '# Page %d\n\nText.\n' "$i" >"$W/doc.docc/Page$i.md"; done
        printf '# ``toy``\n\nText.\n' >"$W/doc.docc/toy.md"
        run "$toolchain/docc" preview "$W/doc.docc" --fallback-display-name toy --fallback-bundle-identifier toy --port 8931 ;;
    wasmkit) continue ;;
    swift-driver) run "$toolchain/swift-driver" --driver-mode=swiftc -O -wmo "$W/long.swift" -module-name long -o "$W/long.o" -c ;;
    esac
    sleep 4; if kill -0 "$started" 2>/dev/null; then look "$tool" "$started"; fi; finish
done

# 3. What else was given: servers, tools and test runners of packages.
for folder; do
    for program in "$folder"/*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        run "$program"
        sleep 4; if kill -0 "$started" 2>/dev/null; then look "$(basename "$program")" "$started"; fi; finish
    done
done
echo "$programs programs looked at, $accused accused"
[ "$accused" = 0 ]
