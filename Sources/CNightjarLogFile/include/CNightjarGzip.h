// gzip made for log lines, without a library: `zcat` reads it.
#pragma once
#include <stddef.h>

typedef struct nj_gzip nj_gzip;

// Null where there is no memory: it takes 0.8 MB.
nj_gzip *nj_gzip_open(void);
// Takes `*in_count` bytes and gives up to `*out_count`; both come back as what was used. `finish` with the last input.
// 1 when the stream is complete, 0 to go on.
int nj_gzip_step(nj_gzip *stream, const void *in, size_t *in_count, void *out, size_t *out_count, int finish);
void nj_gzip_close(nj_gzip *stream);
