import Glibc
import Testing
import Varve
import VarveIO
import VarveTesting

/// From create to close: locks, what closing finishes, and stores that are not closed.
@Suite(.timeLimit(.minutes(10))) struct APILifetimeTests {
  private var options: StoreOptions { TestingStore.options }

  @Test func closingTwiceAndAtOnce() async throws {
    let device = HoldingDevice(try await API.formatted())
    let store = try await Store.open(device: device, options: options)
    try await store.put("k", "1", durability: .buffered)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 { group.addTask { try await store.close() } }
      try await group.waitForAll()
    }
    #expect(device.isClosed)
    try await store.close()
    let later = try await Store.open(device: device.base.copy(), options: options)
    #expect(later.recoveryReport.outcome == .clean)
    #expect(try await later.get("k")?.text == "1")
    try await later.close()
  }

  @Test func aClosedStoreDoesNothing() async throws {
    let store = try await TestingStore().store
    try await store.put("k", "1")
    try await store.close()
    let calls: [() async throws -> Void] = [
      { try await store.put("k", "2") },
      { _ = try await store.put("k", "2", condition: .ifAbsent) },
      { try await store.delete("k") },
      { try await store.update("k") { _ in .keep } },
      { _ = try await store.write(Batch()) },
      { _ = try await store.get("k") },
      { _ = try await store.multiGet(["k"]) },
      { _ = try await store.contains("k") },
      { for try await _ in store.records {} },
      { try await store.sync() },
      { try await store.checkpoint() },
    ]
    for (number, call) in calls.enumerated() {
      #expect(await API.code(call) == .closed, "call \(number)")
    }
    for await event in store.events { Issue.record("\(event) after the end") }
    #expect(store.statistics.lastSequence == 1)
  }

  @Test func closingFinishesWhatWasAccepted() async throws {
    let device = HoldingDevice(try await API.formatted())
    let store = try await Store.open(device: device, options: options)
    try await store.put("first", "1")
    device.hold([.write, .flush])
    let puts = (0..<20).map { number in Task { try await store.put("\(number)", "1") } }
    await API.until { store.statistics.lastSequence == 21 }
    let close = Task { try await store.close() }
    // New work is refused as soon as closing has begun, and the device still holds the old.
    var code: StoreError.Code?
    while code == nil {
      code = await API.code { _ = try await store.get("19") }
      await Task.yield()
    }
    #expect(code == .closed)
    device.release()
    for put in puts { #expect(try await put.value > 0) }
    try await close.value
    let later = try await Store.open(device: device.base.copy(), options: options)
    #expect(later.recoveryReport.outcome == .clean)
    #expect(later.statistics.keyCount == 21)
    try await later.close()
  }

  @Test func aPoisonedStoreIsReleased() async throws {
    let device = SimulatedDevice(byteCount: 4 << 20)
    try await Store.format(device: device, options: FormatOptions())
    let store = try await Store.open(device: device, options: options)
    try await store.put("k", "1")
    device.install(FaultPlan().failingFlush(at: 0, losingData: false))
    #expect(await API.code { try await store.put("k", "2") } == .indeterminate)
    #expect(store.health == .poisoned)
    #expect(try await store.get("k")?.text == "2")
    #expect(await API.code { try await store.close() } == .poisoned)
    #expect(await API.code { try await store.close() } == .poisoned)
    // The device is closed: it takes nothing more.
    let request = Transfer.flush()
    device.submit(request)
    await request.wait()
    #expect(request.error?.errorNumber == ESHUTDOWN)
    let later = try await Store.open(device: device.copy(), options: options)
    #expect(later.recoveryReport.outcome == .recovered)
    #expect(later.health == .healthy)
    #expect(["1", "2"].contains(try await later.get("k")?.text))
    try await later.put("k", "3")
    try await later.close()
  }

  @Test func aDroppedStoreIsNotClean() async throws {
    let log = CapturedLog()
    let device = HoldingDevice(try await API.formatted())
    var options = options
    options.logger = log.logger
    var events: AsyncStream<StoreEvent>?
    func use() async throws {
      let store = try await Store.open(device: device, options: options)
      events = store.events
      try await store.put("durable", "1")
      try await store.put("written", "1", durability: .written)
    }
    try await use()
    var heard: [StoreEvent] = []
    // The sequence ends once the device is closed, which joins its threads.
    for await event in try #require(events) { heard.append(event) }
    #expect(heard.count == 1)
    #expect(device.isClosed)
    #expect(log.text.contains("warning: a store was dropped without close()"))
    let later = try await Store.open(device: device.base.copy(), options: options)
    #expect(later.recoveryReport.outcome == .recovered)
    #expect(try await later.multiGet(["durable", "written"]).allSatisfy { $0 != nil })
    try await later.close()
  }

  @Test func aLoopOverRecordsKeepsItsStore() async throws {
    let testing = try await TestingStore()
    for number in 0..<300 { try await testing.store.put("\(number)", "1", durability: .buffered) }
    try await testing.store.close()
    func records() async throws -> Records {
      try await Store.open(device: testing.device.copy(), options: options).records
    }
    var count = 0
    for try await _ in try await records() { count += 1 }
    #expect(count == 300)
  }

  @Test func aFileIsLockedWhileItIsOpen() async throws {
    try await API.withPath { path in
      let format = FormatOptions(byteCount: 4 << 20, label: "lock")
      try await Store.create(path: path, options: format)
      #expect(
        await API.code { try await Store.create(path: path, options: format) } == .refused)
      let store = try await Store.open(path: path, options: options)
      let link = path + ".link"
      #expect(Glibc.link(path, link) == 0)
      defer { unlink(link) }
      var reading = options
      reading.readOnly = true
      for other in [path, link] {
        #expect(
          await API.code { _ = try await Store.open(path: other, options: options) } == .inUse)
        #expect(
          await API.code { _ = try await Store.open(path: other, options: reading) } == .inUse)
      }
      #expect(
        await API.code {
          _ = try await Store.open(path: path, options: options, waitForLock: .milliseconds(1))
        } == .inUse)
      #expect(try await Store.info(path: path).isLive)
      try await store.put("k", "1")
      try await store.close()
      // Readers share, and keep writers out.
      let readers = [
        try await Store.open(path: path, options: reading),
        try await Store.open(path: path, options: reading),
      ]
      #expect(await API.code { _ = try await Store.open(path: path, options: options) } == .inUse)
      for reader in readers {
        #expect(try await reader.get("k")?.text == "1")
        #expect(await API.code { try await reader.put("k", "2") } == .readOnly)
        #expect(await API.code { try await reader.delete("k") } == .readOnly)
        #expect(await API.code { _ = try await reader.write(Batch()) } == .readOnly)
        #expect(await API.code { try await reader.checkpoint() } == .readOnly)
        try await reader.sync()
        try await reader.close()
      }
      let info = try await Store.info(path: path)
      #expect(info.label == "lock" && info.wasClosedCleanly && !info.isLive)
      #expect(info.lastSequence == 1 && info.maximumValueByteCount == store.maximumValueByteCount)
      let plan = try await Store.recoveryPlan(path: path)
      #expect(plan.wasClean)
    }
  }

  @Test func aRollingRestartWaitsForTheLock() async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
      let old = try await Store.open(path: path, options: options)
      let new = Task { [options] in
        try await Store.open(path: path, options: options, waitForLock: .seconds(600))
      }
      let cancelled = Task { [options] in
        try await Store.open(path: path, options: options, waitForLock: .seconds(600))
      }
      cancelled.cancel()
      #expect(await API.code { _ = try await cancelled.value } == .cancelled)
      try await old.put("k", "1")
      try await old.close()
      let store = try await new.value
      #expect(try await store.get("k")?.text == "1")
      try await store.close()
    }
  }

  /// io_uring has its own, in VarveIOTests: it takes a package trait and the kernel's leave.
  @Test(arguments: [IOEngineChoice.automatic, .linuxAIO, .threads])
  func aFileKeepsWhatWasPut(engine: IOEngineChoice) async throws {
    try await API.withPath { path in
      try await Store.create(path: path, options: FormatOptions(byteCount: 4 << 20))
      var options = options
      options.engine = engine
      let store = try await Store.open(path: path, options: options)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for number in 0..<50 {
          group.addTask { try await store.put("\(number)", "\(number * number)") }
        }
        try await group.waitForAll()
      }
      try await store.close()
      let later = try await Store.open(path: path, options: options)
      #expect(later.recoveryReport.outcome == .clean)
      let values = try await later.multiGet((0..<50).map { "\($0)" })
      #expect(values.map { $0?.text } == (0..<50).map { "\($0 * $0)" })
      try await later.close()
    }
  }

  @Test func pathsThatHoldNoStore() async throws {
    try await API.withPath { path in
      #expect(await API.code { _ = try await Store.open(path: path) } == .notFound)
      #expect(await API.code { _ = try await Store.info(path: path) } == .notFound)
      #expect(await API.code { _ = try await Store.recoveryPlan(path: path) } == .notFound)
      let creation = await API.code {
        try await Store.create(path: path, options: FormatOptions())
      }
      #expect(creation == .usage, "a file needs a byte count")
      #expect(access(path, F_OK) != 0, "nothing was made")
      let file = open(path, O_CREAT | O_WRONLY, 0o600)
      #expect(ftruncate(file, 4 << 20) == 0)
      close(file)
      #expect(await API.code { _ = try await Store.open(path: path) } == .refused)
      #expect(await API.code { _ = try await Store.open(path: "/var/tmp") } == .refused)
    }
  }
}
