// CRC-32 as gzip wants it (RFC 1952, reflected polynomial 0xEDB88320).

#include "CheckSum.h"

#include <string.h>

static uint32_t crc_table[16][256];

__attribute__((constructor)) static void make_crc_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        crc_table[0][byte] = crc;
    }
    for (int row = 1; row < 16; row++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[row - 1][byte];
            crc_table[row][byte] = before >> 8 ^ crc_table[0][before & 255];
        }
    }
}

static inline uint64_t load8(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

// The register of the check sum, moved on sixteen bytes at a time.
static uint32_t crc_by_table(uint32_t crc, const uint8_t *bytes, size_t count) {
    for (; count >= 16; bytes += 16, count -= 16) {
        uint64_t low = load8(bytes) ^ crc, high = load8(bytes + 8);
        crc = 0;
        for (int i = 0; i < 8; i++) {
            crc ^= crc_table[15 - i][low >> (8 * i) & 255];
            crc ^= crc_table[7 - i][high >> (8 * i) & 255];
        }
    }
    while (count-- > 0) crc = crc >> 8 ^ crc_table[0][(crc ^ *bytes++) & 255];
    return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

// Sixteen bytes stand for all before them: multiplied by x to the power of their distance, modulo the polynomial, they
// are added to those further on. The two numbers of a pair are for the two halves.
__attribute__((target("pclmul,sse2"))) static inline __m128i moved(__m128i value, __m128i by) {
    return _mm_xor_si128(_mm_clmulepi64_si128(value, by, 0x00), _mm_clmulepi64_si128(value, by, 0x11));
}

__attribute__((target("pclmul,sse2"))) static uint32_t crc_by_products(uint32_t crc, const uint8_t *bytes, size_t count) {
    const __m128i by_64 = _mm_set_epi64x(0x1C6E41596, 0x154442BD4), by_16 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0);
    __m128i sums[4];
    for (int i = 0; i < 4; i++) sums[i] = _mm_loadu_si128((const __m128i *)(bytes + 16 * i));
    sums[0] = _mm_xor_si128(sums[0], _mm_cvtsi32_si128((int)crc));
    for (bytes += 64, count -= 64; count >= 64; bytes += 64, count -= 64)
        for (int i = 0; i < 4; i++)
            sums[i] = _mm_xor_si128(moved(sums[i], by_64), _mm_loadu_si128((const __m128i *)(bytes + 16 * i)));
    for (int i = 1; i < 4; i++) sums[i] = _mm_xor_si128(moved(sums[i - 1], by_16), sums[i]);
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, sums[3]);
    return crc_by_table(crc_by_table(0, rest, 16), bytes, count);
}

uint32_t nj_crc32(uint32_t crc, const uint8_t *bytes, size_t count) {
    return ~(count >= 64 && __builtin_cpu_supports("pclmul") ? crc_by_products : crc_by_table)(~crc, bytes, count);
}
#else
uint32_t nj_crc32(uint32_t crc, const uint8_t *bytes, size_t count) { return ~crc_by_table(~crc, bytes, count); }
#endif
