// Reading many small kernel files: one call a file, no errno to fetch afterwards, no allocation.
#include "CNightjarLinux.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int nj_open_at(int directory, const char *path) {
    int descriptor = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return descriptor < 0 ? -errno : descriptor;
}

ssize_t nj_pread(int descriptor, void *buffer, size_t size) {
    ssize_t count = pread(descriptor, buffer, size, 0);
    return count < 0 ? -errno : count;
}

ssize_t nj_read_at(int directory, const char *path, void *buffer, size_t size) {
    int descriptor = nj_open_at(directory, path);
    if (descriptor < 0) return descriptor;
    ssize_t count = read(descriptor, buffer, size);
    if (count < 0) count = -errno;
    close(descriptor);
    return count;
}

ssize_t nj_read_whole_at(int directory, const char *path, void *buffer, size_t size) {
    int descriptor = nj_open_at(directory, path);
    if (descriptor < 0) return descriptor;
    size_t filled = 0;
    ssize_t count = 0;
    while (filled < size) {
        count = read(descriptor, (char *)buffer + filled, size - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        filled += (size_t)count;
    }
    if (count < 0) count = -errno;
    close(descriptor);
    return count < 0 ? count : (ssize_t)filled;
}

int64_t nj_size_at(int directory, const char *path) {
    struct stat status;
    if (fstatat(directory, path, &status, 0) < 0) return -errno;
    return status.st_size;
}

struct directory_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

// Calls nothing and keeps nothing: walks one buffer of entries. -1 where a name is no number.
static int32_t number(const char *name) {
    if (name[0] < '1' || name[0] > '9') return -1;
    int64_t value = 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9') return -1;
        value = value * 10 + (*name - '0');
        if (value > INT32_MAX) return -1;
    }
    return (int32_t)value;
}

ssize_t nj_list_numbers(int directory, int32_t *numbers, size_t capacity) {
    char buffer[16384] __attribute__((aligned(8)));
    size_t found = 0;
    if (lseek(directory, 0, SEEK_SET) < 0) return -errno;
    for (;;) {
        long filled = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
        if (filled < 0) return -errno;
        if (filled == 0) return (ssize_t)found;
        for (long at = 0; at < filled;) {
            struct directory_entry *entry = (struct directory_entry *)(buffer + at);
            int32_t value = number(entry->name);
            if (value > 0) {
                if (found < capacity) numbers[found] = value;
                found++;
            }
            at += entry->length;
        }
    }
}

ssize_t nj_count_entries_at(int directory, const char *path, size_t most) {
    char buffer[16384] __attribute__((aligned(8)));
    int descriptor = openat(directory, path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (descriptor < 0) return -errno;
    ssize_t found = 0;
    while ((size_t)found < most) {
        long filled = syscall(SYS_getdents64, descriptor, buffer, sizeof buffer);
        if (filled < 0) found = -errno;
        if (filled <= 0) break;
        for (long at = 0; at < filled;) {
            struct directory_entry *entry = (struct directory_entry *)(buffer + at);
            if (entry->name[0] != '.') found++;
            at += entry->length;
        }
    }
    close(descriptor);
    return found;
}

ssize_t nj_read_in_root(const char *root, const char *path, void *buffer, size_t size) {
    int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -errno;
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int descriptor = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    ssize_t count = descriptor < 0 ? -errno : read(descriptor, buffer, size);
    if (descriptor >= 0 && count < 0) count = -errno;
    if (descriptor >= 0) close(descriptor);
    close(directory);
    return count;
}
