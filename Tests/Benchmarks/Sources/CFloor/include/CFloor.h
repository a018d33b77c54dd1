// The least that sampling can cost: the same files and fields in C, one loop over kept descriptors.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

/// What the loop takes out of stat and statm.
struct floor_sample {
    int32_t pid;
    int32_t stat, statm;
    int64_t resident, anonymous, ticks, threads, start;
};

/// Opens stat and statm of every process. Answers how many there are, -1 where memory or descriptors do not suffice.
long floor_open(struct floor_sample *_Nullable *_Nonnull samples);
/// Reads all of them once. Answers how many could be read.
long floor_read(struct floor_sample *samples, long count);
void floor_close(struct floor_sample *samples, long count);

/// Reads the heap of a process with process_vm_readv on one thread or two. Answers the bytes read, -1 where it could not.
long long floor_read_heap(int32_t pid, int32_t threads);
/// The seconds that fork(2) takes a process that holds so many bytes in small pages, -1 where it could not.
double floor_fork(uint64_t bytes);

#pragma clang assume_nonnull end
