import Synchronization

/// Hands out places in a region: pages at random, none twice until all have had their turn; blocks
/// in order, from a random one on. One source serves a whole run, so that no measurement finds in a
/// cache what the one before it has read.
public final class AddressSource: Sendable {
  private let region: DataRegion
  private let permutation: PagePermutation
  private let firstBlock: UInt64
  private let dealtPageCount = Atomic<UInt64>(0)
  private let dealtBlockCount = Atomic<UInt64>(0)

  /// A source with an order of its own; the region has at least one page.
  public init(_ region: DataRegion, seed: UInt64 = Random.seed()) {
    self.region = region
    permutation = PagePermutation(count: region.pageCount, seed: seed)
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

  /// Where the next block lies; the region has at least one.
  public func nextBlock() -> UInt64 {
    let index = dealtBlockCount.wrappingAdd(1, ordering: .relaxed).oldValue
    return region.byteOffset(ofBlock: (firstBlock + index) % region.blockCount)
  }
}
