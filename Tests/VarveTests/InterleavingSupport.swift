import Varve
import VarveIO

@testable import VarveTesting

/// What suites of single interleavings share.
protocol InterleavingSuite {}

extension InterleavingSuite {
  func bytes(_ text: String, _ byteCount: Int = 0) -> [UInt8] {
    Array(text.utf8) + [UInt8](repeating: 7, count: max(0, byteCount - text.utf8.count))
  }

  func until(_ seconds: Double = 60, _ condition: () -> Bool) async -> Bool {
    for _ in 0..<Int(seconds * 500) {
      if condition() { return true }
      try? await Task.sleep(nanoseconds: 2_000_000)
    }
    return condition()
  }

  func formatted(_ byteCount: UInt64, segment: Int) async throws -> SparseImage {
    let device = RAMDevice(byteCount: byteCount, delivery: .inline)
    try await Store.format(device: device, options: FormatOptions(segmentByteCount: segment))
    return device.image
  }
}
