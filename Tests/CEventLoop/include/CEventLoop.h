#pragma once
// What an event loop of a program uses and Swift cannot see through Glibc.
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

/// Reads what is in memory already, or fails with EAGAIN (RWF_NOWAIT).
int64_t event_loop_read_if_cached(int descriptor, void *memory, size_t byteCount,
                                  int64_t byteOffset);
