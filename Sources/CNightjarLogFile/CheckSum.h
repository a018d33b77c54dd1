// CRC-32, moved on by `count` bytes; begins with 0.
#pragma once
#include <stddef.h>
#include <stdint.h>

uint32_t nj_crc32(uint32_t crc, const uint8_t *bytes, size_t count);
