// gzip by the system's zlib, found at run time: whoever builds the log file needs no header of it, whoever runs without
// the library keeps plain files. The layout and the version string below are zlib's stable ABI, unchanged since 1.2.
#pragma once
#include <stddef.h>

typedef struct nj_gzip nj_gzip;

// Null where libz.so.1 is not installed or has no memory. Level 1 (fast) to 9.
nj_gzip *nj_gzip_open(int level);
// Takes `*in_count` bytes and gives up to `*out_count`; both come back as what was used. `finish` with the last input.
// 1 when the stream is complete, 0 to go on, -1 when zlib refuses.
int nj_gzip_step(nj_gzip *stream, const void *in, size_t *in_count, void *out, size_t *out_count, int finish);
void nj_gzip_close(nj_gzip *stream);
