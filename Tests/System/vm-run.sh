#!/bin/bash
# Boots the machine of vm-build.sh under qemu (emulated, no KVM) and runs JOB_DIR/run.sh in it as root, under a real systemd
# on pure cgroup v2. The disk is not changed.
# usage: vm-run.sh JOB_DIR OUT_DIR [SECONDS]      exit code is run.sh's; 124 when the time (300 s) is over
# Back come: out.log (what run.sh printed), rc, console.log, and the files that run.sh names in JOB_DIR/results inside the guest.
# A failing job's log is printed: qemu itself says nothing, and a red step with an empty log helps nobody.
#   NJ_VM_MEM (1024 MB), NJ_VM_APPEND (kernel arguments), NJ_VM_STATUS=1 (systemd's progress on console.log)
# Measured, boot + empty job + power off: 8.4 s on a quiet machine, 30-33 s at load 10. Everything in it is slow: watchdogs 20 s or more.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
[ $# -ge 2 ] || die "usage: vm-run.sh JOB_DIR OUT_DIR [SECONDS]"
need_root; need qemu-system-x86_64:qemu-system-x86 tar:tar
[ -x "$1/run.sh" ] || die "$1/run.sh is missing or not executable"
IMAGE=$("$HERE/vm-build.sh"); JOB=$(readlink -f "$1"); mkdir -p "$2"; OUT=$(readlink -f "$2"); LIMIT=$((${3:-300} * NJ_SLOW))
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
tar -C "$JOB" -cf "$W/job.tar" .; truncate -s %1M "$W/job.tar"; truncate -s 64M "$W/out.tar"
rm -f "$OUT"/{rc,out.log,console.log}
rc=0
timeout -k 5 "$LIMIT" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m "${NJ_VM_MEM:-1024}" -nodefaults -display none -no-reboot -net none \
    -kernel "$IMAGE/vmlinuz" -initrd "$IMAGE/initrd.img" \
    -append "console=ttyS0 quiet panic=-1 psi=1 root=/dev/vda rw systemd.show_status=${NJ_VM_STATUS:-0} ${NJ_VM_APPEND:-}" \
    -drive file="$IMAGE/root.ext4",if=virtio,format=raw,snapshot=on \
    -drive file="$W/job.tar",if=virtio,format=raw,readonly=on -drive file="$W/out.tar",if=virtio,format=raw \
    -serial file:"$OUT/console.log" </dev/null || rc=$?
[ $rc = 0 ] || { tail -n 30 "$OUT/console.log" >&2; echo "vm-run.sh: qemu ended with $rc (124: ${LIMIT} s were over)" >&2; exit $rc; }
tar -C "$OUT" -xf "$W/out.tar" 2>/dev/null && [ -s "$OUT/rc" ] || { tail -n 30 "$OUT/console.log" >&2; die "the job left no result"; }
rc=$(cat "$OUT/rc")
if [ "$rc" = 0 ]; then echo "job in the virtual machine: ok"; else cat "$OUT/out.log" >&2; fi
exit "$rc"
