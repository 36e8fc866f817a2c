#pragma once
// What Swift cannot see through Glibc: O_DIRECT, RWF_DSYNC, statfs, ioctls, eventfd, thread-locals,
// addresses of Unix sockets.
// Functions return a negative error number on failure, as the system calls themselves do.
#include <libaio.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/// The flag for direct I/O, which differs between architectures.
int varve_open_direct_flag(void);
/// Opens `name` relative to `directory` (AT_FDCWD: -100), repeating after an interruption.
int varve_open_at(int directory, const char *name, int flags, mode_t mode);
/// Allocates blocks for a range of a file and extends it.
int varve_allocate(int descriptor, int64_t byteOffset, int64_t byteCount);
/// The bytes of a block device.
int varve_block_device_byte_count(int descriptor, uint64_t *byteCount);
/// The logical sector of a block device: what direct I/O must be aligned to.
int varve_block_device_sector_byte_count(int descriptor, uint32_t *byteCount);
/// The magic number of the file system that a descriptor lies on.
int varve_file_system_magic(int descriptor, uint64_t *magic);
/// The major and minor number of a device.
uint32_t varve_device_major(uint64_t device);
uint32_t varve_device_minor(uint64_t device);
/// Clears O_NONBLOCK, which only keeps the open itself from hanging.
int varve_clear_nonblocking(int descriptor);

/// Switches an open file to direct I/O.
int varve_set_direct(int descriptor);

/// Reads or writes at an offset, repeating after an interruption; a durable write has RWF_DSYNC.
int64_t varve_read_at(int descriptor, void *memory, size_t byteCount, int64_t byteOffset);
int64_t varve_write_at(int descriptor, const void *memory, size_t byteCount, int64_t byteOffset,
                       int durable);
/// The same over several pieces of memory.
int64_t varve_read_vectors_at(int descriptor, const struct iovec *vectors, int count,
                              int64_t byteOffset);
int64_t varve_write_vectors_at(int descriptor, const struct iovec *vectors, int count,
                               int64_t byteOffset, int durable);
int varve_flush(int descriptor);

/// A non-blocking eventfd, closed on exec.
int varve_event_create(void);
int varve_event_signal(int descriptor);
int varve_event_clear(int descriptor);

/// The longest path of a Unix socket, without its terminating zero.
int varve_local_path_limit(void);
/// A non-blocking Unix stream socket, closed on exec; once bound, its name has at most mode 0600.
int varve_local_socket(void);
/// Gives a socket its name, which must not exist; a symbolic link there is not followed.
int varve_local_bind(int descriptor, const char *path);
/// Connects to a name; -EAGAIN where somebody listens whose queue is full.
int varve_local_connect(int descriptor, const char *path);
/// Sets the mode of the socket `name` in a directory to 0600, if a socket is what lies there.
int varve_local_protect(int directory, const char *name);
/// Takes a connection: non-blocking, closed on exec.
int varve_local_accept(int descriptor);
/// Sends without raising SIGPIPE; a negative error number where nothing was taken.
int64_t varve_local_send(int descriptor, const void *bytes, size_t byteCount);
int64_t varve_local_receive(int descriptor, void *bytes, size_t byteCount);

/// RWF_DSYNC, for `aio_rw_flags`.
int varve_durable_write_flag(void);
/// Lets the kernel mind `aio_reqprio` of a control block.
void varve_aio_use_priority(struct iocb *block);
/// Takes completions from the ring in user space and, if there are fewer than `minimum`, waits in
/// io_getevents for them; for ever where the timeout is negative. Only one thread may reap a
/// context. The context must not have been destroyed.
int varve_aio_reap(io_context_t context, long minimum, long limit, struct io_event *events,
                   int64_t timeoutNanoseconds);

/// Nanoseconds of the monotonic clock.
uint64_t varve_monotonic_nanoseconds(void);
/// A small number that is the thread's own.
uint32_t varve_thread_tag(void);
/// What the thread names as its loop; NULL until it does.
void *varve_current_loop(void);
void varve_set_current_loop(void *loop);
/// How often this process image has gone through fork(): it differs between parent and child.
uint32_t varve_fork_generation(void);
/// Starts a joinable thread with all but the synchronous signals blocked, named `name`.
int varve_thread_start(pthread_t *thread, void *(*body)(void *), void *argument, const char *name);

/// What statx tells of direct I/O and atomic writes; the masks say whether it told anything.
struct varve_io_traits {
  int knowsDirect;
  uint32_t memoryAlignment;
  uint32_t offsetAlignment;
  int knowsAtomic;
  uint32_t atomicMinimum;
  uint32_t atomicMaximum;
};
int varve_io_traits_of(int descriptor, struct varve_io_traits *traits);
/// The physical sector of a block device.
int varve_block_device_physical_byte_count(int descriptor, uint32_t *byteCount);
/// Tells a block device that a range of it is no longer needed. Blocks until the device has done it.
int varve_block_device_discard(int descriptor, uint64_t byteOffset, uint64_t byteCount);
