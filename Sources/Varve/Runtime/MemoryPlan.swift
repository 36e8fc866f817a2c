#if canImport(Glibc)
  import Glibc
#endif
import VarveIO

/// How the memory budget is divided: write buffers and reads take a fixed part, the index what it
/// needs, the cache what is left.
struct MemoryPlan {
  /// The whole budget, in bytes.
  let budget: Int
  /// What is known of every segment, as many as there were when the store was opened.
  let segmentsByteCount: Int
  /// The bound of the memory of frames.
  let bufferByteLimit: Int
  /// The bound of the memory that records are read into.
  let readByteLimit: Int
  /// The bound of the memory that compaction reads records into and writes them from.
  let compactionByteLimit: Int
  /// The bound of the index.
  let indexByteLimit: Int

  /// Less than this runs no store: buffers, summaries of open segments, a small index.
  static let minimumByteCount = 8 << 20

  /// The least and the most that frames may take.
  static let bufferByteBounds = 2 << 20...8 << 20

  /// Less than this keeps no device busy.
  static let minimumReadByteCount = 1 << 20

  /// The least and the most that compaction may take.
  static let compactionByteBounds = 512 << 10...8 << 20

  /// What the table and the counts of one segment take, rounded up.
  static let byteCountPerSegment = 128

  /// What must be held whatever is in the store may take one part of the budget in so many.
  static let segmentsShare = 4

  init(budget: Int?, segmentCount: UInt32) throws(StoreError) {
    let budget = budget ?? MemoryPlan.defaultBudget()
    let segmentsByteCount = Int(segmentCount) * MemoryPlan.byteCountPerSegment
    let needed = max(
      MemoryPlan.minimumByteCount, segmentsByteCount * MemoryPlan.segmentsShare)
    guard budget >= needed else {
      throw StoreError(
        .resource,
        "a store of \(segmentCount) segments needs a memory budget of at least "
          + "\(MemoryPlan.mebibytes(needed)) (\(needed) bytes), not \(budget) bytes: raise it")
    }
    self.budget = budget
    self.segmentsByteCount = segmentsByteCount
    let bounds = MemoryPlan.bufferByteBounds
    bufferByteLimit = min(max(bounds.lowerBound, budget / 8), bounds.upperBound)
    readByteLimit = max(MemoryPlan.minimumReadByteCount, budget / 32)
    compactionByteLimit = min(
      max(MemoryPlan.compactionByteBounds.lowerBound, budget / 32),
      MemoryPlan.compactionByteBounds.upperBound)
    let restByteCount = budget / 32 + segmentsByteCount
    indexByteLimit =
      budget - bufferByteLimit - readByteLimit - compactionByteLimit - restByteCount
  }

  /// Bytes left for the cache while the index takes `indexByteCount` and there are `segmentCount`
  /// segments, more than the plan was made for where the store has grown.
  func cacheByteLimit(indexByteCount: Int, segmentCount: Int) -> Int {
    let addedByteCount = segmentCount * MemoryPlan.byteCountPerSegment - segmentsByteCount
    return max(0, indexByteLimit - indexByteCount - max(0, addedByteCount))
  }

  /// The most segments that a store may have within this budget.
  var segmentLimit: Int {
    budget / MemoryPlan.segmentsShare / MemoryPlan.byteCountPerSegment
  }

  /// Shards of an index of this budget: at most 16 K entries each when it is full.
  var shardCount: Int {
    RecordIndex.shardCount(forKeyCountUpTo: indexByteLimit / 20)
  }

  /// A quarter of what the machine and the control groups of the process allow, at most 1 GiB.
  /// `root` stands before `/proc` and `/sys`.
  static func defaultBudget(root: String = "") -> Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    let machine = pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : 1 << 30
    let available = min(machine, ControlGroup.memoryByteLimit(root: root) ?? machine)
    return max(MemoryPlan.minimumByteCount, min(available / 4, 1 << 30))
  }

  /// A budget as people give one: rounded up, so that as much suffices.
  static func mebibytes(_ byteCount: Int) -> String { "\((byteCount + ((1 << 20) - 1)) >> 20) MiB" }
}
