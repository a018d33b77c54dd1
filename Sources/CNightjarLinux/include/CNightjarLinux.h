// What Glibc's Swift module hides: declarations behind _GNU_SOURCE, and variadic system calls.
// One small function a need, each named nj_…; no state, no allocation.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
