import Glibc
import Testing
import Varve
import VarveIO
import VarveTesting

/// Faults and cancellation over the engines that users run: what the simulated device cannot say.
@Suite struct EngineFaultTests {
  private static let engines: [DeviceEngine] = [.linuxAIO, .threads]

  private func options(_ engine: DeviceEngine) -> DeviceOptions {
    // Small, so that requests also wait for room.
    DeviceOptions(contextCount: 2, queueDepth: 8, threadCount: 4)
  }

  private func opened(
    _ path: String, _ engine: DeviceEngine, faults: FaultPlan = FaultPlan()
  ) async throws -> (Store, FaultyDevice) {
    let opened = try await Devices.open(path, engine: engine, options: options(engine))
    let device = FaultyDevice(opened.device)
    var options = TestingStore.options
    options.cacheEnabled = false
    options.compression = false
    let store = try await Store.open(device: device, options: options)
    device.install(faults)
    return (store, device)
  }

  private static let faults: [FaultPlan] =
    (0..<6).map { FaultPlan(seed: UInt64($0)).failing(.write, .once($0)) }
    + (0..<4).map { FaultPlan().failingFlush(at: $0, losingData: false) }
    + (0..<4).map { FaultPlan().failing(.read, .once($0)) }
    + [
      FaultPlan().failing(.read, .from(0)), FaultPlan().failing(.write, .from(3)),
      FaultPlan().full(fromWrite: 2),
    ]

  /// Whatever request fails: what was acknowledged as durable is there in the next open, what was
  /// refused is there or not, and nothing else is.
  @Test(arguments: engines) func errorsAtEachPoint(engine: DeviceEngine) async throws {
    for (number, plan) in Self.faults.enumerated() {
      try await API.withPath { path in
        try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
        let (store, _) = try await opened(path, engine, faults: plan)
        var acknowledged: [String: UInt8] = [:]
        var tried: [String: Set<UInt8>] = [:]
        var errors = 0
        for round in 0..<30 as Range<UInt8> {
          let key = "k\(round % 7)"
          tried[key, default: []].insert(round)
          do {
            try await store.put(key, [UInt8](repeating: round, count: 3000))
            acknowledged[key] = round
            tried[key] = [round]
          } catch { errors += 1 }
          do { _ = try await store.get("k\(round / 2 % 7)") } catch { errors += 1 }
        }
        // A failing read is tried again, a failing write goes elsewhere; else somebody hears of it.
        if case 6..<10 = number { #expect(errors > 0, "fault \(number)") }
        if number >= 14 { #expect(errors > 0, "fault \(number)") }
        try? await store.close()

        let (later, _) = try await opened(path, engine)
        for (key, candidates) in tried {
          let value = try await later.get(key)?.value
          #expect(value == nil || value?.count == 3000)
          #expect(value != nil || acknowledged[key] == nil, "fault \(number): \(key) is lost")
          #expect(value.map { candidates.contains($0[0]) } ?? true, "fault \(number): \(key)")
        }
        try await later.close()
      }
    }
  }

  /// Torn, lost and misdirected writes that were acknowledged are found by their checksums.
  @Test(arguments: engines) func aLyingDeviceIsFoundOut(engine: DeviceEngine) async throws {
    let lies = [
      FaultPlan(seed: 3).tearingWrite(.from(0)), FaultPlan().losingWrite(.from(0)),
      FaultPlan().misdirectingWrite(.from(0), to: 3 << 20),
    ]
    for (number, lie) in lies.enumerated() {
      try await API.withPath { path in
        try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
        let (store, device) = try await opened(path, engine)
        try await store.put("a", [UInt8](repeating: 1, count: 10_000))
        device.install(lie)
        try await store.put("b", [UInt8](repeating: 2, count: 10_000))
        #expect(await API.code { _ = try await store.get("b") } == .corrupt, "lie \(number)")
        #expect(try await store.get("a")?.value.count == 10_000)
        try await store.close()
      }
    }
  }

  /// Tasks that leave while their reads are in flight take nothing along that the kernel writes to.
  @Test(arguments: engines)
  func cancellationWithRequestsInFlight(engine: DeviceEngine) async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 16 << 20))
      let (store, _) = try await opened(path, engine)
      let keyCount = 500
      for number in 0..<keyCount {
        let value = [UInt8](repeating: UInt8(number % 251), count: 2000 + number)
        try await store.put("\(number)", value, durability: .buffered)
      }
      try await store.sync()
      var cancelledCount = 0
      for round in 0..<20 {
        let gets = (0..<100).map { index in
          let number = (round * 37 + index * 7) % keyCount
          return (number, Task { try await store.get("\(number)") })
        }
        for (position, get) in gets.enumerated() where (position + round) % 3 == 0 {
          get.1.cancel()
        }
        for (number, get) in gets {
          do {
            let value = try await get.value?.value
            #expect(value == [UInt8](repeating: UInt8(number % 251), count: 2000 + number))
          } catch let error as StoreError {
            #expect(error.code == .cancelled)
            cancelledCount += 1
          }
        }
      }
      #expect(cancelledCount > 0)
      // Closed with abandoned reads in flight.
      let abandoned = (0..<keyCount).map { number in Task { try await store.get("\(number)") } }
      for get in abandoned { get.cancel() }
      try await store.close()
      for get in abandoned {
        let code = await API.code { _ = try await get.value }
        #expect(code == nil || code == .cancelled || code == .closed)
      }
    }
  }
}
