// Child processes of the sinks: mail and hook commands.
#pragma once
#include <sys/types.h>

/// A pipe with both ends close-on-exec. 0 or an errno.
int nj_pipe(int ends[_Nonnull 2]);

/// Starts `arguments[0]` without a shell: in a process group of its own, in "/", with `input` and `output` as its
/// standard streams (output twice), no other descriptor, no signal blocked or ignored. 0 and its pid, or an errno.
int nj_spawn_child(char *_Nullable const *_Nonnull arguments, char *_Nullable const *_Nonnull environment, int input,
                   int output, pid_t *_Nonnull pid);

/// A descriptor that is readable once the process has ended, or -1 on kernels before 5.3.
int nj_pidfd_open(pid_t pid);

/// Names the calling thread, for `ps -L` and `top -H`; at most 15 bytes.
void nj_name_thread(const char *_Nonnull name);
