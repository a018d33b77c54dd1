#include "nj_memory.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { page = 4096, batch = 64 };

ssize_t nj_read_memory(pid_t pid, uint64_t address, void *buffer, size_t length) {
    size_t done = 0;
    while (done < length) {
        struct iovec remote[batch];
        unsigned long pieces = 0;
        size_t wanted = 0;
        while (pieces < batch && done + wanted < length) {
            uint64_t at = address + done + wanted;
            size_t piece = page - (size_t)(at & (page - 1));
            if (piece > length - done - wanted) piece = length - done - wanted;
            remote[pieces].iov_base = (void *)(uintptr_t)at;
            remote[pieces].iov_len = piece;
            pieces++;
            wanted += piece;
        }
        struct iovec local = {(char *)buffer + done, wanted};
        // Every argument is cast: a plain 0 through the variadic syscall() leaves garbage in the upper half.
        long got = syscall(SYS_process_vm_readv, (long)pid, &local, 1UL, remote, pieces, 0UL);
        if (got < 0) return done > 0 || errno == EFAULT ? (ssize_t)done : -1;
        done += (size_t)got;
        if ((size_t)got < wanted) break;
    }
    return (ssize_t)done;
}

pid_t nj_gettid(void) { return (pid_t)syscall(SYS_gettid); }
