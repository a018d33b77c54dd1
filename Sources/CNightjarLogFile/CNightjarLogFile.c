#include "CNightjarLogFile.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

static void lane_lock_init(nj_log_lane *lane) {
    // Adaptive: a line is copied in less time than a futex needs to put a thread to sleep.
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&lane->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

nj_log_lane *nj_log_lane_create(size_t capacity, const char *path, unsigned mode) {
    nj_log_lane *lane = calloc(1, sizeof *lane);
    if (!lane) return NULL;
    char *memory =
        mmap(NULL, capacity * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *copy = strdup(path);
    if (memory == MAP_FAILED || !copy) {
        if (memory != MAP_FAILED) munmap(memory, capacity * 2);
        free(copy);
        free(lane);
        return NULL;
    }
    lane_lock_init(lane);
    lane->front = memory;
    lane->back = memory + capacity;
    lane->capacity = capacity;
    lane->fd = -1;
    lane->path = copy;
    lane->mode = mode;
    return lane;
}

void nj_log_lane_destroy(nj_log_lane *lane) {
    munmap(lane->front < lane->back ? lane->front : lane->back, lane->capacity * 2);
    pthread_mutex_destroy(&lane->lock);
    free((void *)lane->path);
    free(lane);
}

void nj_log_lane_reset_after_fork(nj_log_lane *lane) {
    lane_lock_init(lane);
    // What was pending belongs to the parent, which writes it.
    lane->front_used = lane->back_used = lane->back_done = 0;
    lane->writing = 0;
}

void nj_log_bell_init(nj_log_bell *bell) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&bell->lock, NULL);
    pthread_cond_init(&bell->ring, &attributes);
    pthread_condattr_destroy(&attributes);
    bell->rings = 0;
}

void nj_log_bell_destroy(nj_log_bell *bell) {
    pthread_cond_destroy(&bell->ring);
    pthread_mutex_destroy(&bell->lock);
}

void nj_log_bell_ring(nj_log_bell *bell) {
    pthread_mutex_lock(&bell->lock);
    bell->rings += 1;
    pthread_cond_broadcast(&bell->ring);
    pthread_mutex_unlock(&bell->lock);
}

uint64_t nj_log_bell_wait(nj_log_bell *bell, uint64_t seen, uint64_t until_ns) {
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000), .tv_nsec = (long)(until_ns % 1000000000)};
    pthread_mutex_lock(&bell->lock);
    while (bell->rings == seen) {
        int code = until_ns == UINT64_MAX ? pthread_cond_wait(&bell->ring, &bell->lock)
                                          : pthread_cond_timedwait(&bell->ring, &bell->lock, &until);
        if (code == ETIMEDOUT) break;
    }
    uint64_t rings = bell->rings;
    pthread_mutex_unlock(&bell->lock);
    return rings;
}

uint64_t nj_log_bell_count(nj_log_bell *bell) {
    pthread_mutex_lock(&bell->lock);
    uint64_t rings = bell->rings;
    pthread_mutex_unlock(&bell->lock);
    return rings;
}

int nj_log_thread_start(const char *name, size_t stack_bytes, void *(*body)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    // The service's signals are not for our threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int code = pthread_create(&thread, &attributes, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (code == 0) pthread_setname_np(thread, name);
    return code;
}

void nj_log_thread_be_humble(void) {
    // On Linux both act on the calling thread alone when given its id.
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
    syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, 3 << 13 /* IOPRIO_CLASS_IDLE */);
}

// The crash path. Only async-signal-safe calls below.

enum { registry_size = 32 };
static nj_log_lane *registry[registry_size];

int nj_log_crash_register(nj_log_lane *lane) {
    for (int i = 0; i < registry_size; i++) {
        nj_log_lane *empty = NULL;
        if (__atomic_compare_exchange_n(&registry[i], &empty, lane, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return i;
    }
    return -1;
}

void nj_log_crash_forget(nj_log_lane *lane) {
    for (int i = 0; i < registry_size; i++) {
        nj_log_lane *expected = lane;
        if (__atomic_compare_exchange_n(&registry[i], &expected, NULL, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
    }
}

static void write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done <= 0) {
            if (done < 0 && errno == EINTR) continue;
            return;
        }
        bytes += done;
        count -= (size_t)done;
    }
}

// With the lock nobody begins to write. A writer in the middle of it is waited for, but not for long: it may be the
// thread that crashed. Trylock is not on the list of safe calls, but only tries one exchange.
static int quiet_lane(nj_log_lane *lane) {
    struct timespec pause = {0, 1000000};
    for (int tries = 0; tries < 100; tries++) {
        if (pthread_mutex_trylock(&lane->lock) == 0) {
            if (!lane->writing) return 1;
            pthread_mutex_unlock(&lane->lock);
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

// The lanes stay locked: what other threads log while the process dies has nowhere to go any more.
static void flush_lanes(void) {
    for (int i = 0; i < registry_size; i++) {
        nj_log_lane *lane = __atomic_exchange_n(&registry[i], NULL, __ATOMIC_SEQ_CST);
        if (!lane) continue;
        int is_quiet = quiet_lane(lane);
        size_t back = is_quiet ? lane->back_used - lane->back_done : 0;
        if (lane->front_used + back == 0) continue;
        int fd = lane->fd >= 0 ? lane->fd : open(lane->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, lane->mode);
        if (fd < 0) continue;
        if (back > 0) write_all(fd, lane->back + lane->back_done, back);
        write_all(fd, lane->front, lane->front_used);
    }
}

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
static struct sigaction previous[65];

static void on_crash(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    int saved = errno;
    flush_lanes();
    sigaction(signal_number, &previous[signal_number], NULL);
    // A fault comes again when its instruction runs again; what was sent has to be sent again.
    if (info->si_code <= 0 || signal_number == SIGTERM || signal_number == SIGINT) raise(signal_number);
    errno = saved;
}

static void take_signal(int signal_number, int only_default) {
    struct sigaction before;
    if (sigaction(signal_number, NULL, &before) != 0) return;
    if (only_default && ((before.sa_flags & SA_SIGINFO) || before.sa_handler != SIG_DFL)) return;
    previous[signal_number] = before;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

static void install(void) {
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++) take_signal(crash_signals[i], 0);
    for (size_t i = 0; i < sizeof end_signals / sizeof *end_signals; i++) take_signal(end_signals[i], 1);
}

void nj_log_crash_install(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

_Atomic(uint32_t) nj_log_fork_count;
static pthread_mutex_t renewal = PTHREAD_MUTEX_INITIALIZER;

// The child has one thread, which is in here.
static void in_child(void) {
    pthread_mutex_init(&renewal, NULL);
    __atomic_fetch_add((uint32_t *)&nj_log_fork_count, 1, __ATOMIC_SEQ_CST);
}

static void watch(void) { pthread_atfork(NULL, NULL, in_child); }

void nj_log_fork_watch(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch);
}

void nj_log_guard_init(nj_log_guard *guard) {
    nj_log_fork_watch();
    pthread_mutex_init(&guard->lock, NULL);
    guard->generation = nj_log_fork_generation();
}

void nj_log_guard_destroy(nj_log_guard *guard) { pthread_mutex_destroy(&guard->lock); }

// Several threads of the child may come here at once: one renews it, and holds it before the others look.
static int renewed(nj_log_guard *guard) {
    pthread_mutex_lock(&renewal);
    int is_first = guard->generation != nj_log_fork_generation();
    if (is_first) {
        pthread_mutex_init(&guard->lock, NULL);
        pthread_mutex_lock(&guard->lock);
        __atomic_store_n(&guard->generation, nj_log_fork_generation(), __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&renewal);
    return is_first;
}

int nj_log_guard_lock(nj_log_guard *guard) {
    if (__atomic_load_n(&guard->generation, __ATOMIC_ACQUIRE) != nj_log_fork_generation() && renewed(guard)) return 1;
    pthread_mutex_lock(&guard->lock);
    return 0;
}

void nj_log_guard_unlock(nj_log_guard *guard) { pthread_mutex_unlock(&guard->lock); }

int nj_log_datagram(const char *socket_path, const void *bytes, size_t count) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(socket_path) >= sizeof address.sun_path) return ENAMETOOLONG;
    strcpy(address.sun_path, socket_path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    ssize_t sent = sendto(
        fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof address);
    int code = sent < 0 ? errno : 0;
    close(fd);
    return code;
}

void nj_log_standard_error(const void *bytes, size_t count) {
    struct pollfd ready = {.fd = 2, .events = POLLOUT};
    if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
    // A pipe that is ready takes PIPE_BUF bytes without waiting.
    if (count > 4096) count = 4096;
    ssize_t ignored = write(2, bytes, count);
    (void)ignored;
}

int nj_log_open_append(const char *path, unsigned mode, int no_follow) {
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (no_follow ? O_NOFOLLOW : 0), mode);
}

int nj_log_open_fresh(const char *path, unsigned mode) {
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode);
}

int nj_log_reserve(int fd, off_t from, off_t bytes) {
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, from, bytes) == 0 ? 0 : errno;
}
