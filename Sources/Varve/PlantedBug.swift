#if VARVE_PLANTED_BUGS
  import Glibc
#endif

/// A bug that other stores shipped, to be planted where this store has its guard: the proof that
/// the tests would catch it. `Tools/plant` plants one after the other and runs the tests.
///
/// Only a build with the condition `VARVE_PLANTED_BUGS`, which nothing but that script sets, can
/// have one; elsewhere `isPlanted` is the constant false, and the compiler drops what it guards.
enum PlantedBug: Int {
  /// 1: a tombstone dies although a segment still has an older record of its key.
  case forgottenOlderRecord = 1
  /// 2: in recovery the copy in the segment that is met last wins, whatever its sequence number.
  case lastCopyWins
  /// 3: what was live when a victim was read is copied without asking again.
  case copiesUnasked
  /// 4: an address counts, also one in a checkpoint, whatever its segment has become.
  case generationIgnored
  /// 5: the index is swung to a copy whatever it has come to name.
  case swingsBlindly
  /// 6: a victim that is being moved is chosen again.
  case victimShared
  /// 7: what a crash left of a compaction stays open, where no sweep looks at it.
  case leftoversForgotten
  /// 8: a victim is freed once it has been gone through, whatever could not be read of it.
  case unreadableFreed
  /// 9: the tombstone that takes the place of an expired record does so whatever is there.
  case expiresBlindly
  /// 10: an address means a page and not a record of it.
  case pageForRecord
  /// 11: of the frames behind a write that failed, those of later writes stay where they are.
  case laterFramesStay
  /// 12: recovery serves what it found without a flush.
  case servesUnflushed
  /// 13: tombstones never die.
  case immortalTombstones
  /// 14: a scan takes a record that has moved for one that is gone.
  case movedIsGone

  /// Whether this process has it.
  @inline(__always)
  var isPlanted: Bool {
    #if VARVE_PLANTED_BUGS
      PlantedBug.number == rawValue
    #else
      false
    #endif
  }

  #if VARVE_PLANTED_BUGS
    /// The one that the environment names; 0 for none.
    private static let number =
      unsafe getenv("VARVE_PLANTED_BUG").flatMap {
        // SAFETY: getenv returns a string that ends.
        Int(unsafe String(cString: $0))
      } ?? 0
  #endif
}
