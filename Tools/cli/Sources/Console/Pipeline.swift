/// Many jobs at once, with a bound on their number and on the bytes that they hold.
public enum Pipeline {
  /// Enough to fill the group commit and the device.
  public static let maximumJobCount = 256
  /// The values in memory at once; a larger one runs alone.
  public static let maximumByteCount = 64 << 20

  /// A job: what to do, the bytes that it will hold, and its key. Two jobs with one key never run
  /// at once, so that the later one wins.
  public struct Job<Work: Sendable>: Sendable {
    /// What to do.
    public let work: Work
    /// The bytes that it will hold.
    public let byteCount: Int
    /// What it writes or reads.
    public let key: [UInt8]

    /// Describes a job.
    public init(work: Work, byteCount: Int, key: [UInt8]) {
      self.work = work
      self.byteCount = byteCount
      self.key = key
    }
  }

  /// Runs jobs until `next` returns nil, and hands each outcome to `take`, in the order in which
  /// they end. After an error no job is begun; those that run are finished, then it is thrown.
  ///
  /// - Throws: the first error of `next`, `perform` or `take`.
  public static func run<Work: Sendable, Outcome: Sendable>(
    next: () throws -> Job<Work>?,
    perform: @escaping @Sendable (Job<Work>) async throws -> Outcome,
    take: (Outcome) throws -> Void
  ) async throws {
    typealias Ended = (job: Job<Work>, result: Result<Outcome, any Error>)
    try await withTaskGroup(of: Ended.self, returning: Result<Void, any Error>.self) { group in
      var byteCount = 0
      var keys = Set<[UInt8]>()
      var failure: (any Error)?
      func settle(_ ended: Ended?) {
        guard let ended else { return }
        keys.remove(ended.job.key)
        byteCount -= ended.job.byteCount
        do {
          try take(ended.result.get())
        } catch {
          failure = failure ?? error
        }
      }
      do {
        while failure == nil, let job = try next() {
          while keys.contains(job.key) || keys.count >= maximumJobCount
            || (!keys.isEmpty && byteCount + job.byteCount > maximumByteCount)
          {
            settle(await group.next())
          }
          keys.insert(job.key)
          byteCount += job.byteCount
          group.addTask {
            do {
              return (job, .success(try await perform(job)))
            } catch {
              return (job, .failure(error))
            }
          }
        }
      } catch {
        failure = failure ?? error
      }
      while let ended = await group.next() { settle(ended) }
      return failure.map { .failure($0) } ?? .success(())
    }.get()
  }
}
