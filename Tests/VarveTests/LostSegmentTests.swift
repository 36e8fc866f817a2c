import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Sealed segments that lost what says where in the log they stood.
@Suite struct LostSegmentTests {
  /// Without header and summaries, the frames that are left count at their place in the log: they
  /// do not hide what was written later.
  @Test(arguments: [true, false]) func framesThatAreLeftHideNothingNewer(
    hasSuccessor: Bool
  ) async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("rewritten", "old")
    try await store.put("left", "value")
    try await store.put("filler", Immunity.filler)
    // The first segment is full now.
    try await store.put("second", Immunity.filler)
    try await store.put("rewritten", "new")
    try await store.put("third", Immunity.filler)
    if hasSuccessor == false { try await store.put("second", Immunity.filler) }
    try await store.close()
    let sealed = try #require(await Immunity.segments(device, .sealed))
    let first = try #require(sealed.segments.first)
    let range = Immunity.range(of: first, sealed.geometry)
    let image = device.copy(delivery: .inline)
    let zeros = [UInt8](repeating: 0, count: Limits.pageByteCount)
    image.overwrite(zeros, at: range.lowerBound)
    for page in 0..<2 {
      image.overwrite(zeros, at: range.upperBound - UInt64((page + 1) * Limits.pageByteCount))
    }
    if !hasSuccessor {
      // The header that names the first segment is lost, too.
      let second = Immunity.range(of: sealed.segments[1], sealed.geometry)
      image.overwrite(zeros, at: second.lowerBound)
    }
    var options = Harness.options
    options.allowDegraded = true
    options.allowSuspectReads = true
    let degraded = try await Store.open(device: image, options: options)
    #expect(degraded.recoveryReport.outcome == .degraded)
    #expect(try await degraded.get("rewritten")?.value == Array("new".utf8))
    #expect(try await degraded.get("left")?.value == Array("value".utf8))
    #expect(try await degraded.get("second")?.value == Immunity.filler)
    #expect(try await degraded.get("third")?.value == Immunity.filler)
    try await degraded.close()
  }
}
