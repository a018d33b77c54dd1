// The agent's side of the probe's socket: what Swift's Glibc module cannot say (control messages, seals, peer credentials).
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Listens on a SEQPACKET socket at `path`, open to everyone (0666), close-on-exec, without blocking. A socket file that
/// nobody listens on is replaced; one that somebody listens on is EADDRINUSE. The descriptor, or -1 with errno.
int nj_probe_listen(const char *_Nonnull path);

/// The next connection, or -1 with errno (EAGAIN where there is none).
int nj_probe_accept(int listener);

/// Who is at the other end, as the kernel says. 0, or -1 with errno.
int nj_probe_peer(int socket, int32_t *_Nonnull pid, uint32_t *_Nonnull uid);

/// One message without blocking: bytes, 0 at the end, -1 with errno. At most one descriptor is taken, into `*descriptor`
/// (-1 = none); further ones are closed. A message that did not fit answers EMSGSIZE.
ssize_t nj_probe_receive(int socket, void *_Nonnull bytes, size_t length, int *_Nonnull descriptor);

/// One message without blocking and without SIGPIPE.
ssize_t nj_probe_send(int socket, const void *_Nonnull bytes, size_t length);

/// Maps a page that a probe handed over, for reading. It must be a memfd of exactly `length` bytes that can neither shrink
/// nor grow: else touching it could end us with SIGBUS. The address, or NULL with errno (EPERM: not sealed).
const void *_Nullable nj_probe_map(int descriptor, size_t length);
void nj_probe_unmap(const void *_Nonnull page, size_t length);
