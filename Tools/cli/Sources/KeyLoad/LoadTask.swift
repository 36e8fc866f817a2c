import Measuring

/// One of the tasks that put and get, one operation after the other. The same code drives Varve and
/// every peer.
struct LoadTask<Store: LoadedStore>: Sendable {
  /// How long the operations of a task took.
  struct Outcome: Sendable {
    var puts = Latencies()
    var gets = Latencies()
  }

  let store: Store
  let choice: KeyChoice
  let readShare: Double
  let progress: LoadProgress
  let tally: LoadProgress.Tally
  let seed: UInt64

  func run() async -> Outcome {
    var outcome = Outcome()
    do {
      try await operate(&outcome)
    } catch {
      progress.fail(LoadFailure(error))
    }
    return outcome
  }

  /// The clock is read once for each operation, so that latencies include making the key: some
  /// 20 ns, or 100 where the choice is zipfian.
  private func operate(_ outcome: inout Outcome) async throws {
    var random = Random(state: seed)
    var records = RecordSource(seed: random.next())
    var start = MonotonicClock.nanoseconds()
    while let operations = progress.take() {
      for operation in operations {
        let number = choice.next(operation: operation, &random)
        records.setKey(number)
        let isGet = readShare > 0 && random.nextUnit() < readShare
        if isGet {
          try await Self.get(number, records, store)
          tally.addGet()
        } else {
          let value = records.setValue(number, &random)
          // SAFETY: the bytes are integers, and are lent for the call alone.
          unsafe try await store.put(
            records.key.span.bytes, records.pool.span.bytes.extracting(value))
          tally.addPut()
        }
        let now = MonotonicClock.nanoseconds()
        if isGet { outcome.gets.record(now - start) } else { outcome.puts.record(now - start) }
        start = now
      }
    }
  }

  /// Reads a key that is there, and judges its value.
  static func get(_ number: UInt64, _ records: RecordSource, _ store: Store) async throws {
    // SAFETY: the bytes are integers, and are lent for the call alone.
    let isRight = unsafe try await store.get(records.key.span.bytes) { value in
      RecordSource.isValue(value, of: number)
    }
    guard let isRight else {
      throw LoadFailure(code: "wrong", message: "key \(number) is missing")
    }
    guard isRight else {
      throw LoadFailure(code: "wrong", message: "key \(number) has a value of another key")
    }
  }
}
