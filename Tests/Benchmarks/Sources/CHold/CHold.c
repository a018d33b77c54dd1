#include "CHold.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

int hold_thread(pid_t tid) {
    if (ptrace(PTRACE_SEIZE, tid, 0, 0) != 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0) return -1;
    int status;
    return waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status) ? 0 : -1;
}

int release_thread(pid_t tid) { return ptrace(PTRACE_DETACH, tid, 0, 0) == 0 ? 0 : -1; }
