import Foundation
import Synchronization
import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// The golden images of version 1 of the format.
enum Fixture: String, CaseIterable, Sendable {
  /// Closed.
  case clean = "v1-clean"
  /// Never closed, and the last frame torn.
  case unclean = "v1-unclean"
  /// Closed; then a byte of a record in a sealed segment flipped.
  case damaged = "v1-damaged"

  private static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  var textURL: URL { Self.folder.appending(path: rawValue + ".txt") }

  func loadImage() throws -> [UInt8] {
    [UInt8](try Data(contentsOf: Self.folder.appending(path: rawValue + ".img")))
  }

  func loadImage(at path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path)))
  }

  /// Makes such an image anew.
  func make() async throws -> SparseImage {
    switch self {
    case .clean: return try await FixtureScript.closedImage()
    case .unclean: return try await FixtureScript.tornImage()
    case .damaged:
      var image = try await FixtureScript.closedImage()
      try FixtureScript.flipVictim(&image)
      return image
    }
  }
}

/// What is in the images: the same writes in the same order, from fixed seeds.
enum FixtureScript {
  static let victim = Array("victim".utf8)
  static let victimValue = Array("the value that v1-damaged lost".utf8)
  static let longKey = [UInt8](repeating: UInt8(ascii: "k"), count: Limits.maximumKeyByteCount)
  static let binaryKey: [UInt8] = [0, 0xff, 0x0a, 0x7c]

  /// Every key that the script touches.
  static var keys: [[UInt8]] {
    let names =
      (0..<24).map { "key-\($0)" }
      + [
        "empty", "text", "noise-one-page", "noise-pages", "text-pages", "batch-a", "batch-b",
        "batch-c", "torn-a", "torn-b", "torn-c", "never written",
      ]
    return [victim, longKey, binaryKey] + names.map { Array($0.utf8) }
  }

  /// Text of words that follow from the seed: it compresses to about a half.
  private static func text(_ byteCount: Int, seed: UInt64) -> [UInt8] {
    let words = "varve layer silt clay spring melt lake sediment season year core drill".split(
      separator: " ")
    var random = SeededGenerator(seed: seed)
    var bytes: [UInt8] = []
    while bytes.count < byteCount {
      bytes += words[random.below(words.count)].utf8
      bytes.append(UInt8(ascii: " "))
    }
    return Array(bytes.prefix(byteCount))
  }

  /// What was written before the first crash.
  private static func writeFirst(_ store: Store) async throws {
    var random = SeededGenerator(seed: 42)
    try await store.put(victim, victimValue)
    try await store.put("empty", "")
    try await store.put(binaryKey, [0, 1, 2, 0xff])
    try await store.put(longKey, Array("a key of 4096 bytes".utf8))
    try await store.put("text", text(3000, seed: 1))
    try await store.put("text-pages", text(16_000, seed: 2))
    try await store.put("noise-one-page", random.bytes(3000))
    try await store.put("noise-pages", random.bytes(10_000))
    for number in 0..<24 {
      try await store.put("key-\(number)", "first value of key \(number)")
    }
    var batch = Batch()
    for number in 0..<5 { batch.put("key-\(number)", "value \(number) by a batch") }
    batch.delete("key-5")
    batch.put("batch-a", text(500, seed: 3))
    _ = try await store.write(batch)
    try await store.delete("key-6")
    try await store.put("key-6", "put again after a delete")
    try await store.delete("key-7")
    let refused = try await store.put("key-8", "never", condition: .ifAbsent)
    #expect(!refused.isApplied)
    try await store.checkpoint()
    try await store.put("key-8", "above the checkpoint")
  }

  /// What was written behind the cut that recovery made.
  private static func writeSecond(_ store: Store) async throws {
    var random = SeededGenerator(seed: 43)
    for number in 9..<20 {
      try await store.put("key-\(number)", "second value of key \(number)", durability: .written)
    }
    var pages = Batch()
    for name in ["batch-a", "batch-b", "batch-c"] { pages.put(name, random.bytes(2500)) }
    pages.delete("key-20")
    _ = try await store.write(pages)
    try await store.delete("key-21")
    try await store.sync()
  }

  static func closedImage() async throws -> SparseImage {
    let (store, device) = try await recovered(StoreEnvironment.fixed())
    try await writeSecond(store)
    // An idle log writes the watermark frame.
    let limit = ContinuousClock.now + .seconds(30)
    while !hasWatermark(device.image) {
      try #require(ContinuousClock.now < limit, "no watermark follows the last commit")
      try await Task.sleep(nanoseconds: 1_000_000)
    }
    try await store.close()
    return device.image
  }

  /// What a loss of power leaves within the last group commit: a batch was written but not
  /// flushed, and one of its pages never reached the medium.
  static func tornImage() async throws -> SparseImage {
    let idle = IdleGate()
    let (store, device) = try await recovered(StoreEnvironment.fixed(idle: idle))
    try await writeSecond(store)
    let before = device.image
    var random = SeededGenerator(seed: 44)
    var batch = Batch()
    for name in ["torn-a", "torn-b", "torn-c"] { batch.put(name, random.bytes(2500)) }
    batch.delete("key-22")
    _ = try await store.write(batch, durability: .written)
    var image = device.image
    idle.open()
    try await store.close()
    let page = try #require(
      pages(of: image).last { page, bytes in
        bytes[4] == PageKind.frameContinuation.rawValue && bytes != read(page, before)
      }?.page)
    image.write(read(page, before), at: page * UInt64(Limits.pageByteCount))
    return image
  }

  /// Flips a bit of the first byte of the victim's value.
  static func flipVictim(_ image: inout SparseImage) throws {
    for (page, bytes) in pages(of: image) where bytes[4] == PageKind.frameStart.rawValue {
      let span = bytes.span.bytes
      let byteOffset = FrameHeader.payloadByteOffset
      guard let header = try? RecordHeader(decoding: span, at: byteOffset),
        Array(bytes[header.keyRange(at: byteOffset)]) == victim
      else { continue }
      let place = header.valueRange(at: byteOffset).lowerBound
      image.write([bytes[place] ^ 1], at: page * UInt64(Limits.pageByteCount) + UInt64(place))
      return
    }
    Issue.record("the victim is not where it was put")
  }

  /// A store that was killed after `writeFirst` and opened again.
  private static func recovered(
    _ environment: StoreEnvironment
  ) async throws -> (Store, RAMDevice) {
    let device = RAMDevice(byteCount: 2 << 20)
    let first = StoreEnvironment.fixed()
    try await StoreFormatter.format(
      device: device,
      options: FormatOptions(segmentByteCount: 32 << 10, label: "golden image, version 1"),
      environment: first)
    let killed = try await StoreCore.open(
      device: device, options: TestingStore.options, environment: first, clockJump: .hold)
    try await writeFirst(killed)
    let rest = device.copy()
    try await killed.close()
    let store = try await StoreCore.open(
      device: rest, options: TestingStore.options, environment: environment, clockJump: .hold)
    return (store, rest)
  }

  private static func hasWatermark(_ image: SparseImage) -> Bool {
    pages(of: image).contains { _, bytes in
      guard bytes[4] == PageKind.frameStart.rawValue,
        let header = try? FrameHeader(decoding: bytes.span.bytes)
      else { return false }
      return header.recordCount == 0 && header.openEpoch == 2
    }
  }

  private static func pages(of image: SparseImage) -> [(page: UInt64, bytes: [UInt8])] {
    (0..<image.byteCount / UInt64(Limits.pageByteCount)).map { ($0, read($0, image)) }
  }

  private static func read(_ page: UInt64, _ image: SparseImage) -> [UInt8] {
    image.read(at: page * UInt64(Limits.pageByteCount), byteCount: Limits.pageByteCount)
  }
}

extension StoreEnvironment {
  /// Identity and time of creation that do not change; monotonic time and sleep as they are.
  fileprivate static func fixed(idle: IdleGate? = nil) -> StoreEnvironment {
    var environment = StoreEnvironment()
    let random = Shared(SeededGenerator(seed: 1))
    environment.randomWord = { random.value.withLock { $0.next() } }
    environment.wallMilliseconds = { 1_767_225_600_000 }
    let sleep = environment.sleep
    environment.sleep = { nanoseconds in
      await idle?.wait()
      await sleep(nanoseconds)
    }
    return environment
  }
}

/// A generator that closures share.
private final class Shared: Sendable {
  let value: Mutex<SeededGenerator>

  init(_ value: SeededGenerator) { self.value = Mutex(value) }
}
