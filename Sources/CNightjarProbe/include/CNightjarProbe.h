// The parts of the probe that must not be Swift: what runs in a signal handler, in a forked child, or inside a loop.
//
// Everything here is safe to call from any thread; nothing allocates after nj_capture_install().
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Bytes of a stack that one capture copies.
enum { nj_capture_bytes = 65536, nj_register_count = 34 };

/// One watched loop. Lies in memory that the agent reads from outside, so the layout is part of the wire
/// (NightjarWire/SharedPage.swift draws it). The first line of the cache is the loop's, the rest the watchdog's.
struct nj_slot {
    uint64_t beat;        // CLOCK_MONOTONIC, ns, of the last beat
    uint64_t answered;    // the ping that the last beat answered
    uint32_t tid;         // the thread that beat
    uint32_t reserved0;
    uint64_t stack_low;
    uint64_t stack_high;
    uint64_t reserved1[3];

    uint32_t state;
    uint32_t kind;
    uint64_t asked;    // the last ping
    uint64_t asked_at; // when it was sent, ns; 0 = none is outstanding
    uint64_t busy_since;
    uint64_t stalls;
    uint64_t suppressed;
    uint64_t blocked_ns;
    uint64_t starved_ns;
    uint64_t longest_ns;
    uint64_t readings;
    uint64_t reserved2[6];

    char name[64];
    uint64_t lags[48];

    uint64_t open_since; // now less the time that is the service's own; 0 = no stall is open
    uint32_t open_cause;
    uint32_t open_depth;
    int32_t open_call;
    uint32_t open_holder;
    uint64_t open_reserved;
    uint64_t open_frames[44];
};

/// CLOCK_MONOTONIC in nanoseconds.
uint64_t nj_now(void);

/// The loop lives: called on it. `answered` is the ping that caused this call, or 0. About 25 ns, all of it the clock.
void nj_beat(struct nj_slot *_Nonnull slot, uint64_t answered);

/// Reads and writes that the other side may race with.
uint64_t nj_load64(const uint64_t *_Nonnull word);
void nj_store64(uint64_t *_Nonnull word, uint64_t value);
uint32_t nj_load32(const uint32_t *_Nonnull word);
void nj_store32(uint32_t *_Nonnull word, uint32_t value);

/// The calling thread's id.
pid_t nj_own_tid(void);

/// What a capture brought.
struct nj_capture {
    uint64_t registers[nj_register_count]; // in DWARF order
    uint32_t register_count;
    uint32_t delay_us; // from the signal to its handler
    uint64_t program_counter;
    uint64_t stack_low;   // address of stack[0]
    uint64_t stack_bytes; // how many were copied
    uint8_t *_Nonnull stack;
};

/// Installs the SIGPROF handler (signals that are not ours go on to the handler that was there) and faults in the
/// buffer. 0, or -1 with errno. Idempotent.
int nj_capture_install(void);

/// 1 where this process may read its own memory by a call that survives unmapped pages: else blocked threads have no stacks.
int nj_reads_own(void);

/// Puts the former handler back where ours is still the one installed.
void nj_capture_remove(void);

/// 1 while SIGPROF is ours; 0 after somebody else took it.
int nj_capture_is_ours(void);

/// Copies registers and stack of a running thread of this process by a signal. `stack_high` 0 = bounds unknown.
/// Waits at most `patience_us`; where the thread has not got a processor by then, NULL, and a later call for the same
/// thread and `purpose` (not 0) takes what it has answered meanwhile. The result is valid until the next call; one thread
/// at a time.
const struct nj_capture *_Nullable nj_capture_thread(
    pid_t tid, uint64_t purpose, uint64_t stack_low, uint64_t stack_high, uint32_t patience_us);

/// Copies the stack of a blocked thread without a signal, from `stack_pointer` on.
const struct nj_capture *_Nullable nj_peek_thread(uint64_t stack_pointer, uint64_t program_counter, uint64_t stack_high);

/// Processor time of a thread of this process, ns; 0 where there is no such thread. Needs no /proc.
uint64_t nj_thread_time(pid_t tid);

/// Sleeps, for less than a second.
void nj_nap(long nanoseconds);

/// Copies words of this process's own memory; 0 where any of it is not mapped.
int nj_read_own(uint64_t address, void *_Nonnull buffer, size_t length);

/// Starts a detached thread named `nightjar-probe` that takes no signal but those of faults. 0 or an errno.
int nj_thread_start(void (*_Nonnull body)(void *_Nullable), void *_Nullable argument);

/// A descriptor, and the file that it stood for when it was new. A service may close what it did not open (closefrom(3), a
/// loop over all numbers), and from then on the number is free for one of its own files.
struct nj_descriptor {
    int number;
    uint64_t device, inode;
};
/// Notes what the number stands for now; -1 stays -1. One fstat(2).
struct nj_descriptor nj_note(int number);
/// Whether it still stands for that. One fstat(2), safe in a forked child.
int nj_is_ours(struct nj_descriptor descriptor);
/// Closes it if it does.
void nj_close_ours(struct nj_descriptor descriptor);

/// A memfd of `length` bytes that can neither shrink nor grow, mapped at `*page`. Its descriptor, or -1 with errno.
int nj_page_create(size_t length, void *_Nullable *_Nonnull page);
void nj_page_destroy(int descriptor, void *_Nonnull page, size_t length);

/// In a forked child: the page becomes private zeros at the same place, the descriptors are closed, and
/// nj_is_forked() answers 1. Set up once; later calls only say which page and descriptors.
void nj_fork_guard(void *_Nullable page, size_t length, struct nj_descriptor page_descriptor,
                   struct nj_descriptor socket_descriptor);
int nj_is_forked(void);

/// Connects to a SEQPACKET socket (close-on-exec, does not block). The descriptor, or -1 with errno.
int nj_connect(const char *_Nonnull path);
/// Sends one message, with a descriptor where `passed` >= 0. Never blocks, never raises SIGPIPE. Bytes or -1.
ssize_t nj_send(int socket, const void *_Nonnull bytes, size_t length, int passed);
/// Receives one message without blocking. Bytes, 0 at the end, -1 with errno.
ssize_t nj_receive(int socket, void *_Nonnull bytes, size_t length);
/// Waits until the socket is readable or the time is over. > 0 readable or ended, 0 time over, -1 where that call is refused:
/// then it has slept by another.
int nj_wait(int socket, int64_t nanoseconds);

/// How many processors this process may run on: the width of the cooperative pool.
int nj_processors(void);

/// The processor that the calling thread runs on.
int nj_processor(void);
