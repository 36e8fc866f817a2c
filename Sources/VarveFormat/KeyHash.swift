// What the store knows a key by: 64 bits that identify it inside an index shard, and 24 bits that
// choose the shard. Summaries and checkpoints store both, so a rebuild needs nothing else.

/// The store's secret for hashing keys: random, written into the superblock when it is created.
public struct HashKey: Hashable, Sendable {
  /// The first eight bytes of the secret, little-endian.
  public let low: UInt64
  /// The last eight bytes of the secret, little-endian.
  public let high: UInt64

  /// Wraps the two halves of a secret.
  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }
}

/// The keyed hash of a key: SipHash-1-3 with 128 bits of output, of which 88 are kept.
public struct KeyHash: Hashable, Sendable {
  /// The low word of the hash; every value is possible, 0 included.
  public let fingerprint: UInt64
  /// The top 24 bits of the high word; its own top bits choose the index shard.
  public let selector: UInt32

  /// The number of bits in a selector, and so the logarithm of the most shards there can be.
  public static let selectorBitCount = 24

  /// Hashes `key` under the store's secret.
  public init(of key: RawSpan, keyedBy secret: HashKey) {
    let digest = SipHash.digest13(of: key, key: secret)
    fingerprint = digest.low
    selector = UInt32(truncatingIfNeeded: digest.high >> 40)
  }

  /// Puts a hash together from its stored parts. `selector` must be below 2^24.
  public init(fingerprint: UInt64, selector: UInt32) {
    precondition(selector >> UInt32(Self.selectorBitCount) == 0, "a selector has 24 bits")
    self.fingerprint = fingerprint
    self.selector = selector
  }
}
