#define _GNU_SOURCE
#include "CVarveURing.h"

#include <errno.h>

#ifndef VARVE_IO_URING

int varve_uring_is_built(void) { return 0; }

int varve_uring_create(unsigned requestCapacity, struct varve_uring **ring) {
  (void)requestCapacity;
  *ring = NULL;
  return -EOPNOTSUPP;
}

// There is no ring to call these with.
int varve_uring_enable(struct varve_uring *ring) {
  (void)ring;
  return -EOPNOTSUPP;
}

void varve_uring_destroy(struct varve_uring *ring) { (void)ring; }

int varve_uring_prepare(struct varve_uring *ring, const struct varve_uring_request *request) {
  (void)ring, (void)request;
  return -EOPNOTSUPP;
}

int varve_uring_submit(struct varve_uring *ring) {
  (void)ring;
  return -EOPNOTSUPP;
}

int varve_uring_submit_and_wait(struct varve_uring *ring, unsigned limit,
                                struct varve_uring_completion *completions,
                                int64_t timeoutNanoseconds) {
  (void)ring, (void)limit, (void)completions, (void)timeoutNanoseconds;
  return -EOPNOTSUPP;
}

#elif !__has_include(<liburing.h>)
#error "the package trait IOUring needs liburing: apt-get install liburing-dev"
#else

#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct varve_uring {
  struct io_uring ring;
};

// The length of a transfer has 32 bits, and the kernel moves less than 2 GiB at once: a longer
// request is continued like any other short transfer.
static const size_t longest_transfer = 1 << 30;

int varve_uring_is_built(void) { return 1; }

static int set_up(unsigned requestCapacity, unsigned flags, struct io_uring *ring) {
  struct io_uring_params parameters = {.flags = IORING_SETUP_R_DISABLED | flags};
  int result = io_uring_queue_init_params(requestCapacity, ring, &parameters);
  // Waiting with a timeout came with 5.11; for older kernels liburing would put timeouts of its own
  // among our requests.
  if (result == 0 && !(parameters.features & IORING_FEAT_EXT_ARG)) {
    io_uring_queue_exit(ring);
    return -ENOSYS;
  }
  return result;
}

int varve_uring_create(unsigned requestCapacity, struct varve_uring **ring) {
  *ring = calloc(1, sizeof **ring);
  if (!*ring) return -ENOMEM;
  // Since 6.1: one thread submits, and completions wait until it asks for them.
  int result = set_up(requestCapacity, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                      &(*ring)->ring);
  if (result == -EINVAL) result = set_up(requestCapacity, 0, &(*ring)->ring);
  if (result < 0) {
    free(*ring);
    *ring = NULL;
  }
  return result;
}

int varve_uring_enable(struct varve_uring *ring) {
  // io_uring_enable_rings is missing among what the shared library 2.3 exports.
  long result =
      syscall(__NR_io_uring_register, ring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  return result < 0 ? -errno : 0;
}

void varve_uring_destroy(struct varve_uring *ring) {
  io_uring_queue_exit(&ring->ring);
  free(ring);
}

static void prepare_transfer(struct io_uring_sqe *entry, int operation, int vectorOperation,
                             const struct varve_uring_request *request) {
  size_t length = request->byteCount < longest_transfer ? request->byteCount : longest_transfer;
  if (request->vectorCount > 0) {
    operation = vectorOperation;
    length = request->vectorCount;
  }
  io_uring_prep_rw(operation, entry, request->descriptor, request->memory, (unsigned)length,
                   request->byteOffset);
  if (request->isDurable) entry->rw_flags = RWF_DSYNC;
}

int varve_uring_prepare(struct varve_uring *ring, const struct varve_uring_request *request) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  if (!entry) return -ENOBUFS;
  switch (request->operation) {
    case VARVE_URING_READ:
      prepare_transfer(entry, IORING_OP_READ, IORING_OP_READV, request);
      break;
    case VARVE_URING_WRITE:
      prepare_transfer(entry, IORING_OP_WRITE, IORING_OP_WRITEV, request);
      break;
    case VARVE_URING_FLUSH:
      io_uring_prep_fsync(entry, request->descriptor, IORING_FSYNC_DATASYNC);
      break;
    case VARVE_URING_EVENT:
      io_uring_prep_poll_add(entry, request->descriptor, POLLIN);
      break;
  }
  io_uring_sqe_set_data64(entry, request->cookie);
  return 0;
}

// Whether the kernel, which lacks memory or was interrupted, takes the requests another time.
static int is_passing(int result) {
  return result == -EAGAIN || result == -EBUSY || result == -EINTR;
}

int varve_uring_submit(struct varve_uring *ring) {
  int result = io_uring_submit(&ring->ring);
  return result >= 0 || is_passing(result) ? 0 : result;
}

static unsigned take(struct io_uring *ring, unsigned limit,
                     struct varve_uring_completion *completions) {
  struct io_uring_cqe *entry;
  unsigned head, count = 0;
  io_uring_for_each_cqe(ring, head, entry) {
    if (count == limit) break;
    completions[count].cookie = entry->user_data;
    completions[count++].result = entry->res;
  }
  // The kernel may overwrite the entries only once it sees the new head.
  io_uring_cq_advance(ring, count);
  return count;
}

int varve_uring_submit_and_wait(struct varve_uring *ring, unsigned limit,
                                struct varve_uring_completion *completions,
                                int64_t timeoutNanoseconds) {
  struct __kernel_timespec timeout = {timeoutNanoseconds / 1000000000,
                                      timeoutNanoseconds % 1000000000};
  struct io_uring_cqe *first;
  int result = io_uring_submit_and_wait_timeout(&ring->ring, &first, 1, &timeout, NULL);
  unsigned count = take(&ring->ring, limit, completions);
  if (count > 0 || result >= 0 || result == -ETIME) return (int)count;
  if (!is_passing(result)) return result;
  // Time for memory to become free: the requests stay prepared and go with the next call.
  struct timespec pause = {0, 1000000};
  if (result != -EINTR) nanosleep(&pause, NULL);
  return 0;
}

#endif
