#include "CZstd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const void *bytes; size_t size; size_t position; } in_buffer;
typedef struct { void *bytes; size_t size; size_t position; } out_buffer;

enum { zstd_continue = 0, zstd_end = 2, zstd_level = 100, zstd_checksum = 201 };

static struct {
    void *(*create)(void);
    size_t (*destroy)(void *);
    size_t (*set)(void *, int, int);
    size_t (*compress)(void *, out_buffer *, in_buffer *, int);
    unsigned (*is_error)(size_t);
} zstd;

static const char *library_name = "libzstd.so.1";

void nj_zstd_look_for(const char *name) { library_name = strdup(name); }

static void load(void) {
    void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    zstd.destroy = (size_t (*)(void *))dlsym(library, "ZSTD_freeCCtx");
    zstd.set = (size_t (*)(void *, int, int))dlsym(library, "ZSTD_CCtx_setParameter");
    zstd.compress = (size_t (*)(void *, out_buffer *, in_buffer *, int))dlsym(library, "ZSTD_compressStream2");
    zstd.is_error = (unsigned (*)(size_t))dlsym(library, "ZSTD_isError");
    zstd.create = (void *(*)(void))dlsym(library, "ZSTD_createCCtx");
}

struct nj_zstd {
    void *context;
};

nj_zstd *nj_zstd_open(int level) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (!zstd.create || !zstd.destroy || !zstd.set || !zstd.compress || !zstd.is_error) return NULL;
    nj_zstd *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    stream->context = zstd.create();
    if (!stream->context) {
        free(stream);
        return NULL;
    }
    zstd.set(stream->context, zstd_level, level);
    zstd.set(stream->context, zstd_checksum, 1);
    return stream;
}

int nj_zstd_step(nj_zstd *stream, const void *in, size_t *in_count, void *out, size_t *out_count, int finish) {
    in_buffer from = {in, *in_count, 0};
    out_buffer to = {out, *out_count, 0};
    size_t rest = zstd.compress(stream->context, &to, &from, finish ? zstd_end : zstd_continue);
    *in_count = from.position;
    *out_count = to.position;
    if (zstd.is_error(rest)) return -1;
    return finish && rest == 0 ? 1 : 0;
}

void nj_zstd_close(nj_zstd *stream) {
    zstd.destroy(stream->context);
    free(stream);
}
