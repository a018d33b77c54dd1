#!/bin/bash
# Real small disks filled by real processes beside a live agent: who fills them is named before they are full, by file,
# process, unit and message; a deleted file that is held open is named with its holder; a full disk is not called
# recovered; a mount that hangs delays nothing else; and the same service with NightjarLogFile survives.
# usage: disks.sh BIN_DIR [PATTERN]      (root; BIN_DIR holds nightjard, nightjar and nightjar-incident)
# Runs in a mount namespace of its own. Measured: about six minutes, half of it an alert that takes its time to end.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
need_root
need mkfs.ext4:e2fsprogs perl:perl python3:python3 findmnt:util-linux
BIN=$(programs_in "${1:?usage: disks.sh BIN_DIR [PATTERN]}")
PATTERN=${2:-.}
if [ "${_NJ_OWN_MOUNTS:-}" != 1 ]; then exec env _NJ_OWN_MOUNTS=1 unshare --mount --propagation private -- "$0" "$@"; fi
W=$(mktemp -d)
SOCKET=$W/run/api.sock
children=()
groups=()
finish() {
    local child group
    for child in "${children[@]}"; do kill -KILL "$child" 2>/dev/null || true; done
    wait 2>/dev/null || true
    for group in "${groups[@]}"; do rmdir "$group" 2>/dev/null || true; done
    umount -l "$W"/disk-* "$W"/hung 2>/dev/null || true
    rm -rf "$W"
}
trap finish EXIT
passed=0
ok() { passed=$((passed + 1)); printf 'ok %2d  %s\n' "$passed" "$1"; }
wanted() { [[ $1 =~ $PATTERN ]]; }
has() { grep -F -- "$1" >/dev/null; }           # not grep -q: fails at random under pipefail
nj() { timeout 20 "$BIN/nightjar" "$@" --socket "$SOCKET"; }
# free_kib MOUNT
free_kib() { df --output=avail -k "$1" | tail -n 1; }

# A process in a cgroup that is named as a unit's, which is where units are read from: in_unit UNIT COMMAND...
in_unit() {
    local unit=$1 root group; shift
    root=$(cgroup2_root)
    group=$root/system.slice/$unit
    mkdir -p "$group"; groups+=("$group")
    (echo $BASHPID >"$group/cgroup.procs"; exec "$@") >/dev/null 2>&1 &
    last=$!
    children+=("$last")
}

# Writes a debug log of so many bytes a second, as a service would.
read -r -d '' WRITER <<'P' || true
use Time::HiRes qw(sleep time); open(my $f, '>>', $ARGV[0]) or die; my ($n, $sent, $begin) = (0, 0, time);
while (1) {
    my $due = (time - $begin) * $ARGV[1] - $sent;
    if ($due < 4000) { sleep(0.01); next }
    my $block = ''; my $want = $due > 1000000 ? 1000000 : $due;
    while (length($block) < $want) { $n++;
        $block .= "DEBUG cache miss for key=${n}f3a in shard " . ($n % 7) . ' ' . ('7' x 80) . "\n" }
    my $done = syswrite($f, $block); if (!$done) { sleep(0.1); next } $sent += $done;
}
P

# end PID: kills it without the shell's obituary
end() { kill -KILL "$1" 2>/dev/null || true; wait "$1" 2>/dev/null || true; }

# small_disk NAME MEGABYTES: an ext4 of its own at $W/disk-NAME
small_disk() {
    mkdir "$W/disk-$1"
    truncate -s "$2M" "$W/$1.img"
    mkfs.ext4 -q -F -m 0 "$W/$1.img"
    mount -o loop "$W/$1.img" "$W/disk-$1"
}

# alert_of MOUNT: the alert's block where one fires for it
alert_of() {
    local id
    id=$({ nj alerts --format json || true; } | python3 -c '
import json, sys
alerts = json.load(sys.stdin)
alerts = alerts["alerts"] if isinstance(alerts, dict) else alerts
for a in alerts:
    if a["detector"] == "DiskFill" and sys.argv[1] in json.dumps(a): print(a["id"]); break
' "$1")
    [ -n "$id" ] || return 1
    nj show "$id"
}

# named_before_full MOUNT FILE PID UNIT SECONDS: waits for the alert that says all of it, while there is still space
named_before_full() {
    local end=$((SECONDS + $5 * NJ_SLOW)) text=''
    while [ $SECONDS -le $end ]; do
        local free; free=$(free_kib "$1")
        text=$(alert_of "$1" || true)
        if has "$2" <<<"$text" && has "pid $3" <<<"$text" && has "$4" <<<"$text" && has "DEBUG cache miss for key=<*>" <<<"$text" \
            && has "a debug log was left on" <<<"$text"; then
            [ "$free" -gt 0 ] || { echo "$text" >&2; die "named only when $1 was full"; }
            printf '%s\n' "$text" | sed 's/^/       /' | cut -c1-150
            printf '       %s KiB free when it was named\n' "$free"
            return 0
        fi
        [ "$free" -gt 0 ] || { echo "$text" >&2; die "$1 is full and not all was named"; }
        sleep 0.5
    done
    echo "$text" >&2
    die "$1 was not named within $5 s"
}

mkdir -p "$W/run" "$W/state" "$W/logs"
printf '[HTTP]\nSocket=%s\n' "$SOCKET" >"$W/nightjar.conf"
RUNTIME_DIRECTORY=$W/run STATE_DIRECTORY=$W/state LOGS_DIRECTORY=$W/logs NIGHTJAR_SOCKET=$W/run/probe.sock \
    "$BIN/nightjard" --config "$W/nightjar.conf" >"$W/agent.log" 2>&1 &
agent=$!
children+=("$agent")
wait_for 20 "the agent's socket" test -S "$SOCKET"

if wanted fast; then
    small_disk fast 1500
    in_unit nightjar-test-fast.service perl -e "$WRITER" "$W/disk-fast/debug.log" 50000000
    named_before_full "$W/disk-fast" "$W/disk-fast/debug.log" "$last" nightjar-test-fast.service 60
    ok "50 MB/s into 1.5 GB: file, process, unit and message named before the disk is full"
    end "$last"
    rm -f "$W/disk-fast/debug.log"
fi

if wanted slow; then
    small_disk slow 8
    free=$(free_kib "$W/disk-slow")
    dd if=/dev/zero of="$W/disk-slow/ballast" bs=1K count=$((free - 3000)) status=none
    in_unit nightjar-test-slow.service perl -e "$WRITER" "$W/disk-slow/slow.log" 100000
    slow=$last
    named_before_full "$W/disk-slow" "$W/disk-slow/slow.log" "$slow" nightjar-test-slow.service 60
    ok "100 kB/s into a small disk: file, process, unit and message named before the disk is full"
    # On to the end: full is a state of its own, and stays one while nothing can grow any more.
    full() { [ "$(free_kib "$W/disk-slow")" -eq 0 ] && { alert_of "$W/disk-slow" || true; } | has 'is full'; }
    wait_for 60 "the disk being called full" full
    sleep 15
    full || { nj disk; die "a full disk was called recovered"; }
    ok "full stays full: 15 s later it is not called recovered"
    end "$slow"
    rm -f "$W/disk-slow/slow.log" "$W/disk-slow/ballast"
    cleared() { ! alert_of "$W/disk-slow" >/dev/null; }
    # Two minutes of quiet end an alert, twice as long where it had begun again.
    wait_for 300 "the alert to end after space was made" cleared
    ok "it ends once there is space"
fi

if wanted deleted; then
    small_disk deleted 24
    in_unit nightjar-test-holder.service perl -e \
        'open(my $f, ">", $ARGV[0]) or die; 1 while syswrite($f, "x" x 1048576); unlink $ARGV[0]; sleep 600' \
        "$W/disk-deleted/export.csv"
    holder=$last
    # On a disk that is nearly full the agent looks who holds what; the holder stands behind the file or below it.
    holds() {
        local text
        text=$(nj disk | grep -F -A 1 "$W/disk-deleted/export.csv (deleted)")
        grep -E 'holds [1-9][0-9.]* MiB' <<<"$text" >/dev/null && has "nightjar-test-holder.service, pid $holder" <<<"$text"
    }
    wait_for 60 "the deleted file with its holder" holds
    nj disk | grep -F -A 1 'export.csv (deleted)' | sed 's/^/       /'
    ok "a deleted file that is still open is named with its bytes, its holder and the holder's unit"
    end "$holder"
fi

if wanted hung; then
    # A FUSE file system that answers nothing but the first handshake: what a dead network mount looks like.
    mkdir "$W/hung"
    python3 "$HERE/hung-mount.py" "$W/hung" 2>"$W/hung.log" &
    children+=("$!")
    wait_for 10 "the mount that hangs" grep -F " $W/hung fuse" /proc/self/mounts
    # nsenter is not needed: the agent lives in the same namespace and meets it in its next rounds.
    silent() { nj disk | grep -F "$W/hung" | has 'not answering'; }
    wait_for 60 "the hung mount being called so" silent
    late() { nj doctor --format json 2>/dev/null | grep -o '"late_rounds":[0-9]*' | head -n 1 || true; }
    before=$(late)
    begin=$(date +%s%N)
    nj ps -n 3 >/dev/null; nj alerts >/dev/null || true; nj disk >/dev/null
    took=$((($(date +%s%N) - begin) / 1000000))
    [ "$took" -lt $((3000 * NJ_SLOW)) ] || die "three questions took $took ms beside a mount that hangs"
    # Another disk is still named in its time.
    small_disk beside 400
    in_unit nightjar-test-beside.service perl -e "$WRITER" "$W/disk-beside/debug.log" 10000000
    named_before_full "$W/disk-beside" "$W/disk-beside/debug.log" "$last" nightjar-test-beside.service 60
    end "$last"
    [ "$(late)" = "$before" ] || printf '       late rounds: %s before, %s after\n' "$before" "$(late)"
    ok "a mount that hangs is reported, and delays neither answers ($took ms) nor the alert of another disk"
fi

if wanted drill; then
    export PATH=$BIN:$PATH
    timeout $((240 * NJ_SLOW)) "$BIN/nightjar" drill debug-log --socket "$SOCKET" 2>&1 | tee "$W/drill" | cut -c1-150 || { cat "$W/drill"; die "nightjar drill debug-log failed"; }
    has 'named after' <"$W/drill" || die "the drill was not named"
    ! findmnt -n -t ext4 -o TARGET | has nightjar-drill || die "the drill left its disk mounted"
    ok "nightjar drill debug-log: named by the live agent, to the end"
    mkdir "$W/tamed"
    timeout 60 "$BIN/nightjar-incident" debug-log-tamed --directory "$W/tamed" --rate 30000000 --seconds 20 >"$W/tamed.log" 2>&1 ||
        { cat "$W/tamed.log"; die "the service with NightjarLogFile did not survive"; }
    tail -n 2 "$W/tamed.log" | sed 's/^/       /'
    ok "the same service with NightjarLogFile survives 600 MB of debug lines on a disk of 256 MB"
fi
kill -0 "$agent" 2>/dev/null || { tail "$W/agent.log"; die "the agent ended"; }
echo "disks: $passed passed"
