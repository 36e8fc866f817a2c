/// Every state that a crash may leave behind, at every point of a history: a sequence of images,
/// made one at a time.
///
/// At each boundary between two events the unsettled writes are, for a power loss, those that no
/// flush has covered, and for a kill those in flight. Where they have few sectors, every subset of
/// the sectors is tried; where there are few writes, every subset of the writes; otherwise none,
/// all, each prefix, each single omission, each alone and some by chance; and the last writes are
/// torn at sectors.
///
/// An image that was given before is left out until the next of the `marks`: what a store must
/// still know changes only where something was promised, which `Oracle.marks` tells.
public struct CrashEnumerator: Sequence, Sendable {
  /// How thoroughly to enumerate.
  public struct Density: Sendable {
    /// Up to so many sectors (or else writes) every subset is tried: 2 to this power.
    public var maximumExhaustiveCount: Int
    /// How many subsets are drawn by chance at each boundary, of each kind.
    public var randomSubsetCount: Int
    /// How many of the last unsettled writes are torn.
    public var tornWriteCount: Int
    /// Gives one image in so many, drawn by chance; 1 gives all.
    public var samplingInterval: Int

    /// The defaults try some dozens of images at a boundary with many unsettled writes.
    public init(
      maximumExhaustiveCount: Int = 6, randomSubsetCount: Int = 3, tornWriteCount: Int = 2,
      samplingInterval: Int = 1
    ) {
      precondition(
        (0...16).contains(maximumExhaustiveCount) && samplingInterval > 0,
        "at most 2^16 subsets, and at least one image in some")
      self.maximumExhaustiveCount = maximumExhaustiveCount
      self.randomSubsetCount = randomSubsetCount
      self.tornWriteCount = tornWriteCount
      self.samplingInterval = samplingInterval
    }
  }

  private let history: History
  private let crash: Crash
  private let marks: Set<Int>
  private let density: Density
  private let seed: UInt64
  private let boundaries: ClosedRange<Int>

  /// Prepares the enumeration; no image is made yet.
  ///
  /// - Parameters:
  ///   - history: What happened.
  ///   - crash: The class of crash.
  ///   - marks: Event counts at which a repeated image is worth another look.
  ///   - boundaries: Crashes only after so many events; nil for every boundary.
  ///   - density: How thorough to be.
  ///   - seed: For what is drawn by chance.
  public init(
    _ history: History, crash: Crash, marks: Set<Int> = [],
    boundaries: ClosedRange<Int>? = nil, density: Density = Density(), seed: UInt64 = 1
  ) {
    self.history = history
    self.crash = crash
    self.marks = marks
    self.density = density
    self.seed = seed
    self.boundaries = (boundaries ?? 0...history.events.count)
      .clamped(to: 0...history.events.count)
  }

  /// Starts from the first boundary.
  public func makeIterator() -> Iterator { Iterator(self) }

  /// Makes one image after the other.
  public struct Iterator: IteratorProtocol {
    private let plan: CrashEnumerator
    private var cache: VolatileCache
    private var random: SeededGenerator
    private var eventIndex = 0
    private var choices: ArraySlice<CrashChoice> = []
    private var hasStarted = false
    private var seen: Set<UInt64> = []

    fileprivate init(_ plan: CrashEnumerator) {
      self.plan = plan
      var initial = plan.history.initial
      initial.trackDigest()
      cache = VolatileCache(image: initial)
      random = SeededGenerator(seed: plan.seed)
    }

    /// The next image, or nil when every boundary is done.
    public mutating func next() -> CrashImage? {
      while true {
        guard let choice = choices.popFirst() else {
          guard advance() else { return nil }
          continue
        }
        let image = image(choice)
        guard let digest = image.digest, seen.insert(digest).inserted else { continue }
        guard random.once(in: plan.density.samplingInterval) else { continue }
        return CrashImage(
          crash: plan.crash, eventIndex: eventIndex, digest: digest,
          summary: "\(plan.crash) after \(eventIndex) events, writes \(choice.summary)",
          image: image)
      }
    }

    /// Goes to the next boundary where something differs and lists its choices.
    private mutating func advance() -> Bool {
      var hasChanged = false
      if hasStarted {
        guard eventIndex < plan.boundaries.upperBound else { return false }
        hasChanged = step()
      } else {
        hasStarted = true
        while eventIndex < plan.boundaries.lowerBound { step() }
        hasChanged = true
      }
      if plan.marks.contains(eventIndex) {
        seen.removeAll(keepingCapacity: true)
        hasChanged = true
      }
      if hasChanged {
        choices =
          plan.density.choices(
            sectorCounts: unsettled.map { $0.landings.reduce(0) { $0 + $1.bytes.count / 512 } },
            random: &random)[...]
      }
      return true
    }

    @discardableResult
    private mutating func step() -> Bool {
      defer { eventIndex += 1 }
      return cache.apply(plan.history.events[eventIndex])
    }

    private var unsettled: ArraySlice<VolatileCache.PendingWrite> {
      plan.crash == .power ? cache.pending[...] : cache.inFlight
    }

    private func image(_ choice: CrashChoice) -> SparseImage {
      var image = plan.crash == .power ? cache.durable : cache.visible
      for (write, flags) in zip(unsettled, choice.sectors) {
        var rest = flags[...]
        for landing in write.landings {
          let sectorCount = landing.bytes.count / 512
          for run in sectorRuns(Array(rest.prefix(sectorCount))) {
            image.write(Array(landing.bytes[run]), at: landing.byteOffset + UInt64(run.lowerBound))
          }
          rest = rest.dropFirst(sectorCount)
        }
      }
      return image
    }
  }
}
