#include "CNightjarTestKit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int njt_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

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

int njt_refuse(long call) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof steps[0], steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : errno;
}

int njt_epoll_wait(int milliseconds) {
    int queue = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    int ready = epoll_wait(queue, &event, 1, milliseconds);
    int saved = errno;
    close(queue);
    errno = saved;
    return ready;
}
