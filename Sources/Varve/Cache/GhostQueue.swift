/// The keys that left the small queue lately, as the paper proposes: a table of fingerprints and
/// times, in which an entry is forgotten when as many others came after it as the main queue holds,
/// or when its bucket is needed. 8 bytes a ghost; a false match costs a place in the wrong queue.
struct GhostQueue: Sendable {
  private static let bucketCapacity = 4

  /// The high half of a hash above the time; 0 is empty.
  private var slots: [UInt64] = []
  private var time: UInt32 = 0
  private var horizon: UInt32 = 1

  var byteCount: Int { slots.capacity * MemoryLayout<UInt64>.stride }

  /// Makes a table for about `count` ghosts; those that it held are kept.
  mutating func resize(toHold count: Int) {
    var slotCount = Self.bucketCapacity
    while slotCount < count { slotCount *= 2 }
    guard slotCount != slots.count else { return }
    let former = slots
    slots = [UInt64](repeating: 0, count: slotCount)
    // The bucket derives from the half of the hash that is kept.
    for slot in former where slot != 0 { place(slot) }
  }

  /// Remembers a key; `horizon` is the number of later ones after which it is forgotten.
  mutating func add(_ hash: UInt64, horizon: Int) {
    guard !slots.isEmpty else { return }
    time &+= 1
    self.horizon = UInt32(clamping: horizon)
    place(hash & ~0xffff_ffff | UInt64(time))
  }

  /// Whether a key is remembered; it is forgotten by that.
  mutating func take(_ hash: UInt64) -> Bool {
    guard !slots.isEmpty else { return false }
    let first = firstSlot(of: hash)
    for slot in first..<(first + Self.bucketCapacity)
    where slots[slot] != 0 && slots[slot] >> 32 == hash >> 32 {
      let isRecent = age(slots[slot]) < horizon
      slots[slot] = 0
      return isRecent
    }
    return false
  }

  /// Puts a ghost in the place of an empty, equal or, failing that, the oldest one of its bucket.
  private mutating func place(_ ghost: UInt64) {
    let first = firstSlot(of: ghost)
    var oldest = first
    for slot in first..<(first + Self.bucketCapacity) {
      if slots[slot] == 0 || slots[slot] >> 32 == ghost >> 32 {
        oldest = slot
        break
      }
      if age(slots[slot]) > age(slots[oldest]) { oldest = slot }
    }
    slots[oldest] = ghost
  }

  private func firstSlot(of hash: UInt64) -> Int {
    let bucketCount = slots.count / Self.bucketCapacity
    return Int(truncatingIfNeeded: hash >> 32) & (bucketCount - 1) * Self.bucketCapacity
  }

  private func age(_ slot: UInt64) -> UInt32 { time &- UInt32(truncatingIfNeeded: slot) }
}
