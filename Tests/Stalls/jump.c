// Preloaded into a process, makes its CLOCK_MONOTONIC run ahead by as many nanoseconds as the first eight bytes of the file
// NIGHTJAR_JUMP say at the moment: what a process sees after its virtual machine was paused, or worse, all at a stroke.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const int64_t *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("NIGHTJAR_JUMP");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED) ahead = memory;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    long result = syscall(SYS_clock_gettime, (long)clock, time);
    if (result == 0 && clock == CLOCK_MONOTONIC && ahead) {
        time->tv_sec += *(const volatile int64_t *)ahead / 1000000000;
        time->tv_nsec += *(const volatile int64_t *)ahead % 1000000000;
        if (time->tv_nsec >= 1000000000) {
            time->tv_sec++;
            time->tv_nsec -= 1000000000;
        }
    }
    return (int)result;
}
