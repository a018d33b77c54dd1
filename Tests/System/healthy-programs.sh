#!/bin/bash
# Leak search on healthy Swift programs: real ones of the toolchain while they work, ours, and the servers, tools and test
# runners of well-known packages. None may be accused; one line a program. Exit 1 where one was.
# usage: healthy-programs.sh BIN_DIR [--packages FOLDER] [PROGRAM...]
#   BIN_DIR     holds nightjar-inspect, nightjard, nightjar-incident (packaging/build-release.sh; its .build-release/bin)
#   --packages  a folder that healthy-packages.sh FOLDER has filled: its servers run under traffic, its tests in a loop
#   PROGRAM     a further executable that serves or works on its own until it is ended
#
# Each program is looked at three times while it works. What it takes (a package to build, a file to format) is made here.
# NJ_ONLY='swift-build|NIO.*' looks at those alone, NJ_LOOKS=40 looks that often. About five minutes in all.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
BIN=$(programs_in "${1:?usage: healthy-programs.sh BIN_DIR [--packages FOLDER] [PROGRAM...]}")
shift
packages=
if [ "${1:-}" = --packages ]; then packages=$(readlink -f "${2:?--packages wants a folder}"); shift 2; fi
need python3:python3
INSPECT=$BIN/nightjar-inspect
W=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill -- -"$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true; done
    rm -rf "$W"
}
trap stop EXIT
accused=0 programs=0 ended=0
printf '%-34s %10s %9s %14s  %s\n' program heap typed pause verdict

# look NAME COMMAND...: three searches in the process that COMMAND names each time, one line
look() {
    local name=$1 pid best="" text status heap=0 typed=- pause=- rest looked=0 attempt
    shift
    for attempt in $(seq $((${NJ_LOOKS:-3} * 6))); do
        [ "$looked" -lt "${NJ_LOOKS:-3}" ] || break
        pid=$("$@") && kill -0 "$pid" 2>/dev/null || { sleep 0.3; continue; }
        text=$("$INSPECT" leaks "$pid" --format json 2>"$W/error") && status=0 || status=$?
        [ "$status" -le 1 ] || { sleep 0.2; continue; }
        looked=$((looked + 1))
        IFS=$'\t' read -r heap pause rest < <(python3 -c '
import json, sys
a = json.loads(sys.argv[1])
bad = ", ".join("%d x %s%s" % (u["count"], u["type"], " " + " → ".join(u["cycle"]) if u["cycle"] else "") for u in a["unreachable"])
print(a["heap_bytes"], "%.1fms/%s" % (a["paused_ms"], a.get("snapshot") or "-"), bad or "-", sep="\t")' "$text")
        [ "$rest" = - ] || best="$best$rest; "
        [ "$typed" != - ] || typed=$("$INSPECT" heap "$pid" --format json 2>/dev/null | python3 -c 'import json,sys; a=json.load(sys.stdin); print("%.0f%%" % (100*a["typed_bytes"]/max(1,a["heap_bytes"]-a["free_bytes"])))' 2>/dev/null || echo -)
        sleep 0.3
    done
    if [ "$looked" = 0 ]; then
        printf '%-34s %s\n' "$name" "not looked at: $(head -c 100 "$W/error" 2>/dev/null | tr '\n' ' ')"
        return
    fi
    programs=$((programs + 1))
    if [ -z "$best" ]; then best="clean, $looked looks"; else accused=$((accused + 1)); best="ACCUSED: $best"; fi
    printf '%-34s %7d KB %9s %14s  %s\n' "$name" $((heap / 1024)) "$typed" "$pause" "$best"
}
wanted() { [[ "$1" =~ ^(${NJ_ONLY:-.*})$ ]]; }

# child PID NAME: the youngest process below PID whose executable is called so
below() {
    local pid=$1 name=$2 kid
    for kid in $(cat /proc/"$pid"/task/*/children 2>/dev/null); do
        if [ "$(basename "$(readlink /proc/"$kid"/exe 2>/dev/null)")" = "$name" ]; then echo "$kid"; return 0; fi
        below "$kid" "$name" && return 0
    done
    return 1
}

run() { setsid "$@" >"$W/output" 2>&1 </dev/null & started=$!; pids+=("$started"); }
finish() { kill -- -"$started" 2>/dev/null || kill "$started" 2>/dev/null || true; wait "$started" 2>/dev/null || true; }
itself() { echo "$started"; }

# at_work NAME SECONDS COMMAND...: starts it, and looks at it when it has worked for so long
at_work() {
    local name=$1 seconds=$2 status=0
    shift 2
    wanted "$name" || return 0
    run "$@"
    sleep "$seconds"
    look "$name" itself
    # It ends when it is done; what it may not do is be ended by us.
    if ! kill -0 "$started" 2>/dev/null; then
        wait "$started" || status=$?
        [ "$status" -lt 128 ] || { echo "$name: ended by signal $((status - 128))"; ended=$((ended + 1)); }
    fi
    finish
}

# in_a_loop NAME EXECUTABLE COMMAND...: the same for what ends by itself too soon; EXECUTABLE is what runs below it
in_a_loop() {
    local name=$1 executable=$2
    shift 2
    wanted "$name" || return 0
    run bash -c 'while "$@" || [ $? -lt 128 ]; do :; done' loop "$@"
    sleep 2
    look "$name" below "$started" "$executable"
    kill -0 "$started" 2>/dev/null || { echo "$name: ended by a signal"; ended=$((ended + 1)); }
    finish
}

# 1. Ours.
mkdir -p "$W"/{run,state,logs}
printf '[HTTP]\nSocket=%s/run/api.sock\n[Probe]\nSocket=%s/run/probe.sock\n' "$W" "$W" >"$W/nightjar.conf"
at_work nightjard 4 env RUNTIME_DIRECTORY="$W/run" STATE_DIRECTORY="$W/state" LOGS_DIRECTORY="$W/logs" "$BIN/nightjard" --config "$W/nightjar.conf"
for incident in leak-twin healthy-cache dictionary-cache task-leak timer-leak starved-twin; do
    at_work "nightjar-incident $incident" 4 env NIGHTJAR_PROBE=off "$BIN/nightjar-incident" "$incident" --rate 2000 --seconds 100
done
at_work "nightjar top" 2 "$BIN/nightjar" top --root "$W"

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
at_work "swift-format lint" 3 "$toolchain/swift-format" lint "$W"/long.swift "$W"/long.swift "$W"/long.swift
at_work "swift-format format" 3 "$toolchain/swift-format" format "$W"/long.swift "$W"/long.swift
at_work "swift-build" 4 "$toolchain/swift-build" --package-path "$W/package"
if wanted "swift-test" || wanted "swift-testing runner"; then
    if swift build --build-tests --package-path "$W/package" >"$W/build.log" 2>&1; then
        run swift test --skip-build --no-parallel --package-path "$W/package"
        sleep 3
        tests() { below "$started" toyPackageTests.xctest || below "$started" swiftpm-testing-helper; }
        look "swift-testing runner" tests
        look "swift-test" itself
        finish
    fi
fi
at_work "swift-package dump-symbol-graph" 2 "$toolchain/swift-package" --package-path "$W/package" dump-symbol-graph
# It is told everything at once, and its input stays open for as long as it may be looked at.
speak() {
    (exec 3<>"$W/lsp"; exec setsid python3 - "$W" >&3 <<'P'
import json, sys, time
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
time.sleep(900)
P
    ) &
    pids+=($!)
}
if wanted sourcekit-lsp; then mkfifo "$W/lsp"; speak; fi
at_work "sourcekit-lsp" 6 bash -c 'exec "$1" <"$2"' lsp "$toolchain/sourcekit-lsp" "$W/lsp"
mkdir -p "$W/doc.docc"
for i in $(seq 300); do printf '# Page %d\n\nText.\n' "$i" >"$W/doc.docc/Page$i.md"; done
printf '# ``toy``\n\nText.\n' >"$W/doc.docc/toy.md"
at_work docc 4 "$toolchain/docc" preview "$W/doc.docc" --fallback-display-name toy --fallback-bundle-identifier toy --port 8931
at_work swift-driver 3 "$toolchain/swift-driver" --driver-mode=swiftc -O -wmo "$W/long.swift" -module-name long -o "$W/long.o" -c

# 3. Servers under traffic, tools and test runners of packages.
# traffic KIND PORT: bounded, and never away from this machine
traffic() {
    python3 - "$@" <<'P' >/dev/null 2>&1 &
import socket, sys, time
kind, port = sys.argv[1], int(sys.argv[2])
end = time.time() + 60
kept = []
while time.time() < end:
    try:
        if kind == "udp":
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for n in range(20): s.sendto(b"beat %d\n" % n, ("127.0.0.1", port))
        else:
            s = socket.create_connection(("127.0.0.1", port), 1)
            s.settimeout(0.2)
            for n in range(10):
                s.sendall(b"GET /dynamic/echo HTTP/1.1\r\nHost: localhost\r\n\r\n" if kind == "http" else b"beat %d\n" % n)
                s.recv(65536)
        kept.append(s)
        if len(kept) > 20: kept.pop(0).close()
    except OSError:
        pass
    time.sleep(0.01)
P
    pids+=($!)
}
served() {
    local name=$1 kind=$2 port=$3
    shift 3
    if ! wanted "$name" || [ ! -x "$1" ]; then return 0; fi
    traffic "$kind" "$port"
    at_work "$name" 4 "$@"
    kill "${pids[-2]}" 2>/dev/null || true
    wait "${pids[-2]}" 2>/dev/null || true
}
if [ -n "$packages" ]; then
    nio=$packages/swift-nio/.build/debug
    served NIOHTTP1Server http 18888 "$nio/NIOHTTP1Server" 127.0.0.1 18888 "$W"
    served NIOEchoServer tcp 18889 "$nio/NIOEchoServer" 127.0.0.1 18889
    served NIOChatServer tcp 18890 "$nio/NIOChatServer" 127.0.0.1 18890
    served NIOUDPEchoServer udp 18891 "$nio/NIOUDPEchoServer" 127.0.0.1 18891
    served NIOWebSocketServer http 8888 "$nio/NIOWebSocketServer"
    served NIOTCPEchoServer tcp 8765 "$nio/NIOTCPEchoServer"
    served HTTPServerWithQuiescingDemo http 8888 "$packages/swift-nio-extras/.build/debug/HTTPServerWithQuiescingDemo"
    for tool in "$nio/NIOPerformanceTester" "$packages/swift-nio-extras/.build/debug/NIOExtrasPerformanceTester" \
        "$packages/hdrhistogram-swift/.build/debug/HistogramExample"; do
        [ ! -x "$tool" ] || in_a_loop "${tool##*/}" "${tool##*/}" "$tool"
    done
    for tests in "$packages"/*/.build/debug/*.xctest; do
        [ -x "$tests" ] || continue
        name=${tests##*/}
        in_a_loop "${name%PackageTests.xctest} tests" "$name" bash -c '"$1"; "$1" --testing-library swift-testing' runner "$tests"
    done
fi

# 4. What else was given.
for program; do at_work "$(basename "$program")" 4 "$program"; done
echo "$programs programs looked at, $accused accused, $ended ended by a signal while they were read"
[ "$accused" = 0 ] && [ "$ended" = 0 ]
