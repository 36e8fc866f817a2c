import VarveIO

/// A read of one page that a task awaits.
final class PageRead: IORequest, @unchecked Sendable {
  let page = AlignedMemory(byteCount: 4096)
  private var continuation: CheckedContinuation<IOError?, Never>?

  init(at byteOffset: UInt64) {
    super.init(operation: .read, memory: page.base, byteCount: 4096, byteOffset: byteOffset)
  }

  func firstByte(on device: any BlockDevice) async throws -> UInt8 {
    let error = await withCheckedContinuation { continuation in
      self.continuation = continuation
      device.submit(self)
    }
    if let error { throw error }
    return page.base.load(as: UInt8.self)
  }

  override func complete(_ error: IOError?) { continuation?.resume(returning: error) }
}

/// Adds up the first bytes of all pages of a file, with all reads in flight together.
func sumOfFirstBytes(of path: String) async throws -> Int {
  let device = try await Devices.open(path, openOptions: OpenOptions(access: .readOnly)).device
  defer { device.close() }
  return try await withThrowingTaskGroup(of: UInt8.self) { group in
    for byteOffset in stride(from: 0, to: device.byteCount, by: 4096) {
      group.addTask { try await PageRead(at: byteOffset).firstByte(on: device) }
    }
    return try await group.reduce(0) { $0 + Int($1) }
  }
}

/// The same with the system calls themselves: one thread, eight control blocks.
func sumWithoutTasks(of path: String) throws -> Int {
  let file = try DirectFile.open(path, options: OpenOptions(access: .readOnly))
  let pages = AlignedMemory(byteCount: 8 * 4096)
  var queue = try AIOQueue(requestCapacity: 8)
  var freePages = Array(0..<8)
  var byteOffsets = [UInt64](repeating: 0, count: 8)
  var (next, sum) = (0 as UInt64, 0)
  var failure: IOError?
  while next < file.byteCount || queue.preparedCount + queue.unreapedCount > 0 {
    while next < file.byteCount, queue.hasRoom, let page = freePages.popLast() {
      let memory = UnsafeMutableRawBufferPointer(start: pages.base + page * 4096, count: 4096)
      try queue.prepare(
        .read(file.descriptorNumber, into: memory, at: next), cookie: UInt64(page))
      byteOffsets[page] = next
      next += 4096
    }
    _ = try queue.submit()
    _ = try queue.reap(minimumCount: 1, maximumCount: 8) { completion in
      let page = Int(completion.cookie)
      freePages.append(page)
      if completion.result == 4096 {
        sum += Int(pages.base.load(fromByteOffset: page * 4096, as: UInt8.self))
      } else {
        failure = IOError(
          operation: .read, byteOffset: byteOffsets[page], byteCount: 4096,
          errorNumber: completion.errorNumber)
      }
    }
  }
  if let failure { throw failure }
  return sum
}
