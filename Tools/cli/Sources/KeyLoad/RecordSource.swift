import Measuring

/// The keys and values of one task. A key is 16 bytes that scatter its number, so that a load in
/// the order of numbers is in no order of keys. A value is a window of random bytes with the number
/// in front, so that no two values are alike and every value read can be judged.
public struct RecordSource: Sendable {
  private static let poolByteCount = 256 << 10
  private static let windowCount = (poolByteCount - LoadPlan.valueByteCount) / 64

  /// The key that was set last.
  public private(set) var key = [UInt8](repeating: 0, count: LoadPlan.keyByteCount)
  /// What values are windows of.
  public private(set) var pool: [UInt8]

  /// A source with bytes of its own.
  public init(seed: UInt64) {
    var random = Random(state: seed)
    pool = [UInt8](repeating: 0, count: Self.poolByteCount)
    // SAFETY: the memory is lent for the call, and its length is a multiple of 8.
    unsafe pool.withUnsafeMutableBytes { unsafe random.fill($0) }
  }

  /// Makes `key` the key of a number.
  public mutating func setKey(_ number: UInt64) {
    var bytes = key.mutableSpan
    // SAFETY: the bytes are integers; every store is checked against their bounds.
    var raw = unsafe bytes.mutableBytes
    raw.storeBytes(of: Random.mix(number).bigEndian, as: UInt64.self)
    raw.storeBytes(of: number.bigEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// Makes a value for the key of a number: the window of `pool` that holds it.
  public mutating func setValue(_ number: UInt64, _ random: inout Random) -> Range<Int> {
    let nonce = random.next()
    let start = Int(nonce % UInt64(Self.windowCount)) * 64
    var bytes = pool.mutableSpan
    // SAFETY: the bytes are integers; every store is checked against their bounds.
    var raw = unsafe bytes.mutableBytes
    raw.storeBytes(of: number.littleEndian, toByteOffset: start, as: UInt64.self)
    raw.storeBytes(of: nonce, toByteOffset: start + 8, as: UInt64.self)
    return start..<start + LoadPlan.valueByteCount
  }

  /// Whether a value is one that was made for the key of a number.
  public static func isValue(_ value: RawSpan, of number: UInt64) -> Bool {
    guard value.byteCount == LoadPlan.valueByteCount else { return false }
    // SAFETY: any eight bytes are an integer, and as many are there.
    return unsafe value.unsafeLoadUnaligned(as: UInt64.self) == number.littleEndian
  }
}
