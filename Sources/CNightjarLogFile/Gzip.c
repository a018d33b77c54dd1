// gzip (RFC 1951, RFC 1952) for log lines: one probe of a hash table where a repetition may begin, no search for a better
// one, and a Huffman code made for each block. Lines of a log repeat the ones before them nearly whole, so the first
// match found is a good one; what counts is to take little time for it.
//
//     history 32 KiB | block up to 128 KiB        one pass finds sequences (literals, length, distance) and counts symbols,
//                                                 one builds the codes, one writes the bits
//
// Two to three times as fast as zlib's level 1 on log lines, as tight, and nothing to install. A block that does not shrink
// is stored as it is.

#include "CNightjarGzip.h"

#include <stdlib.h>
#include <string.h>

#include "CheckSum.h"

enum {
    window = 1 << 15,
    block = 128 << 10,
    hash_bits = 14,
    longest = 258,
    shortest = 4,
    // Behind the input, so that eight bytes may be read at its last one.
    slack = 16,
    symbols = 286,
    distances = 30,
};

typedef struct { uint32_t literals; uint16_t length; uint16_t distance; } sequence;

struct nj_gzip {
    uint8_t *input;         // history, then the block
    size_t history, filled; // bytes of each
    uint32_t *table;        // hash → place in `input` + `base`
    uint32_t base;          // so that 0 is older than everything
    sequence *sequences;
    size_t sequence_count;
    uint32_t literal_counts[symbols], distance_counts[distances];
    uint8_t *output;
    size_t made, taken; // of the output
    uint64_t bits;
    unsigned bit_count;
    uint32_t crc;
    uint32_t length;
    int stage; // 0: header to come, 1: blocks, 2: done
};

// Symbols.

static const uint16_t length_base[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static uint8_t length_code[longest + 1];

__attribute__((constructor)) static void make_length_codes(void) {
    for (int code = 0; code < 29; code++) {
        int end = code < 28 ? length_base[code] + (1 << length_extra[code]) : longest + 1;
        for (int length = length_base[code]; length < end && length <= longest; length++) length_code[length] = (uint8_t)code;
    }
}

static inline unsigned distance_code(uint32_t distance) {
    if (distance <= 4) return distance - 1;
    unsigned top = 31 - (unsigned)__builtin_clz(distance - 1);
    return 2 * top + ((distance - 1) >> (top - 1) & 1);
}

static inline unsigned distance_extra(unsigned code) { return code < 4 ? 0 : code / 2 - 1; }

static inline uint32_t distance_base(unsigned code) {
    return code < 4 ? code + 1 : ((2 + (code & 1)) << (code / 2 - 1)) + 1;
}

static inline uint64_t load8(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static inline uint32_t load4(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

// Finding repetitions.

// Six bytes: shorter repetitions of a log line are seldom worth their distance.
static inline uint32_t hash_of(const uint8_t *at) {
    return (uint32_t)((load8(at) << 16) * 0x9E3779B97F4A7C15ull >> (64 - hash_bits));
}

static inline uint32_t equal_bytes(const uint8_t *a, const uint8_t *b, uint32_t limit) {
    uint32_t count = 0;
    while (count + 8 <= limit) {
        uint64_t difference = load8(a + count) ^ load8(b + count);
        if (difference) return count + ((uint32_t)__builtin_ctzll(difference) >> 3);
        count += 8;
    }
    while (count < limit && a[count] == b[count]) count++;
    return count;
}

static inline void note(struct nj_gzip *gzip, uint32_t literals, uint32_t length, uint32_t distance) {
    gzip->sequences[gzip->sequence_count++] = (sequence){literals, (uint16_t)length, (uint16_t)(distance - 1)};
    gzip->literal_counts[257 + length_code[length]]++;
    gzip->distance_counts[distance_code(distance)]++;
}

static void find(struct nj_gzip *gzip) {
    const uint8_t *input = gzip->input;
    uint32_t place = (uint32_t)gzip->history, end = (uint32_t)(gzip->history + gzip->filled);
    uint32_t anchor = place, base = gzip->base;
    uint32_t *table = gzip->table;
    while (place + 8 <= end) {
        uint32_t hash = hash_of(input + place);
        uint32_t candidate = table[hash];
        table[hash] = place + base;
        uint32_t distance = place + base - candidate;
        if (distance > window || candidate < base || load4(input + candidate - base) != load4(input + place)) {
            // What does not repeat is passed over faster and faster.
            place += 1 + ((place - anchor) >> 7);
            continue;
        }
        uint32_t from = candidate - base;
        uint32_t length = 4 + equal_bytes(input + from + 4, input + place + 4, end - place - 4);
        while (place > anchor && from > 0 && input[from - 1] == input[place - 1]) place--, from--, length++;
        for (uint32_t i = anchor; i < place; i++) gzip->literal_counts[input[i]]++;
        uint32_t literals = place - anchor;
        place += length;
        while (length > 0) {
            // No rest that is too short to be a match.
            uint32_t part = length <= longest ? length : length - longest < shortest ? longest - shortest : longest;
            note(gzip, literals, part, distance);
            literals = 0;
            length -= part;
        }
        if (place + 8 <= end) table[hash_of(input + place - 2)] = place - 2 + base;
        anchor = place;
    }
    for (uint32_t i = anchor; i < end; i++) gzip->literal_counts[input[i]]++;
    // The literals at the end stand in a sequence without a match.
    gzip->sequences[gzip->sequence_count++] = (sequence){end - anchor, 0, 0};
    gzip->literal_counts[256] = 1;
}

// Codes.

static int by_count(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

// Lengths of a Huffman code of at most `limit` bits. Counts that would give longer ones are flattened and tried again.
static void code_lengths(const uint32_t *given, int count, unsigned limit, uint8_t *lengths) {
    uint32_t counts[symbols];
    memcpy(counts, given, (size_t)count * sizeof *counts);
    for (;;) {
        uint32_t order[symbols], weight[2 * symbols];
        uint16_t parent[2 * symbols];
        int used = 0;
        memset(lengths, 0, (size_t)count);
        for (int i = 0; i < count; i++)
            // Symbol in the low nine bits, so that the order is total.
            if (counts[i]) order[used++] = counts[i] << 9 | (uint32_t)i;
        if (used == 1) lengths[order[0] & 511] = 1;
        if (used < 2) return;
        qsort(order, (size_t)used, sizeof *order, by_count);
        for (int i = 0; i < used; i++) weight[i] = order[i] >> 9;
        int leaf = 0, inner = used;
        for (int node = used; node < 2 * used - 1; node++) {
            weight[node] = 0;
            for (int child = 0; child < 2; child++) {
                int lightest = leaf < used && (inner >= node || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
                weight[node] += weight[lightest];
                parent[lightest] = (uint16_t)node;
            }
        }
        uint8_t depth[2 * symbols];
        unsigned deepest = 0;
        depth[2 * used - 2] = 0;
        for (int node = 2 * used - 3; node >= 0; node--) {
            depth[node] = (uint8_t)(depth[parent[node]] + 1);
            if (node < used) {
                lengths[order[node] & 511] = depth[node];
                if (depth[node] > deepest) deepest = depth[node];
            }
        }
        if (deepest <= limit) return;
        for (int i = 0; i < count; i++)
            if (counts[i]) counts[i] = counts[i] / 4 + 1;
    }
}

// Canonical codes, bits reversed as deflate writes them.
static void codes(const uint8_t *lengths, int count, uint16_t *out) {
    uint16_t next[17] = {0}, of_length[17] = {0};
    for (int i = 0; i < count; i++) of_length[lengths[i]]++;
    of_length[0] = 0;
    for (int bits = 1; bits < 16; bits++) next[bits + 1] = (uint16_t)((next[bits] + of_length[bits]) << 1);
    for (int i = 0; i < count; i++) {
        uint16_t code = lengths[i] ? next[lengths[i]]++ : 0, reversed = 0;
        for (int bit = 0; bit < lengths[i]; bit++) reversed = (uint16_t)(reversed << 1 | (code >> bit & 1));
        out[i] = reversed;
    }
}

// Bits.

static inline void put(struct nj_gzip *gzip, uint64_t value, unsigned count) {
    gzip->bits |= value << gzip->bit_count;
    gzip->bit_count += count;
}

// At most 7 bits stay. Eight bytes are written, whole ones count.
static inline void settle(struct nj_gzip *gzip) {
    memcpy(gzip->output + gzip->made, &gzip->bits, 8);
    unsigned bytes = gzip->bit_count >> 3;
    gzip->made += bytes;
    gzip->bits = bytes == 8 ? 0 : gzip->bits >> (8 * bytes);
    gzip->bit_count &= 7;
}

static void byte(struct nj_gzip *gzip, unsigned value) { gzip->output[gzip->made++] = (uint8_t)value; }

// The lengths of both codes, packed by repeats as RFC 1951 3.2.7 has it.
typedef struct { uint8_t symbol, extra, extra_bits; } run;

static int runs_of(const uint8_t *lengths, int count, run *runs) {
    int made = 0;
    for (int i = 0; i < count;) {
        int same = 1;
        while (i + same < count && lengths[i + same] == lengths[i]) same++;
        int rest = same;
        if (lengths[i] == 0) {
            while (rest >= 11) {
                int part = rest > 138 ? 138 : rest;
                runs[made++] = (run){18, (uint8_t)(part - 11), 7};
                rest -= part;
            }
            if (rest >= 3) runs[made++] = (run){17, (uint8_t)(rest - 3), 3}, rest = 0;
        } else {
            runs[made++] = (run){lengths[i], 0, 0};
            rest--;
            while (rest >= 3) {
                int part = rest > 6 ? 6 : rest;
                runs[made++] = (run){16, (uint8_t)(part - 3), 2};
                rest -= part;
            }
        }
        while (rest-- > 0) runs[made++] = (run){lengths[i], 0, 0};
        i += same;
    }
    return made;
}

static void stored(struct nj_gzip *gzip, int is_last) {
    const uint8_t *from = gzip->input + gzip->history;
    size_t rest = gzip->filled;
    do {
        size_t part = rest > 65535 ? 65535 : rest;
        put(gzip, is_last && part == rest, 3);
        // Up to the next whole byte.
        gzip->bit_count = (gzip->bit_count + 7) & ~7u;
        settle(gzip);
        byte(gzip, part & 255), byte(gzip, part >> 8), byte(gzip, ~part & 255), byte(gzip, ~part >> 8 & 255);
        memcpy(gzip->output + gzip->made, from, part);
        gzip->made += part;
        from += part;
        rest -= part;
    } while (rest > 0);
}

static void literals_and_matches(
    struct nj_gzip *gzip, const uint16_t *code, const uint8_t *length, const uint16_t *far, const uint8_t *far_length) {
    const uint8_t *from = gzip->input + gzip->history;
    for (size_t i = 0; i < gzip->sequence_count; i++) {
        sequence next = gzip->sequences[i];
        for (uint32_t rest = next.literals; rest > 0;) {
            // Three codes of fifteen bits and the seven that stay fit into a word.
            uint32_t part = rest < 3 ? rest : 3;
            for (uint32_t k = 0; k < part; k++) put(gzip, code[from[k]], length[from[k]]);
            settle(gzip);
            from += part;
            rest -= part;
        }
        if (next.length == 0) continue;
        unsigned symbol = length_code[next.length];
        put(gzip, code[257 + symbol], length[257 + symbol]);
        put(gzip, (uint64_t)(next.length - length_base[symbol]), length_extra[symbol]);
        uint32_t distance = next.distance + 1u;
        unsigned far_symbol = distance_code(distance);
        put(gzip, far[far_symbol], far_length[far_symbol]);
        put(gzip, distance - distance_base(far_symbol), distance_extra(far_symbol));
        settle(gzip);
        from += next.length;
    }
    put(gzip, code[256], length[256]);
    settle(gzip);
}

static void write_block(struct nj_gzip *gzip, int is_last) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[symbols + distances];
    uint16_t code[symbols], far[distances];
    code_lengths(gzip->literal_counts, symbols, 15, lengths);
    int literal_count = symbols, far_count = distances;
    while (literal_count > 257 && lengths[literal_count - 1] == 0) literal_count--;
    uint8_t *far_lengths = lengths + literal_count;
    uint8_t all_far[distances];
    code_lengths(gzip->distance_counts, distances, 15, all_far);
    while (far_count > 1 && all_far[far_count - 1] == 0) far_count--;
    codes(lengths, symbols, code);
    codes(all_far, distances, far);
    uint8_t literal_lengths[symbols];
    memcpy(literal_lengths, lengths, symbols);
    memcpy(far_lengths, all_far, (size_t)far_count);

    run runs[symbols + distances];
    int run_count = runs_of(lengths, literal_count + far_count, runs);
    uint32_t counts[19] = {0};
    for (int i = 0; i < run_count; i++) counts[runs[i].symbol]++;
    uint8_t run_lengths[19];
    uint16_t run_codes[19];
    code_lengths(counts, 19, 7, run_lengths);
    codes(run_lengths, 19, run_codes);
    int run_symbols = 19;
    while (run_symbols > 4 && run_lengths[order[run_symbols - 1]] == 0) run_symbols--;

    uint64_t size = 17 + 3 * (uint64_t)run_symbols;
    for (int i = 0; i < run_count; i++) size += run_lengths[runs[i].symbol] + runs[i].extra_bits;
    for (int i = 0; i < symbols; i++) {
        unsigned extra = i > 256 ? length_extra[i - 257] : 0;
        size += (uint64_t)gzip->literal_counts[i] * (literal_lengths[i] + extra);
    }
    for (unsigned i = 0; i < distances; i++)
        size += (uint64_t)gzip->distance_counts[i] * (all_far[i] + distance_extra(i));
    if (size / 8 >= gzip->filled) return stored(gzip, is_last);

    put(gzip, (uint64_t)is_last | 2 << 1, 3);
    put(gzip, (uint64_t)(literal_count - 257), 5);
    put(gzip, (uint64_t)(far_count - 1), 5);
    put(gzip, (uint64_t)(run_symbols - 4), 4);
    settle(gzip);
    for (int i = 0; i < run_symbols; i++) put(gzip, run_lengths[order[i]], 3), settle(gzip);
    for (int i = 0; i < run_count; i++) {
        put(gzip, run_codes[runs[i].symbol], run_lengths[runs[i].symbol]);
        put(gzip, runs[i].extra, runs[i].extra_bits);
        settle(gzip);
    }
    literals_and_matches(gzip, code, literal_lengths, far, all_far);
}

// One block becomes output; its end stays as history.
static void pack(struct nj_gzip *gzip, int is_last) {
    gzip->sequence_count = 0;
    memset(gzip->literal_counts, 0, sizeof gzip->literal_counts);
    memset(gzip->distance_counts, 0, sizeof gzip->distance_counts);
    gzip->crc = nj_crc32(gzip->crc, gzip->input + gzip->history, gzip->filled);
    gzip->length += (uint32_t)gzip->filled;
    find(gzip);
    write_block(gzip, is_last);
    size_t all = gzip->history + gzip->filled, kept = all < window ? all : window;
    memmove(gzip->input, gzip->input + all - kept, kept);
    gzip->base += (uint32_t)(all - kept);
    gzip->history = kept;
    gzip->filled = 0;
    // Long before places could wrap around, everything is forgotten.
    if (gzip->base > 1u << 30) {
        memset(gzip->table, 0, sizeof *gzip->table << hash_bits);
        gzip->base = 1;
        gzip->history = 0;
    }
}

static void trailer(struct nj_gzip *gzip) {
    gzip->bit_count = (gzip->bit_count + 7) & ~7u;
    settle(gzip);
    for (int i = 0; i < 4; i++) byte(gzip, gzip->crc >> (8 * i) & 255);
    for (int i = 0; i < 4; i++) byte(gzip, gzip->length >> (8 * i) & 255);
}

nj_gzip *nj_gzip_open(void) {
    nj_gzip *gzip = calloc(1, sizeof *gzip);
    if (!gzip) return NULL;
    gzip->input = calloc(1, window + block + slack);
    gzip->table = calloc((size_t)1 << hash_bits, sizeof *gzip->table);
    // A sequence takes at least four bytes of input, but for the last.
    gzip->sequences = malloc((block / shortest + 2) * sizeof *gzip->sequences);
    gzip->output = malloc(block + 4096);
    gzip->base = 1;
    if (gzip->input && gzip->table && gzip->sequences && gzip->output) return gzip;
    nj_gzip_close(gzip);
    return NULL;
}

int nj_gzip_step(nj_gzip *gzip, const void *in, size_t *in_count, void *out, size_t *out_count, int finish) {
    const uint8_t *from = in;
    size_t rest = *in_count, room = *out_count, written = 0;
    int is_done = 0;
    for (;;) {
        size_t part = gzip->made - gzip->taken < room - written ? gzip->made - gzip->taken : room - written;
        memcpy((uint8_t *)out + written, gzip->output + gzip->taken, part);
        gzip->taken += part;
        written += part;
        if (gzip->taken < gzip->made) break;
        gzip->made = gzip->taken = 0;
        if (gzip->stage == 2) {
            is_done = 1;
            break;
        }
        if (gzip->stage == 0) {
            static const uint8_t header[10] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 4, 3};
            memcpy(gzip->output, header, sizeof header);
            gzip->made = sizeof header;
            gzip->stage = 1;
        }
        size_t taken = rest < block - gzip->filled ? rest : block - gzip->filled;
        if (taken > 0) {
            memcpy(gzip->input + gzip->history + gzip->filled, from, taken);
            gzip->filled += taken;
            from += taken;
            rest -= taken;
        }
        if (gzip->filled == block || (finish && rest == 0)) {
            int is_last = finish && rest == 0;
            pack(gzip, is_last);
            if (is_last) {
                trailer(gzip);
                gzip->stage = 2;
            }
        } else if (gzip->made == 0) {
            break;
        }
    }
    *in_count -= rest;
    *out_count = written;
    return is_done;
}

void nj_gzip_close(nj_gzip *gzip) {
    free(gzip->input);
    free(gzip->table);
    free(gzip->sequences);
    free(gzip->output);
    free(gzip);
}
