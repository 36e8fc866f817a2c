// CRC32C with run-time dispatch: SSE4.2 or the ARMv8 CRC extension, three interleaved streams over
// long inputs (the instruction has a latency of three cycles and a throughput of one), folded with
// the shift operators that crc32c_combine-style tables give. A table serves elsewhere.
#include "CVarveCPU.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u
// Bytes of each of the three streams; 3 × 1344 + 64 = 4096, so a page is one round and a rest.
#define STREAM 1344

static uint32_t table[8][256];
static uint32_t shift_table[4][256];

// The CRC of `crc` followed by `count` zero bytes, one bit at a time: only used to fill tables.
static uint32_t zeros(uint32_t crc, size_t count) {
  for (size_t i = 0; i < count * 8; i++) crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
  return crc;
}

__attribute__((constructor)) static void fill_tables(void) {
  for (uint32_t i = 0; i < 256; i++) table[0][i] = zeros(i, 1);
  for (int k = 1; k < 8; k++)
    for (uint32_t i = 0; i < 256; i++)
      table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
  // Appending zeros is linear: 32 basis vectors give every entry.
  uint32_t basis[32];
  for (int b = 0; b < 32; b++) basis[b] = zeros(1u << b, STREAM);
  for (int k = 0; k < 4; k++)
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t sum = 0;
      for (int b = 0; b < 8; b++)
        if (i >> b & 1) sum ^= basis[k * 8 + b];
      shift_table[k][i] = sum;
    }
}

uint32_t varve_crc32c_portable(uint32_t seed, const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  uint32_t crc = ~seed;
  for (; count >= 8; p += 8, count -= 8) {
    uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                          (uint32_t)p[3] << 24);
    crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^
          table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  }
  while (count--) crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 255];
  return ~crc;
}

static inline uint32_t shift(uint32_t crc) {
  return shift_table[0][crc & 255] ^ shift_table[1][crc >> 8 & 255] ^
         shift_table[2][crc >> 16 & 255] ^ shift_table[3][crc >> 24];
}

static inline uint64_t load64(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, 8);
  return word;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#define TARGET __attribute__((target("sse4.2")))
#define STEP64(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define STEP8(crc, byte) _mm_crc32_u8((crc), (byte))
static int has_instruction(void) { return __builtin_cpu_supports("sse4.2"); }
#define HAS_HARDWARE 1
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#define TARGET __attribute__((target("+crc")))
#define STEP64(crc, word) __crc32cd((crc), (word))
#define STEP8(crc, byte) __crc32cb((crc), (byte))
static int has_instruction(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#define HAS_HARDWARE 1
#endif

#ifdef HAS_HARDWARE
TARGET static uint32_t hardware(uint32_t seed, const void *bytes, size_t count) {
  const uint8_t *p = bytes;
  uint32_t crc = ~seed;
  for (; count >= 3 * STREAM; p += 3 * STREAM, count -= 3 * STREAM) {
    uint32_t second = 0, third = 0;
    for (size_t i = 0; i < STREAM; i += 8) {
      crc = STEP64(crc, load64(p + i));
      second = STEP64(second, load64(p + STREAM + i));
      third = STEP64(third, load64(p + 2 * STREAM + i));
    }
    crc = shift(shift(crc) ^ second) ^ third;
  }
  for (; count >= 8; p += 8, count -= 8) crc = STEP64(crc, load64(p));
  while (count--) crc = STEP8(crc, *p++);
  return ~crc;
}
#endif

uint32_t varve_crc32c(uint32_t seed, const void *bytes, size_t count) {
#ifdef HAS_HARDWARE
  static int known; // 0 unknown, 1 yes, -1 no; a race writes the same value twice
  int state = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (state == 0) {
    state = has_instruction() ? 1 : -1;
    __atomic_store_n(&known, state, __ATOMIC_RELAXED);
  }
  if (state > 0) return hardware(seed, bytes, count);
#endif
  return varve_crc32c_portable(seed, bytes, count);
}
