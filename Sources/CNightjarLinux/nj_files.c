#include "nj_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int nj_file_status(int folder, const char *path, int follow, struct nj_file *out) {
    struct statx x;
    int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
    if (statx(folder, path, flags, STATX_BASIC_STATS, &x) != 0) return -errno;
    out->device = (uint64_t)x.stx_dev_major << 32 | x.stx_dev_minor;
    out->inode = x.stx_ino;
    out->size = (int64_t)x.stx_size;
    out->allocated = (int64_t)x.stx_blocks * 512;
    out->modified = x.stx_mtime.tv_sec;
    out->mode = x.stx_mode;
    out->links = x.stx_nlink;
    out->uid = x.stx_uid;
    out->unused = 0;
    return 0;
}

int nj_be_patient(void) {
    // IOPRIO_WHO_PROCESS of this thread, class idle (3 << 13).
    if (syscall(SYS_ioprio_set, 1, 0, 3 << 13) != 0) return -errno;
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10) != 0) return -errno;
    return 0;
}

int nj_start_thread(void *(*body)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    int code = pthread_create(&thread, &attributes, body, argument);
    pthread_attr_destroy(&attributes);
    return code;
}
