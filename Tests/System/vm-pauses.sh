#!/bin/bash
# Tests/Stalls/pauses.sh on pure cgroup v2, in a virtual machine: processes that are stopped, frozen (cgroup.freeze) and held
# back by a quota (cpu.max). usage: vm-pauses.sh [NIGHTJAR-STALLS]     (default: the static release build, made here)
# Needs root and qemu-system-x86. The machine is emulated: what its host takes from it looks to it like work, 70 ms at a time on
# a busy host, so the threshold is 250 ms there.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
need_root
root=$(readlink -f "$HERE/../..")
program=${1:-}
if [ -z "$program" ]; then
    "$root/Tests/Stalls/run.sh" build static
    program=$(cd "$root" && swift build -c release --product nightjar-stalls --static-swift-stdlib --scratch-path .build-static --show-bin-path)/nightjar-stalls
fi
job=$(mktemp -d) out=$(mktemp -d)
trap 'rm -rf "$job" "$out"' EXIT
strip -g -o "$job/nightjar-stalls" "$program"
cp "$root/Tests/Stalls/pauses.sh" "$root/Tests/Stalls/hold.py" "$job/"
cat >"$job/run.sh" <<'J'
#!/bin/bash
set -e
[ -e /sys/fs/cgroup/cgroup.controllers ]
NIGHTJAR_ALL=1 NIGHTJAR_SECONDS=15 NIGHTJAR_STALL_THRESHOLD=250ms ./pauses.sh "$PWD/nightjar-stalls" stopped frozen throttled
J
chmod +x "$job/run.sh"
rc=0
"$HERE/vm-run.sh" "$job" "$out" 240 || rc=$?
cat "$out/out.log"
exit $rc
