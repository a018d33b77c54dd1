// What the log file needs below Swift: an adaptive lock around pending lines, threads with a small stack and a low
// priority, and the one piece that has to be async-signal-safe: handing pending lines to the kernel during a crash.
#pragma once
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

// Lines that wait for the writer. Producers fill `front`; the writer swaps and drains `back`. `front_used` moves only
// after a line is whole, so a crash handler that reads it at any instant sees whole lines.
typedef struct nj_log_lane {
    pthread_mutex_t lock;
    char *front;
    char *back;
    size_t capacity;
    size_t front_used;
    size_t back_used;
    size_t back_done;
    int writing;       // the writer has `back`, from take to advance
    int fd;            // -1 while closed
    const char *path;  // opened by the crash handler where fd is -1
    unsigned mode;
} nj_log_lane;

// Null where memory is not to be had. The two buffers are mapped, so untouched pages cost nothing.
nj_log_lane *nj_log_lane_create(size_t capacity, const char *path, unsigned mode);
void nj_log_lane_destroy(nj_log_lane *lane);
// After fork the lock may be held by a thread that does not exist any more.
void nj_log_lane_reset_after_fork(nj_log_lane *lane);

static inline void nj_log_lane_lock(nj_log_lane *lane) { pthread_mutex_lock(&lane->lock); }
static inline void nj_log_lane_unlock(nj_log_lane *lane) { pthread_mutex_unlock(&lane->lock); }

// A flag with a condition on the monotonic clock: who sleeps until somebody rings.
typedef struct nj_log_bell {
    pthread_mutex_t lock;
    pthread_cond_t ring;
    uint64_t rings;
} nj_log_bell;

void nj_log_bell_init(nj_log_bell *bell);
void nj_log_bell_destroy(nj_log_bell *bell);
void nj_log_bell_ring(nj_log_bell *bell);
// Sleeps until `rings` differs from `seen` or the monotonic time is over (never: UINT64_MAX). Returns the current count.
uint64_t nj_log_bell_wait(nj_log_bell *bell, uint64_t seen, uint64_t until_ns);
uint64_t nj_log_bell_count(nj_log_bell *bell);

// Starts a detached thread with all signals blocked. 0, or an errno.
int nj_log_thread_start(const char *name, size_t stack_bytes, void *(*body)(void *), void *argument);
// The calling thread yields to everything else: nice 19, idle I/O class.
void nj_log_thread_be_humble(void);

// Lanes whose pending lines the crash handler writes. Up to 32; further ones are not registered (returns -1).
int nj_log_crash_register(nj_log_lane *lane);
void nj_log_crash_forget(nj_log_lane *lane);
// SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP; and SIGTERM, SIGINT, SIGHUP, SIGQUIT where their action is still the
// default. The handler writes pending lines and passes the signal on to whoever had it before. Installs once.
void nj_log_crash_install(void);

// How often this process has come out of fork as a child.
extern _Atomic(uint32_t) nj_log_fork_count;
static inline uint32_t nj_log_fork_generation(void) { return __atomic_load_n((uint32_t *)&nj_log_fork_count, __ATOMIC_RELAXED); }
void nj_log_fork_watch(void);

// A lock that is free again in the child of a fork.
typedef struct nj_log_guard {
    pthread_mutex_t lock;
    uint32_t generation;
} nj_log_guard;

void nj_log_guard_init(nj_log_guard *guard);
void nj_log_guard_destroy(nj_log_guard *guard);
// 1 where the caller is the first in this child to hold it.
int nj_log_guard_lock(nj_log_guard *guard);
void nj_log_guard_unlock(nj_log_guard *guard);

// One datagram, never waiting: 0 where it was taken, else an errno.
int nj_log_datagram(const char *socket_path, const void *bytes, size_t count);
// Writes to the standard error only what it takes at once.
void nj_log_standard_error(const void *bytes, size_t count);
// Opens for appending, close-on-exec, without following a symbolic link in the last place if `no_follow`.
int nj_log_open_append(const char *path, unsigned mode, int no_follow);
int nj_log_open_fresh(const char *path, unsigned mode);
// Allocates blocks without changing the file's length (fallocate, KEEP_SIZE). 0, or an errno.
int nj_log_reserve(int fd, off_t from, off_t bytes);
