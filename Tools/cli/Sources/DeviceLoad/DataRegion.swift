/// The parts of a file or device that hold data: what reads are measured on. Holes, unwritten
/// extents and pages of zeros are answered without a disk, and would flatter it.
public struct DataRegion: Sendable {
  /// Bytes that follow each other; both are multiples of 4096.
  public struct Run: Hashable, Sendable {
    /// Where it begins.
    public var byteOffset: UInt64
    /// How long it is.
    public var byteCount: UInt64

    /// A run.
    public init(byteOffset: UInt64, byteCount: UInt64) {
      self.byteOffset = byteOffset
      self.byteCount = byteCount
    }
  }

  /// The bytes of a request that reads at random.
  public static let pageByteCount = 4096
  /// The bytes of a request that reads in order.
  public static let blockByteCount = 1 << 20

  /// The runs, in the order of their offsets, none touching the next.
  public let runs: [Run]
  /// All bytes of the region.
  public let byteCount: UInt64
  private let pages: Units
  private let blocks: Units

  /// A region of these runs, which are joined where they touch.
  public init(_ runs: [Run]) {
    var joined: [Run] = []
    for run in runs.sorted(by: { $0.byteOffset < $1.byteOffset }) where run.byteCount > 0 {
      if let last = joined.last, last.byteOffset + last.byteCount == run.byteOffset {
        joined[joined.count - 1].byteCount += run.byteCount
      } else {
        joined.append(run)
      }
    }
    self.runs = joined
    byteCount = joined.reduce(0) { $0 + $1.byteCount }
    pages = Units(joined, byteCount: UInt64(Self.pageByteCount))
    blocks = Units(joined, byteCount: UInt64(Self.blockByteCount))
  }

  /// How many pages of 4096 bytes there are.
  public var pageCount: UInt64 { pages.count }
  /// How many whole blocks of 1 MiB there are.
  public var blockCount: UInt64 { blocks.count }

  /// Where a page lies.
  public func byteOffset(ofPage index: UInt64) -> UInt64 { byteOffset(index, pages) }

  /// Where a block lies.
  public func byteOffset(ofBlock index: UInt64) -> UInt64 { byteOffset(index, blocks) }

  /// How many pieces of one length the runs hold, up to each of them.
  private struct Units: Sendable {
    let byteCount: UInt64
    var firstIndexes: [UInt64] = []
    var count: UInt64 = 0

    init(_ runs: [Run], byteCount: UInt64) {
      self.byteCount = byteCount
      for run in runs {
        firstIndexes.append(count)
        count += run.byteCount / byteCount
      }
    }
  }

  private func byteOffset(_ index: UInt64, _ units: Units) -> UInt64 {
    precondition(index < units.count, "the region has as many pieces as it says")
    // The last run that begins at or before the piece; one without whole pieces is passed over,
    // since the next begins at the same index.
    var (low, high) = (0, units.firstIndexes.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if units.firstIndexes[middle] <= index { low = middle } else { high = middle }
    }
    return runs[low].byteOffset + (index - units.firstIndexes[low]) * units.byteCount
  }
}
