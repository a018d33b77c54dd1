// Reads every anonymous writable mapping of a process in pieces of 1 MiB and does nothing with them; and forks a process
// of a given size, which does nothing.
#include "CFloor.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { piece = 1 << 20, most = 1 << 16 };

struct work {
    int32_t pid;
    long count;
    uint64_t starts[most];
    uint32_t lengths[most];
    atomic_long next;
    atomic_llong bytes;
};

static void *read_pieces(void *context) {
    struct work *work = context;
    char *buffer = malloc(piece);
    for (long at; (at = atomic_fetch_add(&work->next, 1)) < work->count;) {
        struct iovec to = {buffer, work->lengths[at]}, from = {(void *)work->starts[at], work->lengths[at]};
        ssize_t got = process_vm_readv(work->pid, &to, 1, &from, 1, 0);
        if (got > 0) atomic_fetch_add(&work->bytes, got);
    }
    free(buffer);
    return 0;
}

long long floor_read_heap(int32_t pid, int32_t threads) {
    char path[64], line[4096];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    struct work *work = calloc(1, sizeof *work);
    if (!maps || !work) return -1;
    work->pid = pid;
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end, inode;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, rights, &inode) != 4) continue;
        if (inode != 0 || rights[0] != 'r' || rights[1] != 'w' || strstr(line, "[stack]")) continue;
        for (unsigned long at = start; at < end && work->count < most; at += piece) {
            work->starts[work->count] = at;
            work->lengths[work->count++] = (uint32_t)(end - at < piece ? end - at : piece);
        }
    }
    fclose(maps);
    pthread_t second;
    int two = threads > 1 && pthread_create(&second, 0, read_pieces, work) == 0;
    read_pieces(work);
    if (two) pthread_join(second, 0);
    long long bytes = atomic_load(&work->bytes);
    free(work);
    return bytes;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double fork_with(uint64_t bytes) {
    volatile char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -1;
    madvise((void *)memory, bytes, MADV_NOHUGEPAGE);
    for (uint64_t at = 0; at < bytes; at += 4096) memory[at] = 1;
    double began = seconds();
    pid_t child = fork();
    if (child == 0) _exit(0);
    return child > 0 ? seconds() - began : -1;
}

// In a process of its own: what the caller starts later must not inherit this peak of memory.
double floor_fork(uint64_t bytes) {
    int ends[2];
    double took = -1;
    if (pipe(ends) != 0) return -1;
    pid_t helper = fork();
    if (helper == 0) {
        took = fork_with(bytes);
        _exit(write(ends[1], &took, sizeof took) == sizeof took ? 0 : 1);
    }
    close(ends[1]);
    if (helper < 0 || read(ends[0], &took, sizeof took) != sizeof took) took = -1;
    close(ends[0]);
    if (helper > 0) waitpid(helper, 0, 0);
    return took;
}
