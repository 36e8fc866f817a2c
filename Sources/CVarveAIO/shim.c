#define _GNU_SOURCE
#include "CVarveAIO.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <string.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

int varve_open_direct_flag(void) { return O_DIRECT; }

int varve_open_at(int directory, const char *name, int flags, mode_t mode) {
  int result;
  do result = openat(directory, name, flags, mode);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int varve_allocate(int descriptor, int64_t byteOffset, int64_t byteCount) {
  int result;
  do result = fallocate(descriptor, 0, byteOffset, byteCount);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

int varve_block_device_byte_count(int descriptor, uint64_t *byteCount) {
  return ioctl(descriptor, BLKGETSIZE64, byteCount) < 0 ? -errno : 0;
}

int varve_block_device_sector_byte_count(int descriptor, uint32_t *byteCount) {
  int value = 0;
  if (ioctl(descriptor, BLKSSZGET, &value) < 0) return -errno;
  *byteCount = (uint32_t)value;
  return 0;
}

int varve_block_device_physical_byte_count(int descriptor, uint32_t *byteCount) {
  unsigned int value = 0;
  if (ioctl(descriptor, BLKPBSZGET, &value) < 0) return -errno;
  *byteCount = value;
  return 0;
}

int varve_block_device_discard(int descriptor, uint64_t byteOffset, uint64_t byteCount) {
  uint64_t range[2] = {byteOffset, byteCount};
  int result;
  do result = ioctl(descriptor, BLKDISCARD, range);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

// The kernel's structure of 256 bytes, by offset: the headers of older systems end before what is
// asked for here.
int varve_io_traits_of(int descriptor, struct varve_io_traits *traits) {
  const uint32_t directAlignment = 0x2000, atomicWrites = 0x10000;
  unsigned char status[256] = {0};
  if (syscall(SYS_statx, descriptor, "", 0x1000 /* AT_EMPTY_PATH */, directAlignment | atomicWrites,
              status) < 0)
    return -errno;
  uint32_t mask;
  memcpy(&mask, status, 4);
  traits->knowsDirect = (mask & directAlignment) != 0;
  memcpy(&traits->memoryAlignment, status + 152, 4);
  memcpy(&traits->offsetAlignment, status + 156, 4);
  traits->knowsAtomic = (mask & atomicWrites) != 0;
  memcpy(&traits->atomicMinimum, status + 168, 4);
  memcpy(&traits->atomicMaximum, status + 172, 4);
  return 0;
}

int varve_file_system_magic(int descriptor, uint64_t *magic) {
  struct statfs status;
  if (fstatfs(descriptor, &status) < 0) return -errno;
  // f_type is signed and 64 bits wide here, but magic numbers have 32 bits.
  *magic = (uint64_t)status.f_type & 0xffffffffu;
  return 0;
}

uint32_t varve_device_major(uint64_t device) { return major(device); }
uint32_t varve_device_minor(uint64_t device) { return minor(device); }

int varve_clear_nonblocking(int descriptor) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return -errno;
  return fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int varve_set_direct(int descriptor) {
  int flags = fcntl(descriptor, F_GETFL);
  if (flags < 0) return -errno;
  return fcntl(descriptor, F_SETFL, flags | O_DIRECT) < 0 ? -errno : 0;
}

int64_t varve_read_vectors_at(int descriptor, const struct iovec *vectors, int count,
                              int64_t byteOffset) {
  ssize_t result;
  do result = preadv2(descriptor, vectors, count, byteOffset, 0);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int64_t varve_write_vectors_at(int descriptor, const struct iovec *vectors, int count,
                               int64_t byteOffset, int durable) {
  ssize_t result;
  do result = pwritev2(descriptor, vectors, count, byteOffset, durable ? RWF_DSYNC : 0);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int64_t varve_read_at(int descriptor, void *memory, size_t byteCount, int64_t byteOffset) {
  struct iovec vector = {memory, byteCount};
  return varve_read_vectors_at(descriptor, &vector, 1, byteOffset);
}

int64_t varve_write_at(int descriptor, const void *memory, size_t byteCount, int64_t byteOffset,
                       int durable) {
  struct iovec vector = {(void *)memory, byteCount};
  return varve_write_vectors_at(descriptor, &vector, 1, byteOffset, durable);
}

// Never repeated, not even after EINTR: a failed flush may have dropped the dirty state.
int varve_flush(int descriptor) { return fdatasync(descriptor) < 0 ? -errno : 0; }

int varve_local_path_limit(void) { return (int)sizeof(((struct sockaddr_un *)0)->sun_path) - 1; }

static int local_address(const char *path, struct sockaddr_un *address) {
  size_t byteCount = strlen(path);
  if (byteCount == 0) return -ENOENT;
  if (byteCount >= sizeof address->sun_path) return -ENAMETOOLONG;
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, path, byteCount);
  return 0;
}

int varve_local_socket(void) {
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -errno;
  // Linux gives the name that is bound the mode of the socket, less the umask: it is never open to
  // others, not even for a moment.
  if (fchmod(descriptor, 0600) < 0) {
    int reason = errno;
    close(descriptor);
    return -reason;
  }
  return descriptor;
}

int varve_local_bind(int descriptor, const char *path) {
  struct sockaddr_un address;
  int result = local_address(path, &address);
  if (result < 0) return result;
  return bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
}

int varve_local_connect(int descriptor, const char *path) {
  struct sockaddr_un address;
  int result = local_address(path, &address);
  if (result < 0) return result;
  do result = connect(descriptor, (struct sockaddr *)&address, sizeof address);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

int varve_local_protect(int directory, const char *name) {
  int descriptor = varve_open_at(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
  if (descriptor < 0) return descriptor;
  struct stat status;
  int result = 0;
  if (fstat(descriptor, &status) < 0) {
    result = -errno;
  } else if (!S_ISSOCK(status.st_mode)) {
    result = -EEXIST;
  } else if ((status.st_mode & 07777) != 0600) {
    // The umask took something from the owner; a descriptor without access is changed by its link.
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (chmod(link, 0600) < 0) result = -errno;
  }
  close(descriptor);
  return result;
}

int varve_local_accept(int descriptor) {
  int result = accept4(descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return result < 0 ? -errno : result;
}

int64_t varve_local_send(int descriptor, const void *bytes, size_t byteCount) {
  ssize_t result;
  do result = send(descriptor, bytes, byteCount, MSG_NOSIGNAL);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int64_t varve_local_receive(int descriptor, void *bytes, size_t byteCount) {
  ssize_t result;
  do result = recv(descriptor, bytes, byteCount, 0);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int varve_event_create(void) {
  int result = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return result < 0 ? -errno : result;
}

int varve_event_signal(int descriptor) {
  uint64_t one = 1;
  // EAGAIN: the counter is at its maximum, so the event is signalled already.
  if (write(descriptor, &one, sizeof one) < 0 && errno != EAGAIN) return -errno;
  return 0;
}

int varve_event_clear(int descriptor) {
  uint64_t count;
  if (read(descriptor, &count, sizeof count) < 0 && errno != EAGAIN) return -errno;
  return 0;
}

int varve_durable_write_flag(void) { return RWF_DSYNC; }

// The ring that the kernel maps at the address of the context (fs/aio.c, struct aio_ring).
struct ring {
  unsigned id, capacity, head, tail, magic, compatible, incompatible, headerByteCount;
  struct io_event events[];
};

// Negative where it is no ring that this code knows: then only the system call can tell.
static int take_from_ring(io_context_t context, long limit, struct io_event *events) {
  struct ring *ring = (struct ring *)context;
  if (ring->magic != 0xa10a10a1u || ring->incompatible != 0 ||
      ring->headerByteCount != sizeof(struct ring))
    return -1;
  unsigned head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
  // Pairs with the kernel's barrier between filling an event and moving the tail.
  unsigned tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
  int count = 0;
  while (count < limit && head != tail) {
    events[count++] = ring->events[head];
    head = head + 1 == ring->capacity ? 0 : head + 1;
  }
  // The kernel may overwrite the events only once it sees the new head.
  if (count > 0) __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
  return count;
}

int varve_aio_reap(io_context_t context, long minimum, long limit, struct io_event *events,
                   int64_t timeoutNanoseconds) {
  int count = take_from_ring(context, limit, events);
  if (count >= 0 && count >= minimum) return count;
  if (count < 0) count = 0;
  struct timespec timeout = {timeoutNanoseconds / 1000000000, timeoutNanoseconds % 1000000000};
  int waited = io_getevents(context, minimum - count, limit - count, events + count,
                            timeoutNanoseconds < 0 ? NULL : &timeout);
  if (waited < 0) return count > 0 ? count : waited;
  return count + waited;
}

// IOCB_FLAG_IOPRIO of <linux/aio_abi.h>, which does not go together with <libaio.h>.
void varve_aio_use_priority(struct iocb *block) { block->u.c.flags |= 1u << 1; }

uint64_t varve_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static atomic_uint next_thread_tag;
static __thread uint32_t thread_tag;

uint32_t varve_thread_tag(void) {
  // Multiplied by a prime near 2^32 / phi, so that neighbouring tags differ in their high bits.
  if (thread_tag == 0)
    thread_tag = (atomic_fetch_add_explicit(&next_thread_tag, 1, memory_order_relaxed) + 1) *
                 2654435761u | 1u;
  return thread_tag;
}

static __thread void *current_loop;

void *varve_current_loop(void) { return current_loop; }
void varve_set_current_loop(void *loop) { current_loop = loop; }

static atomic_uint fork_generation;

static void in_child(void) { atomic_fetch_add(&fork_generation, 1); }

// Registered before main or at dlopen, so that reading the generation is one load.
__attribute__((constructor)) static void register_fork_handler(void) {
  pthread_atfork(NULL, NULL, in_child);
}

uint32_t varve_fork_generation(void) {
  return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

int varve_thread_start(pthread_t *thread, void *(*body)(void *), void *argument,
                       const char *name) {
  sigset_t blocked, before;
  sigfillset(&blocked);
  sigdelset(&blocked, SIGSEGV);
  sigdelset(&blocked, SIGBUS);
  sigdelset(&blocked, SIGFPE);
  sigdelset(&blocked, SIGILL);
  sigdelset(&blocked, SIGTRAP);
  sigdelset(&blocked, SIGABRT);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  int result = pthread_create(thread, NULL, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (result == 0) pthread_setname_np(*thread, name);
  return -result;
}
