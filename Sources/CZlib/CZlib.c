#include "CZlib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

// z_stream of zlib.h.
typedef struct {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *message;
    void *state;
    void *(*allocate)(void *, unsigned, unsigned);
    void (*release)(void *, void *);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} z_stream;

enum { z_no_flush = 0, z_finish = 4, z_ok = 0, z_stream_end = 1, z_buf_error = -5, z_deflated = 8 };

static struct {
    int (*init)(z_stream *, int, int, int, int, int, const char *, int);
    int (*deflate)(z_stream *, int);
    int (*end)(z_stream *);
} zlib;

static void load(void) {
    void *library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    zlib.deflate = (int (*)(z_stream *, int))dlsym(library, "deflate");
    zlib.end = (int (*)(z_stream *))dlsym(library, "deflateEnd");
    zlib.init = (int (*)(z_stream *, int, int, int, int, int, const char *, int))dlsym(library, "deflateInit2_");
}

struct nj_gzip {
    z_stream stream;
};

nj_gzip *nj_gzip_open(int level) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (!zlib.init || !zlib.deflate || !zlib.end) return NULL;
    nj_gzip *gzip = calloc(1, sizeof *gzip);
    if (!gzip) return NULL;
    // 15 + 16: the largest window, in gzip's frame.
    if (zlib.init(&gzip->stream, level, z_deflated, 15 + 16, 8, 0, "1.2.11", sizeof gzip->stream) != z_ok) {
        free(gzip);
        return NULL;
    }
    return gzip;
}

int nj_gzip_step(nj_gzip *gzip, const void *in, size_t *in_count, void *out, size_t *out_count, int finish) {
    z_stream *stream = &gzip->stream;
    unsigned in_before = (unsigned)*in_count, out_before = (unsigned)*out_count;
    stream->next_in = in;
    stream->avail_in = in_before;
    stream->next_out = out;
    stream->avail_out = out_before;
    int code = zlib.deflate(stream, finish ? z_finish : z_no_flush);
    *in_count = in_before - stream->avail_in;
    *out_count = out_before - stream->avail_out;
    if (code == z_stream_end) return 1;
    return code == z_ok || code == z_buf_error ? 0 : -1;
}

void nj_gzip_close(nj_gzip *gzip) {
    zlib.end(&gzip->stream);
    free(gzip);
}
