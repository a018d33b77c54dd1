#include "CFloor.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_file(int pid, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

long floor_open(struct floor_sample **samples) {
    DIR *folder = opendir("/proc");
    if (!folder) return -1;
    long count = 0, capacity = 0;
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            struct floor_sample *larger = realloc(*samples, (size_t)capacity * sizeof **samples);
            if (!larger) return -1;
            *samples = larger;
        }
        struct floor_sample *sample = &(*samples)[count];
        memset(sample, 0, sizeof *sample);
        sample->pid = atoi(entry->d_name);
        sample->stat = open_file(sample->pid, "stat");
        sample->statm = open_file(sample->pid, "statm");
        if (sample->stat >= 0 && sample->statm >= 0) count++;
    }
    closedir(folder);
    return count;
}

static const char *skip(const char *at, int blanks) {
    while (blanks && *at)
        if (*at++ == ' ') blanks--;
    return at;
}

static int64_t number(const char *at) {
    int64_t value = 0;
    while (*at >= '0' && *at <= '9') value = value * 10 + (*at++ - '0');
    return value;
}

static int read_stat(struct floor_sample *sample) {
    char buffer[1024];
    ssize_t count = pread(sample->stat, buffer, sizeof buffer - 1, 0);
    if (count <= 0) return 0;
    buffer[count] = 0;
    const char *at = memrchr(buffer, ')', (size_t)count);
    if (!at) return 0;
    at = skip(at, 12);
    sample->ticks = number(at);
    at = skip(at, 1);
    sample->ticks += number(at);
    at = skip(at, 5);
    sample->threads = number(at);
    at = skip(at, 2);
    sample->start = number(at);
    return 1;
}

static int read_statm(struct floor_sample *sample) {
    char buffer[256];
    ssize_t count = pread(sample->statm, buffer, sizeof buffer - 1, 0);
    if (count <= 0) return 0;
    buffer[count] = 0;
    const char *at = skip(buffer, 1);
    sample->resident = number(at);
    at = skip(at, 1);
    sample->anonymous = sample->resident - number(at);
    return 1;
}

long floor_read(struct floor_sample *samples, long count) {
    long done = 0;
    for (long i = 0; i < count; i++) done += read_statm(&samples[i]) && read_stat(&samples[i]);
    return done;
}

void floor_close(struct floor_sample *samples, long count) {
    for (long i = 0; i < count; i++) {
        close(samples[i].stat);
        close(samples[i].statm);
    }
    free(samples);
}
