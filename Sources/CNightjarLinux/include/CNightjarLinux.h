// What Glibc's Swift module hides: headers it does not carry, declarations behind _GNU_SOURCE, variadic system calls.
// One small function a need, each named nj_…; no state, no allocation.
//
// This header must not define _GNU_SOURCE: Swift's Glibc module is built without it, and the two would disagree on
// structures such as fd_set. What needs _GNU_SOURCE is wrapped in a .c file, which gets it from the manifest.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include "CNightjarInspect.h"

#include "nj_child.h"
#include "nj_memory.h"
#include "nj_probe.h"
#include "nj_proc.h"
#include "nj_snapshot.h"

/// prctl(2) with one argument; the call itself is variadic. Returns what it returns.
int nj_prctl(int option, unsigned long argument);
#include "nj_files.h"

/// malloc_trim(3): gives free memory inside the heap back to the kernel. Returns 1 where some was.
int nj_malloc_trim(void);
/// mallopt(3), M_ARENA_MAX: at most so many arenas. Call it before threads start. Returns 1 on success.
int nj_malloc_arenas(int most);
