#pragma once
// What an event loop of a program uses and Swift cannot see through Glibc.
#include <sys/epoll.h>
#include <sys/timerfd.h>
