// For the room NightjarInspect: reading and briefly stopping another process.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// process_vm_readv: bytes copied or -errno.
int64_t nj_read_pieces(int pid, const struct iovec *local, unsigned long local_count, const struct iovec *remote,
                       unsigned long remote_count);
// PTRACE_SEIZE: attaches without stopping. 0 or -errno.
int nj_seize(int tid);
// Copies the general registers of a stopped thread; returns how many 64-bit words were written, or -errno.
// sp_index, pc_index and fp_index say which of them are stack pointer, program counter and frame pointer.
int nj_registers(int tid, uint64_t *words, int capacity, int *sp_index, int *pc_index, int *fp_index);
// PTRACE_DETACH: the thread goes on. A signal that arrived meanwhile is handed on.
int nj_detach(int tid, int signal);
// Keeps only CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH of what the process holds, and forbids gaining more. 0 or -errno.
int nj_keep_only_reading(void);
// RLIMIT_CORE 0, RLIMIT_DATA and RLIMIT_CPU as told (0 leaves one alone).
int nj_limit_self(uint64_t data_bytes, uint64_t cpu_seconds);
// On a fault, a trap or the alarm: writes `sentence` to standard error and leaves with exit code 3.
void nj_end_with_sentence(const char *sentence_for_fault, const char *sentence_for_time);
// PR_SET_DUMPABLE 0: nobody of our user may look at what we read. 0 or -errno.
int nj_not_dumpable(void);
