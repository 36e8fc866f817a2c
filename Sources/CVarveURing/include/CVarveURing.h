#pragma once
// io_uring, as little of it as the engine needs, through liburing. Only with the package trait
// IOUring is it compiled against that library. Without it the functions exist all the same, no ring
// can be created, and nobody needs the library: Swift sees one interface.
// Functions return a negative error number on failure.
#include <stddef.h>
#include <stdint.h>

struct varve_uring;

enum varve_uring_operation {
  VARVE_URING_READ,
  VARVE_URING_WRITE,
  /// fdatasync.
  VARVE_URING_FLUSH,
  /// Completes once the descriptor, an eventfd, has been signalled.
  VARVE_URING_EVENT,
};

/// What the kernel is asked for. Memory and vectors must stay until the completion.
struct varve_uring_request {
  enum varve_uring_operation operation;
  /// Whether a write is durable (RWF_DSYNC) when it completes.
  int isDurable;
  int descriptor;
  /// How many `struct iovec` lie at `memory`; 0 where that is the memory itself.
  unsigned vectorCount;
  const void *memory;
  size_t byteCount;
  uint64_t byteOffset;
  uint64_t cookie;
};

/// What the kernel says of a request: its cookie, and a byte count or a negative error number.
struct varve_uring_completion {
  uint64_t cookie;
  int64_t result;
};

/// Whether the package trait IOUring was on.
int varve_uring_is_built(void);
/// Sets up a ring for so many requests in flight. Nothing can be submitted before it is enabled.
int varve_uring_create(unsigned requestCapacity, struct varve_uring **ring);
/// Makes the calling thread the one that uses the ring from now on, also to destroy it.
int varve_uring_enable(struct varve_uring *ring);
/// Ends the ring. No request but the one for an event may be with the kernel.
void varve_uring_destroy(struct varve_uring *ring);
/// Prepares a request, which reaches the kernel with the next submission. ENOBUFS where more is
/// prepared than the ring was set up for.
int varve_uring_prepare(struct varve_uring *ring, const struct varve_uring_request *request);
/// Hands over what has been prepared. What the kernel does not take stays prepared.
int varve_uring_submit(struct varve_uring *ring);
/// Hands over what has been prepared, waits for a completion or until the time is over, and returns
/// how many completions were stored.
int varve_uring_submit_and_wait(struct varve_uring *ring, unsigned limit,
                                struct varve_uring_completion *completions,
                                int64_t timeoutNanoseconds);
