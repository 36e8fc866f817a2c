// SipHash with 128 bits of output: how a key becomes the number that places it in the index and
// stands in summaries and checkpoints.
//
// Why SipHash: it is a keyed pseudo-random function, so that whoever chooses keys (a tenant, a web
// client) cannot make them collide without the store's secret (hash flooding, faults.md §5).
// Why 1-3 rounds: the variant of Swift's `Hasher`, of Rust and of Python; no attack on it is known
// where, as here, outputs are not shown, and it costs half of 2-4. Why 128 bits: 64 become the
// fingerprint, others choose the shard, so that a false match needs both to agree.

/// SipHash-c-d-128 (Aumasson and Bernstein, 2012) over borrowed bytes, without allocation.
public enum SipHash {
  /// The two words of a 128-bit hash.
  public struct Digest: Hashable, Sendable {
    /// The first eight bytes of the output, as a little-endian number.
    public let low: UInt64
    /// The last eight bytes of the output, as a little-endian number.
    public let high: UInt64
  }

  /// The 128-bit hash that the format uses: one round for each word, three at the end.
  public static func digest13(of bytes: RawSpan, key: HashKey) -> Digest {
    digest(of: bytes, key: key, compressionRounds: 1, finalizationRounds: 3)
  }

  /// The hash for any number of rounds; inlined, so that constant rounds cost no loop. The test
  /// compares 2-4 with the vectors that the authors published.
  @inline(__always)
  package static func digest(
    of bytes: RawSpan, key: HashKey, compressionRounds: Int, finalizationRounds: Int
  ) -> Digest {
    var state = State(key: key)
    let byteCount = bytes.byteCount
    let wordsEnd = byteCount & ~7
    var byteOffset = 0
    while byteOffset < wordsEnd {
      // SAFETY: byteOffset + 8 <= wordsEnd <= byteCount, and any eight bytes are a UInt64.
      let word = unsafe bytes.unsafeLoadUnaligned(
        fromUncheckedByteOffset: byteOffset, as: UInt64.self)
      state.absorb(UInt64(littleEndian: word), rounds: compressionRounds)
      byteOffset &+= 8
    }
    state.absorb(
      lastWord(of: bytes, from: wordsEnd), rounds: compressionRounds)
    return state.finish(rounds: finalizationRounds)
  }

  /// The bytes after the last whole word, and the low byte of the length above them.
  @inline(__always)
  private static func lastWord(of bytes: RawSpan, from wordsEnd: Int) -> UInt64 {
    var word = UInt64(truncatingIfNeeded: bytes.byteCount) << 56
    var byteOffset = wordsEnd
    var shift: UInt64 = 0
    // SAFETY: each load lies below byteCount: the bits of the remainder say what is left.
    if bytes.byteCount & 4 != 0 {
      let half = unsafe bytes.unsafeLoadUnaligned(
        fromUncheckedByteOffset: byteOffset, as: UInt32.self)
      word |= UInt64(UInt32(littleEndian: half))
      byteOffset &+= 4
      shift = 32
    }
    if bytes.byteCount & 2 != 0 {
      let pair = unsafe bytes.unsafeLoadUnaligned(
        fromUncheckedByteOffset: byteOffset, as: UInt16.self)
      word |= UInt64(UInt16(littleEndian: pair)) << shift
      byteOffset &+= 2
      shift &+= 16
    }
    if bytes.byteCount & 1 != 0 {
      let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: byteOffset, as: UInt8.self)
      word |= UInt64(byte) << shift
    }
    return word
  }

  private struct State {
    var v0: UInt64
    var v1: UInt64
    var v2: UInt64
    var v3: UInt64

    @inline(__always)
    init(key: HashKey) {
      v0 = key.low ^ 0x736f_6d65_7073_6575
      // 0xee marks the variant with 128 bits of output.
      v1 = key.high ^ 0x646f_7261_6e64_6f6d ^ 0xee
      v2 = key.low ^ 0x6c79_6765_6e65_7261
      v3 = key.high ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    mutating func absorb(_ word: UInt64, rounds: Int) {
      v3 ^= word
      for _ in 0..<rounds { round() }
      v0 ^= word
    }

    @inline(__always)
    mutating func finish(rounds: Int) -> Digest {
      v2 ^= 0xee
      for _ in 0..<rounds { round() }
      let low = v0 ^ v1 ^ v2 ^ v3
      v1 ^= 0xdd
      for _ in 0..<rounds { round() }
      return Digest(low: low, high: v0 ^ v1 ^ v2 ^ v3)
    }

    @inline(__always)
    mutating func round() {
      v0 = v0 &+ v1
      v1 = v1 << 13 | v1 >> 51
      v1 ^= v0
      v0 = v0 << 32 | v0 >> 32
      v2 = v2 &+ v3
      v3 = v3 << 16 | v3 >> 48
      v3 ^= v2
      v0 = v0 &+ v3
      v3 = v3 << 21 | v3 >> 43
      v3 ^= v0
      v2 = v2 &+ v1
      v1 = v1 << 17 | v1 >> 47
      v1 ^= v2
      v2 = v2 << 32 | v2 >> 32
    }
  }
}
