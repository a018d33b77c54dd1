#include "CNightjarTestKit.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
