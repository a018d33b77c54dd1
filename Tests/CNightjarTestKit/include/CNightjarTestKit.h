// What a test needs of Linux and Swift cannot say.
#pragma once
#include <stdint.h>

#pragma clang assume_nonnull begin

/// pipe2(2) with O_CLOEXEC, which Glibc's module hides: no program that is started meanwhile may inherit an end.
int njt_pipe(int ends[_Nonnull 2]);

/// Runs something in a thread that has become another user, without capabilities. Needs root; a negative errno otherwise.
int njt_as_user(uint32_t uid, void (*body)(void *_Nullable), void *_Nullable context);

/// From now on this thread's system calls of that number answer EPERM, as under a container's filter. 0 or an errno.
int njt_refuse(long call);

/// epoll_wait(2) on nothing, for so many ms. Its answer.
int njt_epoll_wait(int milliseconds);

#pragma clang assume_nonnull end
