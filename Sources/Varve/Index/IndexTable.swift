// One shard's table: 64-byte buckets of four entries (four fingerprints, then their four location
// words), open addressing over buckets with Robin Hood order, so that hits stay short at a load of
// 15/16 and a miss ends early.
//
// Invariants
// - A location word of 0 is an empty slot; the used slots of a bucket come first.
// - An entry stands d >= 0 buckets after its home (cyclically), and the d buckets before its own,
//   from its home on, are full.
// - Those d buckets hold no entry with a home later than its own.
// The second makes a bucket with an empty slot the end of a search, the third one with a later
// home. Removing shifts entries back, so there are no tombstones; every loop is bounded by the
// number of buckets.

/// An entry of the index.
package struct IndexEntry: Hashable, Sendable {
  /// The low word of the keyed hash of the key.
  package let fingerprint: UInt64
  /// Where the record lies, and its flags; never 0.
  package let locationWord: UInt64

  /// Puts an entry together.
  package init(fingerprint: UInt64, locationWord: UInt64) {
    self.fingerprint = fingerprint
    self.locationWord = locationWord
  }
}

/// A table of buckets in memory that somebody else owns. Mutation is for the owner of the shard.
@safe struct IndexTable: @unchecked Sendable {
  // SAFETY: `words` leads to `bucketCount * 8` words that live as long as the shard holds the
  // table, and the shard's lock orders all access; bucket numbers are below `bucketCount`.

  /// Where an entry was found.
  struct Slot {
    let bucket: Int
    let lane: Int
  }

  static let entriesPerBucket = 4
  static let bucketByteCount = 64
  /// An entry that stands this far from home makes a table grow that is at least half full.
  static let comfortableDistance = 32

  let words: UnsafeMutablePointer<UInt64>
  let bucketCount: Int

  /// Takes zeroed memory as an empty table.
  init(_ block: PageArena.Block) {
    bucketCount = block.byteCount / Self.bucketByteCount
    unsafe words = block.base.bindMemory(to: UInt64.self, capacity: bucketCount * 8)
  }

  /// The memory, to be freed.
  var block: PageArena.Block {
    unsafe PageArena.Block(
      base: UnsafeMutableRawPointer(words), byteCount: bucketCount * Self.bucketByteCount)
  }

  /// The most entries in a table of `bucketCount` buckets: 15/16 of its slots, and never all, since
  /// searching and shifting end at an empty slot.
  static func maximumEntryCount(bucketCount: Int) -> Int {
    bucketCount == 0 ? 0 : bucketCount * 4 - max(1, bucketCount / 4)
  }

  // MARK: Search

  /// The slot of `fingerprint`, if it is there.
  @inline(__always)
  func find(_ fingerprint: UInt64) -> Slot? {
    var bucket = home(of: fingerprint)
    for distance in 0..<bucketCount {
      for lane in 0..<4 where unsafe bucketWords(bucket)[lane] == fingerprint {
        // An empty slot keeps no fingerprint of its own: the word decides.
        guard unsafe bucketWords(bucket)[4 + lane] != 0 else { return nil }
        return Slot(bucket: bucket, lane: lane)
      }
      guard isFull(bucket), !holdsLaterHome(bucket, than: distance) else { return nil }
      bucket = following(bucket)
    }
    return nil
  }

  /// The location word in a slot.
  @inline(__always)
  func word(at slot: Slot) -> UInt64 { unsafe bucketWords(slot.bucket)[4 + slot.lane] }

  /// Overwrites the location word in a slot; `word` is not 0.
  @inline(__always)
  func setWord(_ word: UInt64, at slot: Slot) {
    unsafe bucketWords(slot.bucket)[4 + slot.lane] = word
  }

  // MARK: Change

  /// Inserts an entry whose fingerprint is absent, into a table with an empty slot. Returns the
  /// furthest that an entry it placed stands from home.
  func insert(_ entry: IndexEntry) -> Int {
    var carried = entry
    var bucket = home(of: carried.fingerprint)
    var distance = 0
    var furthest = 0
    // Each pass moves one bucket on, and home lies at most `bucketCount` behind.
    for _ in 0..<bucketCount * 2 {
      let lane = usedLaneCount(bucket)
      if lane < 4 {
        unsafe store(carried, in: bucketWords(bucket), lane: lane)
        return max(furthest, distance)
      }
      let nearest = nearestLane(of: bucket)
      if nearest.distance < distance {
        let evicted = unsafe load(bucketWords(bucket), lane: nearest.lane)
        unsafe store(carried, in: bucketWords(bucket), lane: nearest.lane)
        furthest = max(furthest, distance)
        carried = evicted
        distance = nearest.distance
      }
      bucket = following(bucket)
      distance += 1
    }
    preconditionFailure("an entry was inserted into a full table")
  }

  /// Removes the entry in a slot and closes the gap.
  func remove(at slot: Slot) {
    var gap = slot
    // Bounded: a pass moves the gap on by one bucket, and stops at the first that was not full or
    // that holds nobody who would rather stand one bucket earlier.
    for _ in 0..<bucketCount {
      let wasFull = isFull(gap.bucket)
      let next = following(gap.bucket)
      guard wasFull, next != gap.bucket, let lane = furthestLane(of: next) else {
        closeGap(gap)
        return
      }
      unsafe store(load(bucketWords(next), lane: lane), in: bucketWords(gap.bucket), lane: gap.lane)
      gap = Slot(bucket: next, lane: lane)
    }
    closeGap(gap)
  }

  /// Calls `body` with each entry, in the order of the buckets.
  @inline(__always)
  func forEach(_ body: (IndexEntry) -> Void) {
    for bucket in 0..<bucketCount {
      for lane in 0..<usedLaneCount(bucket) {
        body(unsafe load(bucketWords(bucket), lane: lane))
      }
    }
  }

  // MARK: Buckets

  /// Multiply-shift: monotone in the fingerprint, for any number of buckets.
  @inline(__always)
  private func home(of fingerprint: UInt64) -> Int {
    Int(truncatingIfNeeded: fingerprint.multipliedFullWidth(by: UInt64(bucketCount)).high)
  }

  @inline(__always)
  private func distance(of fingerprint: UInt64, in bucket: Int) -> Int {
    let difference = bucket - home(of: fingerprint)
    return difference >= 0 ? difference : difference + bucketCount
  }

  @inline(__always)
  private func following(_ bucket: Int) -> Int { bucket + 1 == bucketCount ? 0 : bucket + 1 }

  @inline(__always)
  private func bucketWords(_ bucket: Int) -> UnsafeMutablePointer<UInt64> {
    unsafe words + bucket * 8
  }

  @inline(__always)
  private func isFull(_ bucket: Int) -> Bool { unsafe bucketWords(bucket)[7] != 0 }

  @inline(__always)
  private func usedLaneCount(_ bucket: Int) -> Int {
    var count = 0
    while count < 4, unsafe bucketWords(bucket)[4 + count] != 0 { count += 1 }
    return count
  }

  /// Whether a full bucket holds an entry that stands nearer to its home than `distance`.
  @inline(__always)
  private func holdsLaterHome(_ bucket: Int, than distance: Int) -> Bool {
    guard distance > 0 else { return false }
    for lane in 0..<4
    where self.distance(of: unsafe bucketWords(bucket)[lane], in: bucket) < distance {
      return true
    }
    return false
  }

  /// Of a full bucket: the lane whose entry stands nearest to its home.
  @inline(__always)
  private func nearestLane(of bucket: Int) -> (lane: Int, distance: Int) {
    var nearest = (lane: 0, distance: Int.max)
    for lane in 0..<4 {
      let distance = distance(of: unsafe bucketWords(bucket)[lane], in: bucket)
      if distance < nearest.distance { nearest = (lane, distance) }
    }
    return nearest
  }

  /// The lane whose entry stands furthest from its home, if any does not stand at home.
  private func furthestLane(of bucket: Int) -> Int? {
    var furthest: Int?
    var furthestDistance = 0
    for lane in 0..<usedLaneCount(bucket) {
      let distance = distance(of: unsafe bucketWords(bucket)[lane], in: bucket)
      if distance > furthestDistance {
        furthest = lane
        furthestDistance = distance
      }
    }
    return furthest
  }

  /// Moves the last entry of the bucket into the gap.
  private func closeGap(_ gap: Slot) {
    let last = usedLaneCount(gap.bucket) - 1
    let place = unsafe bucketWords(gap.bucket)
    unsafe store(load(place, lane: last), in: place, lane: gap.lane)
    unsafe store(IndexEntry(fingerprint: 0, locationWord: 0), in: place, lane: last)
  }

  @inline(__always)
  private func load(_ place: UnsafeMutablePointer<UInt64>, lane: Int) -> IndexEntry {
    unsafe IndexEntry(fingerprint: place[lane], locationWord: place[4 + lane])
  }

  @inline(__always)
  private func store(
    _ entry: IndexEntry, in place: UnsafeMutablePointer<UInt64>, lane: Int
  ) {
    unsafe place[lane] = entry.fingerprint
    unsafe place[4 + lane] = entry.locationWord
  }

  // MARK: Checks

  /// Traps unless the invariants hold; returns the number of entries and their summed distance.
  func checkInvariants() -> (entryCount: Int, totalDistance: Int) {
    var entryCount = 0
    var totalDistance = 0
    for bucket in 0..<bucketCount {
      let used = usedLaneCount(bucket)
      for lane in used..<4 {
        let entry = unsafe load(bucketWords(bucket), lane: lane)
        precondition(entry.locationWord == 0 && entry.fingerprint == 0, "a gap in a bucket")
      }
      for lane in 0..<used {
        let entry = unsafe load(bucketWords(bucket), lane: lane)
        let slot = find(entry.fingerprint)
        precondition(slot?.bucket == bucket && slot?.lane == lane, "an entry cannot be found")
        totalDistance += distance(of: entry.fingerprint, in: bucket)
      }
      entryCount += used
    }
    return (entryCount, totalDistance)
  }
}
