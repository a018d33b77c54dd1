// idle COUNT [FORKS_PER_SECOND]: starts COUNT processes that only wait, says so by one byte on standard output, and then
// waits, or starts processes that end at once. On SIGTERM, and when its own parent dies, all of them end.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t *herd;
static int count;

static void end(int signal_number) {
    (void)signal_number;
    for (int i = 0; i < count; i++)
        if (herd[i] > 0) kill(herd[i], SIGKILL);
    for (;;) {
        if (wait(NULL) < 0 && errno == ECHILD) _exit(0);
    }
}

static pid_t start(int ends) {
    pid_t pid = fork();
    if (pid != 0) return pid;
    if (ends) _exit(0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    close(1);
    for (;;) pause();
}

static void storm(int per_second) {
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        pid_t pid = start(1);
        if (pid > 0) waitpid(pid, NULL, 0);
        next.tv_nsec += 1000000000 / per_second;
        if (next.tv_nsec >= 1000000000) {
            next.tv_nsec -= 1000000000;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

int main(int arguments, char **argument) {
    count = arguments > 1 ? atoi(argument[1]) : 0;
    int per_second = arguments > 2 ? atoi(argument[2]) : 0;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    herd = calloc((size_t)count + 1, sizeof *herd);
    if (!herd) return 1;
    signal(SIGTERM, end);
    for (int i = 0; i < count; i++) {
        herd[i] = start(0);
        if (herd[i] < 0) return 1;
    }
    if (write(1, "+", 1) != 1) return 1;
    if (per_second > 0) storm(per_second);
    for (;;) pause();
}
