// Many small kernel files: one call a file, no errno to fetch afterwards, no allocation.
// All answer a negative errno where the kernel refuses.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/// Opens for reading, close-on-exec, relative to a directory descriptor.
int nj_open_at(int directory, const char *path);
/// Reads from the beginning of a kept descriptor: one system call.
ssize_t nj_pread(int descriptor, void *buffer, size_t size);
/// Opens, reads once, closes: three system calls, for files that the kernel hands out in one piece.
ssize_t nj_read_at(int directory, const char *path, void *buffer, size_t size);
/// Opens, reads until the end or until the buffer is full, closes.
ssize_t nj_read_whole_at(int directory, const char *path, void *buffer, size_t size);
/// `st_size` of a path: of `/proc/PID/fd` it is the number of open descriptors since Linux 6.2.
int64_t nj_size_at(int directory, const char *path);
/// Entries of a directory whose names are positive numbers: fills `numbers`, answers how many there are (may be more
/// than `capacity`).
ssize_t nj_list_numbers(int directory, int32_t *numbers, size_t capacity);
/// Counts the entries of a directory that do not begin with a dot, and stops soon after `most`.
ssize_t nj_count_entries_at(int directory, const char *path, size_t most);
/// Reads a file below `root` (such as `/proc/PID/root`) as if `root` were `/`: links inside cannot lead out (openat2,
/// Linux 5.6). Never waits for a writer.
ssize_t nj_read_in_root(const char *root, const char *path, void *buffer, size_t size);

#pragma clang assume_nonnull end
