import Measuring
import Synchronization

/// Hands out places in a region: pages at random, none twice until all have had their turn; blocks
/// in order, from a random one on. One source serves a whole run, so that no measurement finds in a
/// cache what the one before it has read.
public final class AddressSource: Sendable {
  private let region: DataRegion
  private let permutation: Permutation
  private let firstBlock: UInt64
  private let dealtPageCount = Atomic<UInt64>(0)
  private let dealtBlockCount = Atomic<UInt64>(0)

  /// A source with an order of its own; the region has at least one page.
  public init(_ region: DataRegion, seed: UInt64 = Random.seed()) {
    self.region = region
    permutation = Permutation(count: region.pageCount, seed: seed)
    firstBlock = region.blockCount > 0 ? Random.mix(seed) % region.blockCount : 0
  }

  /// How often each page has been handed out, at least once more or less.
  public var roundCount: Double {
    Double(dealtPageCount.load(ordering: .relaxed)) / Double(region.pageCount)
  }

  /// Where the next page lies.
  public func nextPage() -> UInt64 {
    let index = dealtPageCount.wrappingAdd(1, ordering: .relaxed).oldValue
    return region.byteOffset(ofPage: permutation[index])
  }

  /// Pages for one task, which takes so many at a time: if all took each page from here, the cores
  /// would wait for each other.
  public func hand() -> PageHand { PageHand(self) }

  fileprivate static let handCount: UInt64 = 32

  /// A task's pages.
  public struct PageHand {
    private let source: AddressSource
    private let region: DataRegion
    private let permutation: Permutation
    private var indices: Range<UInt64> = 0..<0

    fileprivate init(_ source: AddressSource) {
      self.source = source
      region = source.region
      permutation = source.permutation
    }

    /// Where the next page lies.
    public mutating func nextPage() -> UInt64 {
      if indices.isEmpty {
        let first = source.dealtPageCount.wrappingAdd(handCount, ordering: .relaxed).oldValue
        indices = first..<first + handCount
      }
      return region.byteOffset(ofPage: permutation[indices.removeFirst()])
    }
  }

  /// Where the next block lies; the region has at least one.
  public func nextBlock() -> UInt64 {
    let index = dealtBlockCount.wrappingAdd(1, ordering: .relaxed).oldValue
    return region.byteOffset(ofBlock: (firstBlock + index) % region.blockCount)
  }
}
