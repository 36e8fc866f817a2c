#define _GNU_SOURCE
#include "CEventLoop.h"

#include <errno.h>
#include <sys/uio.h>

int64_t event_loop_read_if_cached(int descriptor, void *memory, size_t byteCount,
                                  int64_t byteOffset) {
  struct iovec vector = {memory, byteCount};
  ssize_t result = preadv2(descriptor, &vector, 1, byteOffset, RWF_NOWAIT);
  return result < 0 ? -errno : result;
}
