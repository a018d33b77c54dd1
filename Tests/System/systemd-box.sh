#!/bin/bash
# A real systemd as PID 1, in namespaces of its own (pid, mount, cgroup, uts, ipc, net), on an overlay over the
# tree made by rootfs.sh. Nothing written in the box survives it; the tree is never changed.
#   systemd-box.sh start STATE [auto|hybrid|unified]   boots, waits until running; STATE = a folder for its state
#   systemd-box.sh exec  STATE COMMAND...              stdin, stdout, stderr and the exit code pass through
#   systemd-box.sh put   STATE PATH [MODE] < FILE      a file into the box
#   systemd-box.sh stop  STATE                         powers off and removes what was made outside
#   systemd-box.sh run   COMMAND...                    start, exec, stop
# Environment:
#   NJ_ROOTFS        another root tree
#   NJ_BOX_SIZE      size of the tmpfs under the overlay (2g)
#   NJ_BOX_BIND      folders of this machine to show inside, separated by blanks, e.g. the build folder
#   NJ_EXEC_TIMEOUT  seconds one exec may take (120); without limit on a terminal
# Modes, for machines whose cgroup v1 and v2 trees are both mounted:
#   hybrid   v1 controllers (memory, pids, devices ...) and the v2 tree: MemoryMax= and TasksMax= act for real, but
#            Result is `signal`, not `oom-kill` (v1 tells systemd nothing)
#   unified  v2 only, without the controllers that v1 holds: tracking, freezer, kill, PSI per cgroup
#   auto     hybrid where a v1 memory controller is mounted, else unified
. "$(dirname "$(readlink -f "$0")")/lib.sh"
ME=$(readlink -f "$0")
usage() { sed -n '4,9p' "$ME" >&2; exit 2; }
V1_CONTROLLERS="cpu cpuacct cpuset memory devices freezer blkio pids"
# Units that want hardware, a login or the time of day; they only cost boot time here.
MASKED="systemd-udevd.service systemd-remount-fs.service getty.target console-getty.service systemd-logind.service
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer
    systemd-firstboot.service systemd-timesyncd.service systemd-networkd.service"

start() {
    local state=$1 mode=${2:-auto} root=${NJ_ROOTFS:-} dir n v2 home init="" st=""
    need_root; need unshare:util-linux nsenter:util-linux pgrep:procps setsid:util-linux
    [ -n "$root" ] || root=$("$HERE/rootfs.sh")
    [ -x "$root/lib/systemd/systemd" ] || die "$root has no systemd"
    if [ "$mode" = auto ]; then [ -n "$(cgroup1_dir memory)" ] && mode=hybrid || mode=unified; fi
    case $mode in hybrid|unified) ;; *) usage;; esac
    mkdir -p "$state/mnt"; state=$(readlink -f "$state")
    [ ! -e "$state/pid" ] || die "$state already holds a box; stop it first"

    # A child of our own place in every hierarchy: limits set on us keep their force, and all of it can be removed.
    : > "$state/cgroups"
    own() { [ -n "$1" ] || return 0; mkdir -p "$1/nj-box-$$"; echo "$1/nj-box-$$" >> "$state/cgroups"; }
    v2=$(cgroup2_root); n=$(sed -n 's/^0:://p' /proc/self/cgroup); home=$v2${n%/}
    [ -z "$v2" ] || own "$home"
    own "$(cgroup1_dir name=systemd)"
    for n in $V1_CONTROLLERS; do
        dir=$(cgroup1_dir "$n"); own "$dir"
        [ "$n" != cpuset ] || [ -z "$dir" ] || { cat "$dir/cpuset.cpus" > "$dir/nj-box-$$/cpuset.cpus"; cat "$dir/cpuset.mems" > "$dir/nj-box-$$/cpuset.mems"; }
    done
    (
        while read -r n; do echo $BASHPID > "$n/cgroup.procs"; done < "$state/cgroups"
        exec setsid unshare --fork --pid --mount --cgroup --uts --ipc --net --kill-child --propagation private \
            "$ME" _inside "$state" "$root" "$mode" </dev/null >"$state/console.log" 2>&1
    ) & echo $! > "$state/unshare.pid"
    for _ in $(seq 200); do
        init=$(pgrep -P "$(cat "$state/unshare.pid")" || true); [ -z "$init" ] || break
        sleep 0.02
    done
    if [ -n "$init" ]; then
        echo "$init" > "$state/pid"
        # A v2 group that holds a process cannot hand controllers on: unshare itself goes back to where we are.
        [ -z "$v2" ] || cat "$state/unshare.pid" > "$home/cgroup.procs"
        touch "$state/go"
        for _ in $(seq $((400 * NJ_SLOW))); do
            st=$(in_box "$state" systemctl is-system-running 2>/dev/null || true)
            case $st in running|degraded) echo "$st"; return 0;; esac
            kill -0 "$init" 2>/dev/null || break
            sleep 0.05
        done
    fi
    cat "$state/console.log" >&2; stop "$state"; die "the box did not boot (last state: ${st:-none})"
}

_inside() {     # already in the new namespaces; builds the tree and becomes systemd
    local state=$1 root=$2 mode=$3 m=$1/mnt n c u b N
    for _ in $(seq 500); do [ ! -e "$state/go" ] || break; sleep 0.01; done
    mount -t tmpfs -o mode=755,size="${NJ_BOX_SIZE:-2g}" tmpfs "$m"; mkdir "$m"/{up,work,root}
    mount -t overlay -o lowerdir="$root",upperdir="$m/up",workdir="$m/work" overlay "$m/root"
    N=$m/root
    mount -t proc -o nosuid,nodev,noexec proc "$N/proc"
    mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$N/sys"
    if [ "$mode" = unified ]; then
        mount -t cgroup2 cgroup2 "$N/sys/fs/cgroup"
    else
        mount -t tmpfs -o mode=755 tmpfs "$N/sys/fs/cgroup"
        mkdir "$N"/sys/fs/cgroup/{systemd,unified}
        mount -t cgroup -o none,name=systemd cgroup "$N/sys/fs/cgroup/systemd"
        mount -t cgroup2 cgroup2 "$N/sys/fs/cgroup/unified"
        for c in $V1_CONTROLLERS; do
            mkdir "$N/sys/fs/cgroup/$c"
            mount -t cgroup -o "$c" cgroup "$N/sys/fs/cgroup/$c" || rmdir "$N/sys/fs/cgroup/$c"
        done
    fi
    mount -t tmpfs -o mode=755 tmpfs "$N/dev"
    for n in null zero full random urandom tty; do touch "$N/dev/$n"; mount --bind /dev/$n "$N/dev/$n"; done
    touch "$N/dev/console"; mount --bind /dev/null "$N/dev/console"
    mkdir "$N"/dev/{shm,pts,mqueue}
    mount -t tmpfs tmpfs "$N/dev/shm"; mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$N/dev/pts"
    ln -s pts/ptmx "$N/dev/ptmx"; ln -s /proc/self/fd "$N/dev/fd"
    ln -s fd/0 "$N/dev/stdin"; ln -s fd/1 "$N/dev/stdout"; ln -s fd/2 "$N/dev/stderr"
    mount -t tmpfs -o mode=755 tmpfs "$N/run"; mount -t tmpfs -o mode=1777 tmpfs "$N/tmp"
    for b in ${NJ_BOX_BIND:-}; do mkdir -p "$N/$b"; mount --rbind "$b" "$N/$b"; done
    rm -f "$N/etc/machine-id"; tr -d - < /proc/sys/kernel/random/uuid > "$N/etc/machine-id"
    echo nightjar-box > "$N/etc/hostname"; hostname nightjar-box
    for u in $MASKED; do ln -sf /dev/null "$N/etc/systemd/system/$u"; done
    cd "$N"; mkdir -p .old; pivot_root . .old
    umount -l /.old; rmdir /.old
    mount --make-rshared /      # as on a real host; systemd leaves it alone in a container, and services with mount
                                # namespaces of their own would then not see what is mounted later
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 container=nightjar-box \
        /lib/systemd/systemd --log-target=journal --show-status=no
}

# --wd without a value: the working directory becomes the box's root; else every command complains about getcwd.
in_box() {
    local state=$1 pid limit=(timeout -k 5 $((${NJ_EXEC_TIMEOUT:-120} * NJ_SLOW))); shift
    pid=$(cat "$state/pid" 2>/dev/null) || die "no box in $state"
    [ ! -t 0 ] || limit=()
    (cd / && exec "${limit[@]}" nsenter -t "$pid" --mount --pid --cgroup --uts --ipc --net --root --wd -- "$@")
}

stop() {
    local state=$1 pid n
    pid=$(cat "$state/pid" 2>/dev/null || cat "$state/unshare.pid" 2>/dev/null) || return 0
    kill -s RTMIN+4 "$pid" 2>/dev/null || true                  # RTMIN+4: start poweroff.target
    for _ in $(seq $((200 * NJ_SLOW))); do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
    kill -KILL "$pid" 2>/dev/null || true
    for _ in $(seq 40); do                                      # the last processes may still be leaving
        while read -r n; do [ ! -d "$n" ] || find "$n" -depth -type d -exec rmdir {} \; 2>/dev/null || true; done < "$state/cgroups"
        n=0; while read -r d; do [ ! -d "$d" ] || n=1; done < "$state/cgroups"
        [ $n = 1 ] || break
        sleep 0.05
    done
    rm -f "$state/pid" "$state/unshare.pid" "$state/go"
    [ "$n" = 0 ] || die "control groups were left: $(tr '\n' ' ' < "$state/cgroups")"
}

cmd=${1:-}; [ $# -ge 2 ] || usage; shift
case $cmd in
start)   start "$@";;
exec)    [ $# -ge 2 ] || usage; in_box "$@";;
put)     [ $# -ge 2 ] || usage; in_box "$1" sh -c 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"' put "$2" "${3:-644}";;
stop)    stop "$1";;
run)     S=$(mktemp -d); trap 'stop "$S"; rm -rf "$S"' EXIT; start "$S" >/dev/null; in_box "$S" "$@";;
_inside) _inside "$@";;
*)       usage;;
esac
