import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// The witness of the last commit of an idle log.
@Suite struct WatermarkTests {
  /// Wherever in a segment the log comes to rest, also at its very end: when the last frame is
  /// damaged, that is not taken for a torn tail.
  @Test(arguments: 1...7) func anIdleLogWitnessesItsLastFrame(putCount: Int) async throws {
    let idle = IdleGate()
    let device = RAMDevice(image: try await Harness.formatted(), delivery: .inline)
    let store = try await idle.openStore(device, options: Harness.options)
    for number in 1...putCount { try await store.put("k\(number)", "value \(number)") }
    let last = device.image
    idle.open()
    await API.until { Self.watermark(in: device.image) == UInt64(putCount) }
    let image = device.copy(delivery: .inline)
    try await store.close()

    let place = try #require(Self.pages(of: last).last { Self.frame($0.bytes) != nil })
    image.overwrite([place.bytes[100] ^ 1], at: place.byteOffset + 100)
    let code = await API.code {
      // Sealed, the segment's summary is a witness, too, that the record was there.
      _ = try await Harness.open(image).get("k\(putCount)")
    }
    #expect(code == .corrupt)
  }

  private static func pages(of image: SparseImage) -> [(byteOffset: UInt64, bytes: [UInt8])] {
    stride(from: 0, to: image.byteCount, by: Limits.pageByteCount).map {
      ($0, image.read(at: $0, byteCount: Limits.pageByteCount))
    }
  }

  private static func frame(_ bytes: [UInt8]) -> FrameHeader? {
    guard bytes[4] == PageKind.frameStart.rawValue else { return nil }
    return try? FrameHeader(decoding: bytes.span.bytes)
  }

  /// The highest watermark that a frame in the image carries.
  private static func watermark(in image: SparseImage) -> UInt64 {
    pages(of: image).compactMap { frame($0.bytes)?.durableWatermark.rawValue }.max() ?? 0
  }
}
