#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC32C (Castagnoli) of `count` bytes, continued from `seed` (0 to begin).
/// Uses the CPU's instruction where it has one, a table elsewhere.
uint32_t varve_crc32c(uint32_t seed, const void *bytes, size_t count);

/// The same by table, for tests that compare the two.
uint32_t varve_crc32c_portable(uint32_t seed, const void *bytes, size_t count);
