import VarveFormat

/// A small generator (SplitMix64) whose every number follows from its seed.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  mutating func word32() -> UInt32 { UInt32(truncatingIfNeeded: next()) }

  mutating func flip() -> Bool { next() & 1 == 1 }

  /// A number of any magnitude up to `bound`: small ones as often as large ones.
  mutating func magnitude(upTo bound: UInt64) -> UInt64 {
    min(bound, next() >> UInt64(below(64)))
  }

  mutating func sequence() -> SequenceNumber {
    SequenceNumber(magnitude(upTo: Limits.maximumCounter))
  }

  /// The sequence number of a record: the first write has 1.
  mutating func recordSequence() -> SequenceNumber {
    SequenceNumber(1 + magnitude(upTo: Limits.maximumCounter - 1))
  }

  mutating func generation() -> Generation {
    Generation(UInt32(magnitude(upTo: UInt64(Limits.maximumGeneration))))
  }

  mutating func bytes(_ byteCount: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: byteCount)
    var offset = 0
    bytes.withUnsafeMutableBytes { target in
      while offset < byteCount {
        withUnsafeBytes(of: next()) { word in
          for byte in word where offset < byteCount {
            target[offset] = byte
            offset += 1
          }
        }
      }
    }
    return bytes
  }
}

/// The identity, place and use that the tests' pages belong to.
enum Sample {
  static let uuid = StoreUUID(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)
  static let checksum = Checksum(uuid: uuid)
  static let page = PageIndex(192)
  static let generation = Generation(7)
  static let segment = SegmentIndex(3)
  static let hashKey = HashKey(low: 0x1111_2222_3333_4444, high: 0x5555_6666_7777_8888)

  static func geometry(_ byteCount: UInt64 = 2 << 20, _ segment: Int = 32 << 10) -> Geometry {
    do {
      return try Geometry(deviceByteCount: byteCount, segmentByteCount: segment)
    } catch {
      preconditionFailure("the sample geometry is valid: \(error)")
    }
  }

  /// Zeroed pages, filled by `body`.
  static func pages(_ count: Int = 1, _ body: (inout MutableRawSpan) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count * Limits.pageByteCount)
    bytes.withUnsafeMutableBytes {
      var span = MutableRawSpan(_unsafeBytes: $0)
      body(&span)
    }
    return bytes
  }

  /// Seals pages as what the tests expect.
  static func seal(
    _ span: inout MutableRawSpan, _ kind: PageKind, recordCount: UInt16 = 0
  ) {
    PageHeader(
      kind: kind, recordCount: recordCount, generation: generation,
      extentPageCount: PageCount(UInt32(span.byteCount / Limits.pageByteCount)), page: page,
      segment: segment
    ).seal(&span, uuid: uuid, checksum: checksum)
  }

  static func verify(_ bytes: RawSpan) throws(FormatError) -> PageHeader {
    try PageHeader.verify(
      bytes, at: page, generation: generation, uuid: uuid, checksum: checksum)
  }

  /// Gives a page, changed behind the writer's back, a checksum that matches.
  static func reseal(
    _ span: inout MutableRawSpan, generation: Generation = Sample.generation,
    page: PageIndex = Sample.page
  ) {
    let value = checksum.of(
      span.bytes.extracting(4..<span.byteCount), generation: generation, page: page)
    span.store(value, 0)
  }

  /// The same for a superblock.
  static func resealSuperblock(_ span: inout MutableRawSpan, at location: PageIndex) {
    let uuid = StoreUUID(low: span.bytes.load(16), high: span.bytes.load(24))
    let value = Checksum(uuid: uuid).of(
      span.bytes.extracting(12..<Limits.pageByteCount), generation: Generation(0), page: location)
    span.store(value, 8)
  }
}

extension [UInt8] {
  /// Lends the bytes to a decoder.
  @discardableResult
  func lend<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try body(span.bytes)
  }

  /// Changes the bytes in place.
  mutating func change(_ body: (inout MutableRawSpan) -> Void) {
    withUnsafeMutableBytes {
      var span = MutableRawSpan(_unsafeBytes: $0)
      body(&span)
    }
  }
}
