#include "CNightjarTestKit.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t cpu_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void burn(int64_t milliseconds) {
    int64_t until = cpu_ms(CLOCK_THREAD_CPUTIME_ID) + milliseconds;
    while (cpu_ms(CLOCK_THREAD_CPUTIME_ID) < until)
        for (volatile int i = 0; i < 10000; i++) {
        }
}

static void *burn_in_thread(void *milliseconds) {
    burn((int64_t)(intptr_t)milliseconds);
    return NULL;
}

static void *wait_for_ever(void *nothing) {
    for (;;) pause();
    return nothing;
}

static int hold_memory(int64_t size) {
    char *memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno;
    for (int64_t at = 0; at < size; at += 4096) memory[at] = 1;
    return 0;
}

static int hold_descriptors(int64_t count) {
    struct rlimit limit = {(rlim_t)count + 256, (rlim_t)count + 256};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return errno;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int64_t i = 0; i < count; i++)
        if (fcntl(file, F_DUPFD_CLOEXEC, 0) < 0) return errno;
    return 0;
}

static int start_thread(void *(*body)(void *), void *argument, int join) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    int failed = pthread_create(&thread, &attributes, body, argument);
    if (!failed && join) failed = pthread_join(thread, NULL);
    return failed;
}

static int fulfil(const struct njt_wish *wish) {
    int failed = 0;
    if (wish->memory) failed = hold_memory(wish->memory);
    if (!failed && wish->descriptors) failed = hold_descriptors(wish->descriptors);
    for (int64_t i = 0; !failed && i < wish->threads; i++) failed = start_thread(wait_for_ever, NULL, 0);
    if (wish->burn_ms) burn(wish->burn_ms);
    if (!failed && wish->burn_in_thread_ms)
        failed = start_thread(burn_in_thread, (void *)(intptr_t)wish->burn_in_thread_ms, 1);
    if (!failed && wish->uid && setresuid(wish->uid, wish->uid, wish->uid) < 0) failed = errno;
    return failed;
}

static void live(const struct njt_wish *wish, int answer, int wake) {
    // A test that dies leaves nobody behind.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct {
        int32_t failed;
        struct rusage usage;
    } said = {fulfil(wish), {{0}}};
    getrusage(RUSAGE_SELF, &said.usage);
    if (write(answer, &said, sizeof said) != sizeof said) _exit(1);
    if (wish->ends) _exit(0);
    char byte;
    if (wish->program && read(wake, &byte, 1) == 1) execl(wish->program, wish->program, wish->argument, NULL);
    wait_for_ever(NULL);
}

int njt_start(const struct njt_wish *wish, struct rusage *usage, int *wake) {
    int answer[2], waking[2];
    *wake = -1;
    if (pipe2(answer, O_CLOEXEC) < 0) return -errno;
    if (pipe2(waking, O_CLOEXEC) < 0) return -errno;
    int pid = fork();
    if (pid == 0) live(wish, answer[1], waking[0]);
    close(answer[1]);
    close(waking[0]);
    struct {
        int32_t failed;
        struct rusage usage;
    } said = {EPIPE, {{0}}};
    ssize_t count = pid < 0 ? 0 : read(answer[0], &said, sizeof said);
    close(answer[0]);
    if (count != (ssize_t)sizeof said || said.failed) {
        close(waking[1]);
        if (pid > 0) njt_end(pid);
        return -said.failed;
    }
    *usage = said.usage;
    *wake = waking[1];
    return pid;
}

void njt_wake(int wake) {
    char byte = 1;
    if (write(wake, &byte, 1) < 0) return;
}

void njt_end(int pid) {
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

struct errand {
    uint32_t uid;
    void (*body)(void *);
    void *context;
    int failed;
};

static void *run_errand(void *argument) {
    struct errand *errand = argument;
    // The raw call changes this thread alone; glibc's would change all.
    if (syscall(SYS_setresuid, errand->uid, errand->uid, errand->uid) < 0)
        errand->failed = errno;
    else
        errand->body(errand->context);
    return NULL;
}

int njt_as_user(uint32_t uid, void (*body)(void *), void *context) {
    struct errand errand = {uid, body, context, 0};
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, run_errand, &errand);
    if (failed) return -failed;
    pthread_join(thread, NULL);
    return -errand.failed;
}
