// Zstandard by the system's libzstd, found at run time: whoever builds the log file needs no header of it, whoever runs
// without the library keeps plain files.
// Only functions of its stable API since 1.4 (ZSTD_compressStream2) are used.
#pragma once
#include <stddef.h>

typedef struct nj_zstd nj_zstd;

// Another name for the library; before the first use.
void nj_zstd_look_for(const char *name);
// Null where libzstd.so.1 is not installed or has no memory. Level 1 (fast) to 19.
nj_zstd *nj_zstd_open(int level);
// As nj_gzip_step.
int nj_zstd_step(nj_zstd *stream, const void *in, size_t *in_count, void *out, size_t *out_count, int finish);
void nj_zstd_close(nj_zstd *stream);
