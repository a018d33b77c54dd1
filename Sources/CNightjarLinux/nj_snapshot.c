// A system call on another thread's behalf, and with it a frozen copy of another process.
//
// The thread's registers are set to `syscall; ret` somewhere in its own code. Whoever does that owes it a way back that
// does not depend on him: he may be killed between any two steps. So the way back lies on the thread's own stack before
// anything else is changed, in the form in which the kernel itself leaves one when it delivers a signal:
//
//     stack pointer − red zone ─▶ │ vector registers                                  │
//                                 │ ucontext: all registers, signal mask              │
//     its stack pointer meanwhile │ address of the C library's rt_sigreturn           │
//                                 │ ucontext of the copy: exit_group(0)               │
//     stack pointer of the copy ─▶│ address of the C library's rt_sigreturn           │
//
// If we live, the thread is stopped after its call and its registers are put back by ptrace; a system call that it was
// interrupted in is then restarted by the kernel, with what is left of its time. If we die, the thread returns into
// rt_sigreturn and puts them back itself, and a copy that was just made ends itself.
//
// The copy is made with exit signal 0: its parent is told nothing of it and does not see it in wait(2). It shares the
// table of open files (a descriptor that the parent closes is closed), nothing else, and is traced from birth: it never
// leaves the kernel. It is killed when its tracer ends.

#include "nj_snapshot.h"

#include <elf.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static int64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int nj_ask_to_stop(int tid) { return ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0 ? 0 : -errno; }

// The next change of a thread, as waitpid tells it. What is near is awaited awake: a sleep costs 60 µs and more.
static int next_status(int tid, int64_t until_us, int *status) {
    const struct timespec nap = {0, 20000};
    int64_t awake_until = now_us() + 300;
    while (1) {
        pid_t got = waitpid(tid, status, __WALL | WNOHANG);
        if (got < 0) return errno == EINTR ? 0 : -errno;
        if (got == tid) return WIFSTOPPED(*status) ? 0 : -ESRCH;
        int64_t now = now_us();
        if (now > until_us) return -ETIMEDOUT;
        if (now > awake_until) nanosleep(&nap, 0);
    }
}

int nj_await_stop(int tid, int64_t patience_us) {
    int status = 0;
    int failed = next_status(tid, now_us() + patience_us, &status);
    if (failed) return failed;
    return status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
}

int nj_same_memory(int pid, int other) {
    long answer = syscall(SYS_kcmp, pid, other, KCMP_VM, 0, 0);
    return answer < 0 ? -errno : answer == 0;
}

int nj_open_life(int pid) {
    long descriptor = syscall(SYS_pidfd_open, pid, 0);
    return descriptor < 0 ? -errno : (int)descriptor;
}

int nj_life_ended(int descriptor) {
    struct pollfd life = {descriptor, POLLIN, 0};
    return poll(&life, 1, 0) == 1;
}

int nj_allowed_processors(struct nj_processors *set) {
    memset(set, 0, sizeof *set);
    return sched_getaffinity(0, sizeof *set, (cpu_set_t *)set) == 0 ? 0 : -errno;
}

int nj_allow_processors(const struct nj_processors *set) {
    return sched_setaffinity(0, sizeof *set, (const cpu_set_t *)set) == 0 ? 0 : -errno;
}

int nj_go_to_processor(int number) {
    struct nj_processors one = {{0}};
    if (number < 0 || number >= (int)sizeof one * 8) return -EINVAL;
    one.bits[number / 64] = 1ull << number % 64;
    return nj_allow_processors(&one);
}

int64_t nj_find_bytes(const void *bytes, size_t count, const void *wanted, size_t wanted_count) {
    const char *found = memmem(bytes, count, wanted, wanted_count);
    return found ? found - (const char *)bytes : -1;
}

int nj_end_copy(int copy) {
    // A tracer without the right to send signals may still ask for this one.
    if (kill(copy, SIGKILL) != 0) ptrace(PTRACE_KILL, copy, 0, 0);
    int64_t until = now_us() + 10000000;
    const struct timespec nap = {0, 100000};
    while (now_us() < until) {
        int status = 0;
        pid_t got = waitpid(copy, &status, __WALL | WNOHANG);
        if (got < 0) return errno == ECHILD ? 0 : -errno;
        if (got == copy && !WIFSTOPPED(status)) return 0;
        if (got == 0) nanosleep(&nap, 0);
    }
    return -ETIMEDOUT;
}

#if defined(__x86_64__)

enum {
    red_zone = 128,
    user_code_segment = 0x33,
    xstate_room = 16384,
    // Where the kernel notes in an FXSAVE area what follows it (struct _fpx_sw_bytes).
    software_bytes = 464,
    magic1 = 0x46505853,
    magic2 = 0x46505845,
    kernel_mask = 8,
    // What the kernel leaves in rax of an interrupted call that is to be restarted.
    restart_first = 512,
    restart_last = 516,
};

struct software_bytes {
    uint32_t magic;
    uint32_t extended_size;
    uint64_t features;
    uint32_t size;
};

// The part of ucontext that the kernel reads: glibc's ucontext_t has room for more.
struct frame {
    uint64_t return_to;
    uint64_t flags;
    uint64_t link;
    stack_t stack;
    mcontext_t registers;
    uint64_t mask;
};

struct hijack {
    int tid;
    struct user_regs_struct registers;
    uint64_t mask;
    uint64_t vectors_size;
    // Where the way back lies, and what was there before.
    uint64_t low, high;
    unsigned char before[xstate_room + 4096];
    _Alignas(64) unsigned char image[xstate_room + 4096];
};

int nj_can_inject(void) { return 1; }

static int move_memory(int tid, uint64_t at, void *bytes, size_t count, int writes) {
    struct iovec local = {bytes, count}, remote = {(void *)at, count};
    ssize_t done = writes ? process_vm_writev(tid, &local, 1, &remote, 1, 0) : process_vm_readv(tid, &local, 1, &remote, 1, 0);
    return done == (ssize_t)count ? 0 : -EFAULT;
}

static int set_registers(int tid, struct user_regs_struct registers) {
    struct iovec io = {&registers, sizeof registers};
    return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &io) == 0 ? 0 : -errno;
}

static int set_mask(int tid, uint64_t mask) {
    return ptrace(PTRACE_SETSIGMASK, tid, (void *)kernel_mask, &mask) == 0 ? 0 : -errno;
}

// A thread that was interrupted in a system call goes on before it: the kernel would do so too.
static void rewind_call(struct user_regs_struct *r) {
    int64_t result = (int64_t)r->rax;
    if ((int64_t)r->orig_rax < 0 || result > -restart_first || result < -restart_last || result == -515) return;
    r->rax = r->orig_rax;
    r->rip -= 2;
}

static void fill(struct frame *frame, struct nj_call_site site, const struct user_regs_struct *r, uint64_t mask) {
    memset(frame, 0, sizeof *frame);
    frame->return_to = site.sigreturn;
    frame->flags = 1 | 2 | 4;  // UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
    frame->stack.ss_flags = 0x40;  // no mode of sigaltstack: the kernel leaves the thread's as it is
    frame->mask = mask;
    greg_t *g = frame->registers.gregs;
    g[REG_R8] = (greg_t)r->r8, g[REG_R9] = (greg_t)r->r9, g[REG_R10] = (greg_t)r->r10, g[REG_R11] = (greg_t)r->r11;
    g[REG_R12] = (greg_t)r->r12, g[REG_R13] = (greg_t)r->r13, g[REG_R14] = (greg_t)r->r14, g[REG_R15] = (greg_t)r->r15;
    g[REG_RDI] = (greg_t)r->rdi, g[REG_RSI] = (greg_t)r->rsi, g[REG_RBP] = (greg_t)r->rbp, g[REG_RBX] = (greg_t)r->rbx;
    g[REG_RDX] = (greg_t)r->rdx, g[REG_RAX] = (greg_t)r->rax, g[REG_RCX] = (greg_t)r->rcx, g[REG_RSP] = (greg_t)r->rsp;
    g[REG_RIP] = (greg_t)r->rip, g[REG_EFL] = (greg_t)r->eflags;
    g[REG_CSGSFS] = (greg_t)((r->cs & 0xffff) | (r->ss & 0xffff) << 48);
}

// Whether the thread may be in the middle of a restartable sequence. Such a sequence must see that it was interrupted,
// and the kernel would tell it only at the place where it stood. System calls are not allowed inside of one.
static int may_be_in_sequence(const struct hijack *h) {
    if ((int64_t)h->registers.orig_rax >= 0) return 0;
    struct __ptrace_rseq_configuration where;
    if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, h->tid, (void *)sizeof where, &where) < 0) return 1;
    if (where.rseq_abi_pointer == 0) return 0;
    uint64_t sequence = 0;
    return move_memory(h->tid, where.rseq_abi_pointer + 8, &sequence, 8, 0) != 0 || sequence != 0;
}

static int save(struct hijack *h) {
    struct iovec io = {&h->registers, sizeof h->registers};
    if (ptrace(PTRACE_GETREGSET, h->tid, (void *)NT_PRSTATUS, &io) != 0) return NJ_UNFIT;
    if (h->registers.cs != user_code_segment || may_be_in_sequence(h)) return NJ_UNFIT;
    if (ptrace(PTRACE_GETSIGMASK, h->tid, (void *)kernel_mask, &h->mask) != 0) return NJ_UNFIT;
    return 0;
}

// Draws the way back and writes it below the stack in use. Answers where the frames lie.
static int lay_way_back(struct hijack *h, struct nj_call_site site, uint64_t *frame_at, uint64_t *copy_frame_at) {
    struct iovec vectors = {h->image, xstate_room};
    if (ptrace(PTRACE_GETREGSET, h->tid, (void *)NT_X86_XSTATE, &vectors) != 0) return NJ_UNFIT;
    uint64_t size = vectors.iov_len;
    if (size < 576 || size + 4 > xstate_room) return NJ_UNFIT;
    struct software_bytes software = {magic1, (uint32_t)size + 4, 0, (uint32_t)size};
    memcpy(&software.features, h->image + software_bytes, 8);
    memset(h->image + software_bytes, 0, 48);
    memcpy(h->image + software_bytes, &software, sizeof software);
    const uint32_t end_mark = magic2;
    memcpy(h->image + size, &end_mark, 4);

    h->high = h->registers.rsp - red_zone;
    uint64_t vectors_at = (h->high - (size + 4)) & ~63ull;
    // After `ret` the stack pointer is that of a function just entered: 8 below a multiple of 16.
    *frame_at = ((vectors_at - sizeof(struct frame)) & ~15ull) - 8;
    *copy_frame_at = ((*frame_at - sizeof(struct frame)) & ~15ull) - 8;
    h->low = *copy_frame_at;
    if (h->high - h->low > sizeof h->before || h->low > h->high) return NJ_UNFIT;
    if (move_memory(h->tid, h->low, h->before, h->high - h->low, 0) != 0) return NJ_UNFIT;

    struct frame back, end;
    struct user_regs_struct registers = h->registers;
    rewind_call(&registers);
    fill(&back, site, &registers, h->mask);
    back.registers.fpregs = (fpregset_t)vectors_at;
    struct user_regs_struct leaves = h->registers;
    leaves.rip = site.call;
    leaves.rax = SYS_exit_group;
    leaves.rdi = 0;
    leaves.rsp = *frame_at;
    fill(&end, site, &leaves, ~0ull);
    if (move_memory(h->tid, vectors_at, h->image, size + 4, 1) != 0) return NJ_UNFIT;
    if (move_memory(h->tid, *frame_at, &back, sizeof back, 1) != 0) return NJ_UNFIT;
    return move_memory(h->tid, *copy_frame_at, &end, sizeof end, 1) == 0 ? 0 : NJ_UNFIT;
}

// Puts all back. The mask comes first: should we die after it, the way back on the stack still does the rest.
static int restore(struct hijack *h) {
    int failed = set_mask(h->tid, h->mask);
    if (!failed) failed = set_registers(h->tid, h->registers);
    if (!failed) move_memory(h->tid, h->low, h->before, h->high - h->low, 1);
    return failed;
}

// Takes a copy that was just made into our hands: from now on it ends when we do. 0 where it could not be had.
static int32_t hold(int32_t copy, int64_t until_us) {
    int status = 0;
    if (next_status(copy, until_us, &status) == 0 && ptrace(PTRACE_SETOPTIONS, copy, 0, PTRACE_O_EXITKILL) == 0) return copy;
    nj_end_copy(copy);
    return 0;
}

// Lets the thread run until it has left its system call; notes the process that it made.
static int run_call(int tid, int64_t until_us, int32_t *copy) {
    int passes = 0;
    while (1) {
        if (ptrace(PTRACE_SYSCALL, tid, 0, passes) != 0) return -errno;
        int status = 0;
        int failed = next_status(tid, until_us, &status);
        if (failed) return failed;
        passes = 0;
        int event = status >> 16, signal = WSTOPSIG(status);
        if (event == PTRACE_EVENT_CLONE) {
            unsigned long made = 0;
            if (ptrace(PTRACE_GETEVENTMSG, tid, 0, &made) == 0) *copy = hold((int32_t)made, until_us);
        } else if (event == 0 && signal == (SIGTRAP | 0x80)) {
            // Entry and exit look alike but for rax, which says -ENOSYS on entry.
            struct user_regs_struct registers;
            struct iovec io = {&registers, sizeof registers};
            if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0) return -errno;
            if ((int64_t)registers.rax != -ENOSYS) return 0;
        } else if (event == 0) {
            passes = signal;  // SIGSTOP cannot be blocked; it is the program's, not ours.
        }
    }
}

// From the end of the call into the kernel's place for stops, where an interrupted call of the thread's own is noticed.
static int stop_again(int tid, int64_t until_us) {
    if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0) return -errno;
    int passes = 0;
    while (1) {
        if (ptrace(PTRACE_CONT, tid, 0, passes) != 0) return -errno;
        int status = 0;
        int failed = next_status(tid, until_us, &status);
        if (failed) return failed;
        if (status >> 16 == PTRACE_EVENT_STOP) return 0;
        passes = status >> 16 == 0 ? WSTOPSIG(status) : 0;
    }
}

int64_t nj_given_up_call(int tid, int32_t *timeout_ms) {
    static const uint16_t calls[] = {SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_semop, SYS_semtimedop,
                                     SYS_rt_sigtimedwait, SYS_io_getevents, SYS_io_pgetevents, SYS_io_uring_enter,
                                     SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_accept, SYS_accept4, SYS_connect,
                                     SYS_sendto, SYS_sendmsg, SYS_read, SYS_readv, SYS_write, SYS_writev};
    struct user_regs_struct r;
    struct iovec io = {&r, sizeof r};
    *timeout_ms = -1;
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0 || (int64_t)r.rax != -EINTR) return -1;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (r.orig_rax != calls[i]) continue;
        if (r.orig_rax == SYS_epoll_wait || r.orig_rax == SYS_epoll_pwait) *timeout_ms = (int32_t)r.r10;
        return calls[i];
    }
    return -1;
}

int nj_restart_call(int tid, int32_t asleep_ms) {
    struct user_regs_struct r;
    struct iovec io = {&r, sizeof r};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0) return -errno;
    int32_t timeout = (int32_t)r.r10;
    if ((r.orig_rax == SYS_epoll_wait || r.orig_rax == SYS_epoll_pwait) && timeout > 0 && asleep_ms > 0)
        r.r10 = (uint64_t)(asleep_ms < timeout ? timeout - asleep_ms : 0);
    r.rax = r.orig_rax;
    r.rip -= 2;
    return set_registers(tid, r);
}

static int carry_out(struct hijack *h, struct nj_call_site site, int64_t number, const uint64_t arguments[6],
                     int64_t until_us, struct nj_injected *answer) {
    uint64_t frame_at = 0, copy_frame_at = 0;
    if (save(h) != 0) return NJ_UNFIT;
    if (ptrace(PTRACE_SETOPTIONS, h->tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE) != 0) return NJ_UNFIT;
    if (lay_way_back(h, site, &frame_at, &copy_frame_at) != 0) return NJ_UNFIT;

    struct user_regs_struct call = h->registers;
    call.orig_rax = ~0ull;  // no call was interrupted here
    call.rax = (uint64_t)number;
    call.rip = site.call;
    call.rsp = frame_at;
    call.rdi = arguments[0];
    // The copy begins on a stack of its own: on the way to its end.
    call.rsi = number == SYS_clone ? copy_frame_at : arguments[1];
    call.rdx = arguments[2];
    call.r10 = arguments[3];
    call.r8 = arguments[4];
    call.r9 = arguments[5];
    if (set_registers(h->tid, call) != 0) return NJ_UNFIT;
    // No signal may be handled in the middle. Registers first: dying here must not leave a deaf thread.
    if (set_mask(h->tid, ~0ull) != 0) return restore(h) == 0 ? NJ_UNFIT : NJ_LOST;

    int failed = run_call(h->tid, until_us, &answer->copy);
    if (!failed) {
        struct user_regs_struct after;
        struct iovec io = {&after, sizeof after};
        if (ptrace(PTRACE_GETREGSET, h->tid, (void *)NT_PRSTATUS, &io) == 0) answer->result = (int64_t)after.rax;
        failed = stop_again(h->tid, until_us);
    }
    if (!failed) failed = restore(h);
    return failed ? NJ_LOST : 0;
}

int nj_inject(int tid, struct nj_call_site site, int64_t number, const uint64_t arguments[6], int64_t patience_us,
              struct nj_injected *answer) {
    memset(answer, 0, sizeof *answer);
    struct hijack *h = aligned_alloc(64, (sizeof *h + 63) & ~63ull);
    if (!h) return NJ_UNFIT;
    h->tid = tid;
    int result = carry_out(h, site, number, arguments, now_us() + patience_us, answer);
    free(h);
    return result;
}

int nj_inject_copy(int tid, struct nj_call_site site, int64_t patience_us, struct nj_injected *answer) {
    const uint64_t arguments[6] = {CLONE_FILES, 0, 0, 0, 0, 0};
    return nj_inject(tid, site, SYS_clone, arguments, patience_us, answer);
}

int nj_inject_reap(int tid, struct nj_call_site site, int64_t copy, int64_t patience_us, struct nj_injected *answer) {
    const uint64_t arguments[6] = {(uint64_t)copy, 0, WNOHANG | __WALL, 0, 0, 0};
    return nj_inject(tid, site, SYS_wait4, arguments, patience_us, answer);
}

#else

int nj_can_inject(void) { return 0; }

int64_t nj_given_up_call(int tid, int32_t *timeout_ms) {
    (void)tid;
    *timeout_ms = -1;
    return -1;
}

int nj_restart_call(int tid, int32_t asleep_ms) {
    (void)tid, (void)asleep_ms;
    return 0;
}

int nj_inject(int tid, struct nj_call_site site, int64_t number, const uint64_t arguments[6], int64_t patience_us,
              struct nj_injected *answer) {
    (void)tid, (void)site, (void)number, (void)arguments, (void)patience_us;
    memset(answer, 0, sizeof *answer);
    return NJ_UNFIT;
}

int nj_inject_copy(int tid, struct nj_call_site site, int64_t patience_us, struct nj_injected *answer) {
    return nj_inject(tid, site, 0, 0, patience_us, answer);
}

int nj_inject_reap(int tid, struct nj_call_site site, int64_t copy, int64_t patience_us, struct nj_injected *answer) {
    (void)copy;
    return nj_inject(tid, site, 0, 0, patience_us, answer);
}

#endif
