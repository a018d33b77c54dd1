// Small C services whose memory behaviour is known by construction: programs MODE (without MODE: the list).
// Ten ticks a second, one stands for five minutes; see programs.py.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned long seed = 88172645463325252ul;
static unsigned long rnd(void) { seed ^= seed << 13; seed ^= seed >> 7; seed ^= seed << 17; return seed; }
static void *filled(size_t n) { void *p = malloc(n); memset(p, 7, n); return p; }
static void *slots[20000];
static size_t used;

// bounded: sizes of three orders replaced at random
static void size_mix(int n) { (void)n; for (int i = 0; i < 150; i++) { unsigned long k = rnd() % 9000; free(slots[k]); slots[k] = filled(16u << rnd() % 9); } }
// bounded: the mix of sizes drifts for two days, then stays
static void drifting_sizes(int n) { for (int i = 0; i < 100; i++) { unsigned long k = rnd() % 12000; free(slots[k]); slots[k] = filled(200 + (n < 600 ? n : 600) + rnd() % 400); } }
// bounded: an arena that is filled and thrown away
static void arena(int n) { for (int i = 0; i < 30; i++) slots[used++] = filled(2000); if (n % 90 == 89) { while (used) free(slots[--used]); } }
// bounded: a table that grows by doubling up to 2^18 entries, random keys
static long *table; static size_t capacity = 1024, entries;
static void hash_table(int n) { (void)n; if (!table) table = calloc(capacity, 8); for (int i = 0; i < 200; i++) { if (rnd() % (1u << 18) > entries) entries++; if (entries * 4 > capacity * 3) { table = realloc(table, capacity * 16); memset(table + capacity, 0, capacity * 8); capacity *= 2; } table[rnd() % capacity] = n; } }
// bounded: mappings that come and go
static void mappings(int n) { static void *m; static size_t size; if (n % 12 == 0) { if (m) munmap(m, size); size = 4096 * (200 + rnd() % 3000); m = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); memset(m, 1, size); } }
// bounded: requests of a heavy-tailed size, one buffer that keeps the largest
static void largest_request(int n) { (void)n; static char *buffer; static size_t size; for (int i = 0; i < 3; i++) { size_t want = 4000000ul / (1 + rnd() % 400); if (want > size) { buffer = realloc(buffer, want); size = want; } memset(buffer, 3, want); } }
// bounded: four threads, each with its own arena
static void *churn(void *s) { unsigned long x = (unsigned long)s + 5; void *own[600] = {0}; for (;;) { for (int i = 0; i < 40; i++) { x = x * 6364136223846793005ul + 1442695040888963407ul; unsigned long k = (x >> 33) % 600; free(own[k]); own[k] = filled(100 + (x >> 40) % 5000); } usleep(100000); } return 0; }
static void thread_arenas(int n) { if (n < 4) { pthread_t t; pthread_create(&t, 0, churn, (void *)(long)n); } }

// leaks
static void error_path(int n) { (void)n; for (int i = 0; i < 40; i++) { char *p = filled(300); if (rnd() % 20) free(p); } }
static void linked_list(int n) { (void)n; for (int i = 0; i < 5; i++) { void **node = filled(240); node[0] = slots[0]; slots[0] = node; } }
static void leak_in_churn(int n) { size_mix(n); filled(1500); }
static void doubling_vector(int n) { (void)n; static char *v; static size_t size, room = 4096; size += 3000; if (size > room) { room *= 2; v = realloc(v, room); } else if (!v) v = malloc(room); memset(v + size - 3000, 1, 3000); }
static void *park(void *a) { (void)a; volatile char stack[9000]; memset((char *)stack, 1, sizeof stack); pause(); return 0; }
static void threads_kept(int n) { if (n % 6 == 0) { pthread_attr_t a; pthread_attr_init(&a); pthread_attr_setstacksize(&a, 65536); pthread_t t; pthread_create(&t, &a, park, 0); } }
static void slow_drip(int n) { if (!n) { for (int i = 0; i < 10000; i++) filled(4000); } filled(150 + rnd() % 100); }
static void mapping_lost(int n) { if (n % 9 == 0) { char *m = mmap(0, 40960, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); memset(m, 1, 40960); } }
static void since_the_deploy(int n) { arena(n); if (n >= 1200) filled(4000); }

static const struct { const char *name, *label; int onset; void (*tick)(int); } modes[] = {
    {"size_mix", "healthy", 0, size_mix}, {"drifting_sizes", "healthy", 0, drifting_sizes}, {"arena", "healthy", 0, arena},
    {"hash_table", "healthy", 0, hash_table}, {"mappings", "healthy", 0, mappings}, {"largest_request", "healthy", 0, largest_request},
    {"thread_arenas", "healthy", 0, thread_arenas}, {"error_path", "leak", 0, error_path}, {"linked_list", "leak", 0, linked_list},
    {"leak_in_churn", "leak", 0, leak_in_churn}, {"doubling_vector", "leak", 0, doubling_vector}, {"threads_kept", "leak", 0, threads_kept},
    {"slow_drip", "leak", 0, slow_drip}, {"mapping_lost", "leak", 0, mapping_lost}, {"since_the_deploy", "leak", 1200, since_the_deploy},
};

int main(int argc, char **argv) {
    int count = sizeof modes / sizeof *modes;
    if (argc < 2) { for (int i = 0; i < count; i++) printf("%s %s %d\n", modes[i].name, modes[i].label, modes[i].onset); return 0; }
    for (int i = 0; i < count; i++) {
        if (strcmp(argv[1], modes[i].name)) continue;
        for (int n = 0;; n++) { modes[i].tick(n); usleep(100000); }
    }
    return 2;
}
