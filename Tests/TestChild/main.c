// A process that does what a test wishes and then waits: nightjar-test-child KEY=VALUE…
//
// A program of its own, because a child forked out of a process with many threads is not sound. It forks once more
// while it is small and alone: what the fork uses is its own from the first page on (ru_maxrss is inherited over
// exec, not over fork), and its parent here decides when it is collected.
//
//     descriptor 3   answers: errno, pid, rusage when the wish is fulfilled
//     descriptor 4   a byte: go on and execute the program; its end: everybody is to go
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 3, WAKE = 4 };

struct answer {
    int32_t failed;
    int32_t pid;
    int64_t cpu_us;
    int64_t largest_kib;
};

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

static int fulfil(const char *wish, const char *value) {
    int64_t number = strtoll(value, NULL, 10);
    if (!strcmp(wish, "memory")) return hold_memory(number);
    if (!strcmp(wish, "descriptors")) return hold_descriptors(number);
    if (!strcmp(wish, "burn")) burn(number);
    if (!strcmp(wish, "burn-in-thread")) return start_thread(burn_in_thread, (void *)(intptr_t)number, 1);
    if (!strcmp(wish, "user") && setresuid((uid_t)number, (uid_t)number, (uid_t)number) < 0) return errno;
    if (!strcmp(wish, "threads"))
        for (; number > 0; number--) {
            int failed = start_thread(wait_for_ever, NULL, 0);
            if (failed) return failed;
        }
    return 0;
}

static const char *value_of(int count, char **words, const char *wish) {
    size_t length = strlen(wish);
    for (int i = 1; i < count; i++)
        if (!strncmp(words[i], wish, length) && words[i][length] == '=') return words[i] + length + 1;
    return NULL;
}

static void live(int count, char **words) {
    // In the order in which they are told: whoever becomes another user does so last.
    static const char *const wishes[] = {"memory", "descriptors", "threads", "burn", "burn-in-thread", "user"};
    struct answer answer = {0, getpid(), 0, 0};
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes && !answer.failed; i++) {
        const char *value = value_of(count, words, wishes[i]);
        if (value) answer.failed = fulfil(wishes[i], value);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    answer.cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    answer.largest_kib = usage.ru_maxrss;
    if (write(ANSWER, &answer, sizeof answer) != sizeof answer || answer.failed) _exit(1);
    close(ANSWER);
    const char *program = value_of(count, words, "program");
    const char *argument = value_of(count, words, "argument");
    if (value_of(count, words, "ends")) _exit(0);
    char byte;
    if (read(WAKE, &byte, 1) == 1 && program) execl(program, program, argument, NULL);
    _exit(1);
}

int main(int count, char **words) {
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) live(count, words);
    close(ANSWER);
    // Gone, but not collected: a zombie lasts as long as the test wants one.
    siginfo_t gone;
    while (waitid(P_PID, (id_t)child, &gone, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
    }
    char byte;
    if (value_of(count, words, "ends"))
        while (read(WAKE, &byte, 1) > 0) {
        }
    waitpid(child, NULL, 0);
    return 0;
}
