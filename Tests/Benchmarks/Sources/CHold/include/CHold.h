// Holds a single thread of a child process, as a debugger would, and lets it go again. The other threads never notice.
#pragma once
#include <sys/types.h>

/// Stops a running thread and returns when it stands. 0, or -1 with errno.
int hold_thread(pid_t tid);

/// Lets it run on, as if nobody had ever held it. 0, or -1 with errno.
int release_thread(pid_t tid);
