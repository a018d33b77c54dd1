// Threads that wait in each kind of system call and say BAD when one ends early, fails, or sees what it should not see:
// what a program notices when it is stopped, or when one of its threads is made to copy it. Prints "ready", then a line
// "ok ROUNDS" ten times a second. Words on the command line make it special:
//     seccomp    a filter of system calls that allows all     nproc     may have no further process
//     dontfork   part of its memory is kept from copies       wipe      copies find zeros in part of its memory
//     vfork      a child runs in its memory for two seconds
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Atomic long rounds;
static int channel[2], failures;

static void judge(const char *what, int right, double began, double wanted) {
    double slept = now() - began;
    int error = errno;
    if (!right || slept < wanted - 0.0005) {
        failures++;
        printf("BAD %s errno %d after %.4f of %.4f s\n", what, error, slept, wanted);
    }
    rounds++;
}

static struct timespec later(double seconds) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += (long)(seconds * 1e9);
    while (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, t.tv_sec++;
    return t;
}

#define FOREVER(name, setup, wanted, right)           \
    static void *name(void *unused) {                 \
        (void)unused;                                 \
        setup;                                        \
        while (1) {                                   \
            double began = now();                     \
            errno = 0;                                \
            int is_right = right;                     \
            judge(#name, is_right, began, wanted);    \
        }                                             \
    }

static struct epoll_event event;
FOREVER(naps, struct timespec t = { .tv_nsec = 37000000 }, 0.037, nanosleep(&t, 0) == 0)
FOREVER(loops, int e = epoll_create1(0), 0.041, epoll_wait(e, &event, 1, 41) == 0)
FOREVER(loops_masked, int e = epoll_create1(0); sigset_t s; sigemptyset(&s), 0.045, epoll_pwait(e, &event, 1, 45, &s) == 0)
FOREVER(polls, , 0.043, poll(0, 0, 43) == 0)
FOREVER(polls_masked, sigset_t s; sigemptyset(&s), 0.053, ppoll(0, 0, &(struct timespec){.tv_nsec = 53000000}, &s) == 0)
FOREVER(selects, , 0.047, select(0, 0, 0, 0, &(struct timeval){.tv_usec = 47000}) == 0)
FOREVER(signals, sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2), 0.051,
        sigtimedwait(&s, 0, &(struct timespec){.tv_nsec = 51000000}) < 0 && errno == EAGAIN)
FOREVER(semaphores, sem_t s; sem_init(&s, 0, 0), 0.039,
        sem_clockwait(&s, CLOCK_REALTIME, &(struct timespec[]){later(0.039)}[0]) < 0 && errno == ETIMEDOUT)
FOREVER(reads, char c, 0, read(channel[0], &c, 1) == 1)
FOREVER(reckons, volatile double factor = 1.5, 0, ({
            double sum = 0;
            for (int i = 0; i < 100000; i++) sum += factor * i;
            sum == 1.5 * 4999950000.0;
        }))

static void *bears(void *unused) {
    (void)unused;
    if (vfork() == 0) {
        struct timespec t = {2, 0};
        nanosleep(&t, 0);
        _exit(0);
    }
    return 0;
}

static int special(const char *word) {
    if (strcmp(word, "seccomp") == 0) {
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog program = {1, &allow};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    }
    if (strcmp(word, "nproc") == 0) {
        struct rlimit one = {1, 1};
        return setrlimit(RLIMIT_NPROC, &one);
    }
    int advice = strcmp(word, "dontfork") == 0 ? MADV_DONTFORK : strcmp(word, "wipe") == 0 ? MADV_WIPEONFORK : 0;
    if (advice) {
        char *memory = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory[0] = 1;
        return madvise(memory, 8192, advice);
    }
    pthread_t thread;
    return strcmp(word, "vfork") == 0 ? pthread_create(&thread, 0, bears, 0) : 0;
}

int main(int count, char **words) {
    void *(*const kinds[])(void *) = {naps, loops, loops_masked, polls, polls_masked, selects, signals, semaphores, reads, reckons};
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, 0);
    setvbuf(stdout, 0, _IOLBF, 0);
    if (pipe(channel) != 0) return 2;
    // Root is not bound by that limit.
    if (count > 1 && strcmp(words[1], "nproc") == 0 && getuid() == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0) return 3;
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        pthread_t thread;
        if (pthread_create(&thread, 0, kinds[i], 0) != 0) return 2;
    }
    for (int i = 1; i < count; i++)
        if (special(words[i]) != 0) return 3;
    puts("ready");
    for (long beat = 1;; beat++) {
        struct timespec t = {.tv_nsec = 10000000};
        nanosleep(&t, 0);
        if (write(channel[1], "x", 1) != 1) return 2;
        // Nobody but its own children may show up here, and it has none.
        int status;
        if (count == 1 && !(waitpid(-1, &status, WNOHANG) < 0 && errno == ECHILD)) printf("BAD waitpid\n");
        if (beat % 10 == 0) printf("ok %ld\n", rounds);
    }
}
