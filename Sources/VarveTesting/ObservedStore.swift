import Varve

/// A store on a simulated device whose every operation is told to an oracle, before and after: use
/// it in place of the store, then let the oracle judge what crashes leave behind.
public final class ObservedStore: Sendable {
  /// The store itself, for reads.
  public let store: Store
  /// What it has promised.
  public let oracle: Oracle
  private let device: SimulatedDevice

  /// Observes a store that was opened on `device`.
  public init(_ store: Store, on device: SimulatedDevice, oracle: Oracle = Oracle()) {
    self.store = store
    self.device = device
    self.oracle = oracle
  }

  /// Sets the value of a key.
  ///
  /// - Throws: what the store throws.
  @discardableResult
  public func put(
    _ key: [UInt8], _ value: [UInt8], durability: Durability = .durable
  ) async throws(StoreError) -> UInt64 {
    let ticket = begin([.put(key, value)], durability)
    do {
      let sequence = try await store.put(key, value, durability: durability)
      oracle.acknowledge(ticket, sequence: sequence, eventCount: device.eventCount)
      return sequence
    } catch {
      throw failed(ticket, error)
    }
  }

  /// Sets the value of a key if the condition holds.
  ///
  /// - Throws: what the store throws.
  @discardableResult
  public func put(
    _ key: [UInt8], _ value: [UInt8], condition: WriteCondition,
    durability: Durability = .durable
  ) async throws(StoreError) -> WriteOutcome {
    let ticket = begin([.put(key, value)], durability)
    do {
      let outcome = try await store.put(
        key, value, condition: condition, durability: durability)
      switch outcome {
      case .applied(let sequence):
        oracle.acknowledge(ticket, sequence: sequence, eventCount: device.eventCount)
      case .refused(let standing):
        oracle.refuse(ticket, standing: standing, eventCount: device.eventCount)
      }
      return outcome
    } catch {
      throw failed(ticket, error)
    }
  }

  /// Removes a key.
  ///
  /// - Throws: what the store throws.
  @discardableResult
  public func delete(
    _ key: [UInt8], durability: Durability = .durable
  ) async throws(StoreError) -> UInt64? {
    let ticket = begin([.delete(key)], durability)
    do {
      let sequence = try await store.delete(key, durability: durability)
      oracle.acknowledge(ticket, sequence: sequence, eventCount: device.eventCount)
      return sequence
    } catch {
      throw failed(ticket, error)
    }
  }

  /// Applies a batch.
  ///
  /// - Throws: what the store throws.
  @discardableResult
  public func write(
    _ changes: [Oracle.Change], durability: Durability = .durable
  ) async throws(StoreError) -> BatchOutcome {
    var batch = Batch()
    for change in changes {
      switch change {
      case .put(let key, let value): batch.put(key, value)
      case .delete(let key): batch.delete(key)
      }
    }
    let ticket = begin(changes, durability)
    do {
      let outcome = try await store.write(batch, durability: durability)
      switch outcome {
      case .applied(let sequence):
        oracle.acknowledge(ticket, sequence: sequence, eventCount: device.eventCount)
      case .refused: oracle.refuse(ticket, eventCount: device.eventCount)
      }
      return outcome
    } catch {
      throw failed(ticket, error)
    }
  }

  /// Makes durable what was acknowledged.
  ///
  /// - Throws: what the store throws.
  public func sync() async throws(StoreError) {
    let ticket = oracle.beginSync(eventCount: device.eventCount)
    do {
      try await store.sync()
      oracle.acknowledge(ticket, sequence: nil, eventCount: device.eventCount)
    } catch {
      throw failed(ticket, error)
    }
  }

  /// Closes the store, which promises what `sync` does.
  ///
  /// - Throws: what the store throws.
  public func close() async throws(StoreError) {
    let ticket = oracle.beginSync(eventCount: device.eventCount)
    do {
      try await store.close()
      oracle.acknowledge(ticket, sequence: nil, eventCount: device.eventCount)
    } catch {
      throw failed(ticket, error)
    }
  }

  private func begin(_ changes: [Oracle.Change], _ durability: Durability) -> Oracle.Ticket {
    oracle.begin(changes, level: durability, eventCount: device.eventCount)
  }

  /// Only `indeterminate` leaves open whether the operation happened; every other error says that
  /// it did not.
  private func failed(_ ticket: Oracle.Ticket, _ error: StoreError) -> StoreError {
    if error.code == .indeterminate {
      oracle.lose(ticket, eventCount: device.eventCount)
    } else {
      oracle.refuse(ticket, eventCount: device.eventCount)
    }
    return error
  }
}
