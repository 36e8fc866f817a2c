import CEventLoop
import CVarveAIO
import Glibc
import Testing

@testable import VarveIO

/// Direct I/O in a program's own event loop, and why epoll alone does not do for files.
@Suite struct EventLoopTests {
  private enum Source: UInt64 {
    case transfers, timer, pipe
  }

  private func add(_ descriptor: Int32, _ source: Source, to loop: Int32) {
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    event.data.u64 = source.rawValue
    #expect(epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event) == 0)
  }

  /// One thread waits in one epoll_wait for direct transfers, a timer and a pipe, and blocks
  /// nowhere else: each page that was read is announced through the pipe, and each announcement
  /// starts the next read.
  @Test func oneLoopForTransfersTimerAndPipe() throws {
    try AIOQueueTests.withFile { descriptor in
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      let (loop, timer) = (epoll_create1(0), timerfd_create(CLOCK_MONOTONIC, 0))
      defer { for open in ends + [loop, timer] { close(open) } }
      var period = itimerspec(
        it_interval: timespec(tv_sec: 0, tv_nsec: 1_000_000),
        it_value: timespec(tv_sec: 0, tv_nsec: 1_000_000))
      #expect(timerfd_settime(timer, 0, &period, nil) == 0)
      var queue = try AIOQueue(requestCapacity: 8, signalsEvent: true)
      add(queue.eventDescriptor, .transfers, to: loop)
      add(timer, .timer, to: loop)
      add(ends[0], .pipe, to: loop)

      let buffer = Buffer(4096)
      let page = UnsafeMutableRawBufferPointer(start: buffer.base, count: 4096)
      var (readCount, tickCount) = (0, 0 as UInt64)
      try queue.prepare(.read(descriptor, into: page, at: 0), cookie: 0)
      _ = try queue.submit()
      while readCount < 64 || tickCount < 3 {
        var events = [epoll_event](repeating: epoll_event(), count: 4)
        let count = epoll_wait(loop, &events, 4, 30_000)
        try #require(count > 0, "the loop sleeps while there is work")
        for event in events.prefix(Int(count)) {
          switch Source(rawValue: event.data.u64) {
          case .transfers:
            let reaped = try queue.reap(minimumCount: 0, maximumCount: 8) { completion in
              #expect(completion.result == 4096)
              #expect(buffer.isFilled(with: UInt8(completion.cookie % 8 + 1), byteCount: 4096))
              var one: UInt8 = 1
              #expect(write(ends[1], &one, 1) == 1)
            }
            readCount += reaped
          case .timer:
            var expirations: UInt64 = 0
            #expect(read(timer, &expirations, 8) == 8)
            tickCount += expirations
          case .pipe:
            var one: UInt8 = 0
            #expect(read(ends[0], &one, 1) == 1)
            let next = UInt64(readCount)
            try queue.prepare(.read(descriptor, into: page, at: next % 8 * 4096), cookie: next)
            _ = try queue.submit()
          case nil: Issue.record("an event of no source")
          }
        }
      }
    }
  }

  /// What the kernel refuses is announced, too.
  @Test func refusalsAreAnnounced() throws {
    let buffer = Buffer(4096)
    let page = UnsafeMutableRawBufferPointer(start: buffer.base, count: 4096)
    var queue = try AIOQueue(requestCapacity: 2, signalsEvent: true)
    try queue.prepare(.read(-1, into: page, at: 0), cookie: 7)
    _ = try queue.submit()
    var wait = pollfd(fd: queue.eventDescriptor, events: Int16(POLLIN), revents: 0)
    #expect(poll(&wait, 1, 0) == 1)
    var errorNumbers: [Int32] = []
    _ = try queue.reap(minimumCount: 0, maximumCount: 8) { errorNumbers.append($0.errorNumber) }
    #expect(errorNumbers == [EBADF])
  }

  /// Completions that one call does not take leave the event readable.
  @Test func whatIsLeftIsAnnouncedAgain() throws {
    try AIOQueueTests.withFile { descriptor in
      let buffer = Buffer(4096)
      let page = UnsafeMutableRawBufferPointer(start: buffer.base, count: 4096)
      var queue = try AIOQueue(requestCapacity: 8, signalsEvent: true)
      for index in 0..<8 {
        try queue.prepare(.read(descriptor, into: page, at: UInt64(index) * 4096), cookie: 0)
      }
      _ = try queue.submit()
      var count = 0
      while count < 8 {
        var wait = pollfd(fd: queue.eventDescriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&wait, 1, 30_000) == 1, "completions wait and nothing says so")
        count += try queue.reap(minimumCount: 0, maximumCount: 3) { _ in }
      }
      #expect(count == 8)
    }
  }

  /// epoll refuses regular files, and O_NONBLOCK does not keep a read of one from waiting for the
  /// disk: of a page that is not in memory it returns the bytes, where RWF_NOWAIT returns EAGAIN.
  @Test func epollDoesNotServeForFiles() throws {
    let folder = try TestFolder()
    let path = try folder.write("file", [UInt8](repeating: 7, count: 4096))
    let descriptor = open(path, O_RDONLY | O_NONBLOCK)
    let loop = epoll_create1(0)
    defer { for open in [descriptor, loop] { close(open) } }
    var event = epoll_event()
    event.events = EPOLLIN.rawValue
    #expect(epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event) == -1 && errno == EPERM)

    #expect(fsync(descriptor) == 0)
    #expect(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
    let buffer = Buffer(4096)
    let isCached = event_loop_read_if_cached(descriptor, buffer.base, 4096, 0) != -Int64(EAGAIN)
    // A page that somebody else keeps in memory shows nothing.
    guard !isCached else { return }
    #expect(pread(descriptor, buffer.base, 4096, 0) == 4096)
    #expect(buffer.isFilled(with: 7, byteCount: 4096))
  }
}
