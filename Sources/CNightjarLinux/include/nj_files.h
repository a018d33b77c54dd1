// File status without waiting for a server, and directories entry by entry.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct nj_file {
    uint64_t device;  // major << 32 | minor
    uint64_t inode;
    int64_t size;
    int64_t allocated;  // bytes on disk
    int64_t modified;   // seconds since 1970
    uint32_t mode;
    uint32_t links;
    uint32_t uid;
    uint32_t unused;
};

/// statx without synchronising with a server (AT_STATX_DONT_SYNC). `follow` 0 looks at a link itself. 0 or -errno.
int nj_file_status(int folder, const char *_Nonnull path, int follow, struct nj_file *_Nonnull out);

/// Ordinary I/O priority becomes idle for the calling thread, and its CPU priority the lowest. 0 or -errno.
int nj_be_patient(void);

/// A detached thread with a stack of 256 KiB. 0 or an error number.
int nj_start_thread(void *_Nullable (*_Nonnull body)(void *_Nullable), void *_Nullable argument);
