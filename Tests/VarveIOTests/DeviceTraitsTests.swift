import Foundation
import Testing
import VarveIO

@Suite struct DeviceTraitsTests {
  @Test("The traits of a file are those of a device, or unknown")
  func file() throws {
    let path = "/var/tmp/varve-traits-\(UUID().uuidString)"
    defer { unlink(path) }
    let file = try DirectFile.create(path, options: CreateOptions(byteCount: 64 << 10))
    let traits = file.traits()
    if let logical = traits.logicalSectorByteCount {
      #expect(logical >= 512 && logical.nonzeroBitCount == 1)
      #expect(traits.physicalSectorByteCount ?? logical >= logical)
      #expect(traits.name?.isEmpty == false)
    }
    if let minimum = traits.atomicMinimumByteCount, let maximum = traits.atomicMaximumByteCount {
      #expect(minimum <= maximum)
    }
    if let alignment = traits.offsetAlignment, alignment > 0 { #expect(alignment <= 4096) }
  }

  @Test("A duplicate reads what the file holds, and leaves the lock with the first")
  func duplicate() throws {
    let path = "/var/tmp/varve-duplicate-\(UUID().uuidString)"
    defer { unlink(path) }
    let file = try DirectFile.create(path, options: CreateOptions(byteCount: 64 << 10))
    let memory = AlignedMemory(byteCount: 4096)
    memset(memory.base, 7, 4096)
    try file.write(UnsafeRawBufferPointer(start: memory.base, count: 4096), byteOffset: 4096)
    let second = try file.duplicate()
    memset(memory.base, 0, 4096)
    try second.read(
      into: UnsafeMutableRawBufferPointer(start: memory.base, count: 4096), byteOffset: 4096)
    #expect(memory.base.load(as: UInt8.self) == 7)
    try second.close()
    #expect(file.lockHolder()?.isWriter == true)
    #expect(throws: DeviceError.self) {
      _ = try DirectFile.open(path, options: OpenOptions(access: .readOnly))
    }
    try file.close()
    let reopened = try DirectFile.open(path, options: OpenOptions(access: .readOnly))
    try reopened.close()
  }

  @Test("The headroom of Linux AIO")
  func headroom() {
    guard let headroom = AIOHeadroom.current() else { return }
    #expect(headroom.maximumCount > 0)
    #expect(headroom.freeCount <= headroom.maximumCount)
    #expect(AIOHeadroom(usedCount: 9, maximumCount: 3).freeCount == 0)
  }

  @Test("A file is not discarded, whatever its disk can do")
  func discard() throws {
    let path = "/var/tmp/varve-discard-\(UUID().uuidString)"
    defer { unlink(path) }
    let device = try ThreadPoolDevice(
      DirectFile.create(path, options: CreateOptions(byteCount: 64 << 10)))
    #expect(device.discardGranularityByteCount == nil)
    let error = #expect(throws: DeviceError.self) { try device.discard(0..<4096) }
    #expect(error?.code == .unsupported)
    device.close()
  }
}
