#include "CNightjarLinux.h"
#include <elf.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t nj_read_pieces(int pid, const struct iovec *local, unsigned long local_count, const struct iovec *remote,
                       unsigned long remote_count) {
    ssize_t got = process_vm_readv(pid, local, local_count, remote, remote_count, 0);
    return got < 0 ? -errno : got;
}

int nj_seize(int tid) { return ptrace(PTRACE_SEIZE, tid, 0, 0) == 0 ? 0 : -errno; }

int nj_registers(int tid, uint64_t *words, int capacity, int *sp_index, int *pc_index, int *fp_index) {
    struct user_regs_struct regs;
    struct iovec io = {&regs, sizeof regs};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0) return -errno;
    int count = (int)(io.iov_len / sizeof(uint64_t));
    if (count > capacity) count = capacity;
    memcpy(words, &regs, (size_t)count * sizeof(uint64_t));
#if defined(__x86_64__)
    *sp_index = offsetof(struct user_regs_struct, rsp) / 8;
    *pc_index = offsetof(struct user_regs_struct, rip) / 8;
    *fp_index = offsetof(struct user_regs_struct, rbp) / 8;
#else
    *sp_index = offsetof(struct user_regs_struct, sp) / 8;
    *pc_index = offsetof(struct user_regs_struct, pc) / 8;
    *fp_index = 29;
#endif
    return count;
}

int nj_detach(int tid, int signal) { return ptrace(PTRACE_DETACH, tid, 0, (void *)(intptr_t)signal) == 0 ? 0 : -errno; }

int nj_keep_only_reading(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    if (syscall(SYS_capget, &head, data) != 0) return -errno;
    const uint32_t keep = (1u << CAP_SYS_PTRACE) | (1u << CAP_DAC_READ_SEARCH);
    data[0].effective &= keep;
    data[0].permitted &= keep;
    data[0].inheritable = 0;
    data[1].effective = data[1].permitted = data[1].inheritable = 0;
    if (syscall(SYS_capset, &head, data) != 0) return -errno;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : -errno;
}

int nj_limit_self(uint64_t data_bytes, uint64_t cpu_seconds) {
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) return -errno;
    if (data_bytes != 0) {
        struct rlimit data = {data_bytes, data_bytes};
        if (setrlimit(RLIMIT_DATA, &data) != 0) return -errno;
    }
    if (cpu_seconds != 0) {
        struct rlimit cpu = {cpu_seconds, cpu_seconds + 5};
        if (setrlimit(RLIMIT_CPU, &cpu) != 0) return -errno;
    }
    return 0;
}

static char fault_sentence[256], time_sentence[256];

static void end_with(int signal) {
    const char *sentence = (signal == SIGALRM || signal == SIGXCPU) ? time_sentence : fault_sentence;
    ssize_t ignored = write(2, sentence, strlen(sentence));
    (void)ignored;
    _exit(3);
}

void nj_end_with_sentence(const char *sentence_for_fault, const char *sentence_for_time) {
    strncpy(fault_sentence, sentence_for_fault, sizeof fault_sentence - 1);
    strncpy(time_sentence, sentence_for_time, sizeof time_sentence - 1);
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGALRM, SIGXCPU};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = end_with;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, 0);
}

int nj_not_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : -errno; }
