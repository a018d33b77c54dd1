// For the room NightjarInspect: a stopped thread of another process is made to carry out one system call.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Two places in the target's own code: `syscall; ret`, and what the C library returns to from a signal handler.
struct nj_call_site {
    uint64_t call;
    uint64_t sigreturn;
};
// What one injected system call came to.
struct nj_injected {
    // What the call returned to the thread.
    int64_t result;
    // The process that it made, stopped and ours to trace; 0 where it made none.
    int32_t copy;
};
enum {
    // The injection is not possible in this thread; nothing was changed, another thread may do.
    NJ_UNFIT = -1,
    // The thread did not come back in time; it puts itself right as soon as it is let go.
    NJ_LOST = -2,
};

// Whether this processor's registers are known: x86-64.
int nj_can_inject(void);
// Asks a seized thread to stop; nj_await_stop waits for it. 0 or -errno.
int nj_ask_to_stop(int tid);
// Waits at most `patience_us` until the thread has stopped as asked: 0; or with a signal that it was just about to
// take, which nj_detach must hand on: that signal; or -errno.
int nj_await_stop(int tid, int64_t patience_us);
// The number of the system call that a stopped thread was in and that the kernel gives up with EINTR rather than restart
// it after a stop (epoll_wait and a few more); -1 where there is none. `timeout_ms` is how long it was to sleep, else -1.
int64_t nj_given_up_call(int tid, int32_t *timeout_ms);
// Has that call begin again once the thread goes on; it slept `asleep_ms` already. 0 or -errno.
int nj_restart_call(int tid, int32_t asleep_ms);
// Makes a thread that stopped as asked carry out one system call. `number` and the arguments are the kernel's.
// Afterwards the thread is stopped as before, with its own registers, signal mask and stack.
int nj_inject(int tid, struct nj_call_site site, int64_t number, const uint64_t arguments[6], int64_t patience_us,
              struct nj_injected *answer);
// A copy of the thread's process that never runs an instruction (`clone` with neither shared memory nor an exit signal).
int nj_inject_copy(int tid, struct nj_call_site site, int64_t patience_us, struct nj_injected *answer);
// Ends a copy and takes it off our hands; it stays a zombie of its parent until nj_inject_reap. 0 or -errno.
int nj_end_copy(int copy);
// The parent takes its ended copy, which it knows as `copy`. Answers as nj_inject does.
int nj_inject_reap(int tid, struct nj_call_site site, int64_t copy, int64_t patience_us, struct nj_injected *answer);
// Whether two processes have one memory: 1 or 0, or -errno.
int nj_same_memory(int pid, int other);
// pidfd_open(2): a descriptor that tells when a process has ended, or -errno. nj_life_ended: 1 once it has.
int nj_open_life(int pid);
int nj_life_ended(int descriptor);
// The processors that the calling thread may run on: read, set, and set to one, to which it goes at once. 0 or -errno.
struct nj_processors {
    uint64_t bits[128];
};
int nj_allowed_processors(struct nj_processors *set);
int nj_allow_processors(const struct nj_processors *set);
int nj_go_to_processor(int number);
// memmem(3): where `wanted` begins in `bytes`, or -1.
int64_t nj_find_bytes(const void *bytes, size_t count, const void *wanted, size_t wanted_count);
