import Glibc
import VarveIO

/// What goes wrong on a `SimulatedDevice`, and when.
///
/// A plan is a list of rules; the first that matches a request decides. Occurrences are counted
/// per kind (reads, writes of both kinds together, flushes) from the moment the plan is installed,
/// the first being 0. What a rule leaves open (which sectors land, which bits flip) follows from
/// the seed.
///
///     FaultPlan(seed: 7).failing(.write, at: 3).failingFlush(at: 1, losingData: true)
public struct FaultPlan: Sendable {
  /// When a rule applies.
  public enum Moment: Hashable, Sendable {
    /// To one occurrence of its operation.
    case once(Int)
    /// To that occurrence and every later one.
    case from(Int)
    /// To every request that touches these bytes.
    case touching(Range<UInt64>)
    /// To the first so many requests that touch these bytes: a fault that goes away.
    case touchingTimes(Range<UInt64>, Int)
  }

  package enum Effect: Hashable, Sendable {
    /// The request fails. A write that fails has landed on sectors that the seed chooses.
    case fail(errorNumber: Int32)
    /// A flush fails, and what it was to cover will not be made durable by any later flush.
    case failLosingData(errorNumber: Int32)
    /// A write is acknowledged, and some of its sectors, not all, have landed.
    case tear
    /// A write is acknowledged and lands nowhere.
    case lose
    /// A write is acknowledged and lands somewhere else.
    case misdirect(byteOffset: UInt64)
  }

  package struct Rule: Sendable {
    package let operation: IOOperation
    package let moment: Moment
    package let effect: Effect
  }

  /// What the rules leave open follows from this.
  public let seed: UInt64
  package private(set) var rules: [Rule] = []

  /// A plan without faults.
  public init(seed: UInt64 = 0) { self.seed = seed }

  /// The request fails, with EIO unless told. Of a write that fails, any sectors may have landed.
  public func failing(
    _ operation: IOOperation, _ moment: Moment, errorNumber: Int32 = EIO
  ) -> FaultPlan {
    adding(operation, moment, .fail(errorNumber: errorNumber))
  }

  /// A flush fails with EIO. With `losingData`, later flushes succeed and yet never make durable
  /// what this one was to cover; reads still see it until power is lost.
  public func failingFlush(at occurrence: Int, losingData: Bool) -> FaultPlan {
    adding(
      .flush, .once(occurrence),
      losingData ? .failLosingData(errorNumber: EIO) : .fail(errorNumber: EIO))
  }

  /// A write is acknowledged although only some of its 512-byte sectors land.
  public func tearingWrite(_ moment: Moment) -> FaultPlan { adding(.write, moment, .tear) }

  /// A write is acknowledged although nothing lands.
  public func losingWrite(_ moment: Moment) -> FaultPlan { adding(.write, moment, .lose) }

  /// A write is acknowledged although it lands at `byteOffset`, a multiple of 512.
  public func misdirectingWrite(_ moment: Moment, to byteOffset: UInt64) -> FaultPlan {
    adding(.write, moment, .misdirect(byteOffset: byteOffset))
  }

  /// Writes fail with ENOSPC from that occurrence on: the file system below is full.
  public func full(fromWrite occurrence: Int) -> FaultPlan {
    failing(.write, .from(occurrence), errorNumber: ENOSPC)
  }

  private func adding(
    _ operation: IOOperation, _ moment: Moment, _ effect: Effect
  ) -> FaultPlan {
    var plan = self
    // One name for both kinds of write: a plan does not depend on how a store flushes.
    let kind = operation == .writeDurably ? .write : operation
    plan.rules.append(Rule(operation: kind, moment: moment, effect: effect))
    return plan
  }
}
