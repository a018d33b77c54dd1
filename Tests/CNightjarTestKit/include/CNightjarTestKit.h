// Real child processes for tests: made by fork alone, so that a test needs no helper program.
#pragma once
#include <stdint.h>
#include <sys/resource.h>

#pragma clang assume_nonnull begin

/// What a child does before it says that it is ready. Zero means: nothing of the kind.
struct njt_wish {
    /// Anonymous memory, written to once a page.
    int64_t memory;
    /// Descriptors to hold (of /dev/null).
    int64_t descriptors;
    /// Threads that wait for ever.
    int64_t threads;
    /// CPU time to burn in the first thread, in ms.
    int64_t burn_ms;
    /// CPU time to burn in a second thread that then ends, in ms.
    int64_t burn_in_thread_ms;
    /// User to become.
    uint32_t uid;
    /// 1: does not wait for a signal after it is ready, but ends at once and stays a zombie until it is collected.
    int32_t ends;
    /// After ready: waits for a byte on the pipe, then executes this program with the following argument.
    const char *_Nullable program;
    const char *_Nullable argument;
};

/// Starts a child and waits until it is ready. Answers its pid, or a negative errno (also where the wish failed).
/// `usage` is filled with what the child used until then; `wake` with a descriptor that lets it go on (or -1).
int njt_start(const struct njt_wish *wish, struct rusage *usage, int *wake);
/// Lets a child with a program go on to execute it.
void njt_wake(int wake);
/// Kills and collects it.
void njt_end(int pid);
/// Runs something in a thread that has become another user, without capabilities. Needs root; a negative errno otherwise.
int njt_as_user(uint32_t uid, void (*body)(void *_Nullable), void *_Nullable context);

#pragma clang assume_nonnull end
