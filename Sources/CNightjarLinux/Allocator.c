#include "CNightjarLinux.h"
#include <malloc.h>

int nj_malloc_trim(void) { return malloc_trim(0); }

int nj_malloc_arenas(int most) { return mallopt(M_ARENA_MAX, most); }
