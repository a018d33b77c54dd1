// Memory of other processes (or, safely, of our own), and names of threads.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Copies up to `length` bytes at `address` of process `pid` and returns how many were readable from the start on,
/// or -1 with errno where the kernel refuses altogether. The request is cut into pages, so that a copy ends at the
/// first page that is not mapped instead of failing as a whole.
ssize_t nj_read_memory(pid_t pid, uint64_t address, void *_Nonnull buffer, size_t length);

/// The calling thread's id.
pid_t nj_gettid(void);
