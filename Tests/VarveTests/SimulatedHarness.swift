import Glibc
import Testing
import Varve
import VarveIO

@testable import VarveTesting

/// Stores of a small geometry on simulated devices, and the judging of crashes of them.
enum Harness {
  static let segmentByteCount = 32 << 10

  /// How much of the enumeration to run: one image in so many. `VARVE_CRASH_INTERVAL=1` runs all.
  static func interval(_ usual: Int) -> Int { variable("VARVE_CRASH_INTERVAL") ?? usual }

  /// How often the costly checks of a recovered image run: for one image in so many.
  /// `VARVE_CHECK_INTERVAL=1` runs them for all.
  static func checkInterval(_ usual: Int) -> Int { variable("VARVE_CHECK_INTERVAL") ?? usual }

  /// The seeds of a test; `VARVE_SEED_OFFSET` makes them others, for long searches.
  static func seeds(_ range: ClosedRange<UInt64>) -> [UInt64] {
    range.map { $0 + UInt64(variable("VARVE_SEED_OFFSET") ?? 0) }
  }

  private static func variable(_ name: String) -> Int? {
    getenv(name).flatMap { Int(String(cString: $0)) }
  }

  /// The content of a device with an empty store.
  static func formatted(byteCount: UInt64 = 2 << 20) async throws -> SparseImage {
    let device = RAMDevice(byteCount: byteCount, delivery: .inline)
    try await Store.format(
      device: device, options: FormatOptions(segmentByteCount: segmentByteCount))
    return device.image
  }

  static var options: StoreOptions {
    var options = TestingStore.options
    options.compression = false
    return options
  }

  static func open(_ device: any BlockDevice) async throws -> Store {
    try await Store.open(device: device, options: options)
  }

  /// A new store on a device that remembers everything.
  static func observed(
    seed: UInt64?, byteCount: UInt64 = 2 << 20, faults: FaultPlan = FaultPlan()
  ) async throws -> (ObservedStore, SimulatedDevice) {
    let device = SimulatedDevice(
      image: try await formatted(byteCount: byteCount), faults: faults, seed: seed,
      delivery: .background)
    return (ObservedStore(try await open(device), on: device), device)
  }

  /// Everything that a store holds; each key must come once.
  static func contents(_ store: Store) async throws -> [[UInt8]: [UInt8]] {
    var contents: [[UInt8]: [UInt8]] = [:]
    for try await record in store.records {
      #expect(contents[record.key] == nil, "a key came twice")
      contents[record.key] = record.value
    }
    return contents
  }
}

/// Writes of a script: values that occur once, and choices that follow from the seed.
struct ScriptWriter {
  let store: ObservedStore
  var random: SeededGenerator
  private var valueCount = 0

  init(_ store: ObservedStore, seed: UInt64) {
    self.store = store
    random = SeededGenerator(seed: seed)
  }

  func key(_ number: Int) -> [UInt8] { Array("key-\(number)".utf8) }

  /// A value that no other write has, of at least so many bytes.
  mutating func value(_ byteCount: Int) -> [UInt8] {
    valueCount += 1
    let start = Array("v\(valueCount)-\(random.next())".utf8)
    return start + random.bytes(max(0, byteCount - start.count))
  }

  mutating func durability() -> Durability {
    [.buffered, .written, .durable, .durable][random.below(4)]
  }

  mutating func put(_ number: Int, _ byteCount: Int = 40, _ durability: Durability = .durable)
    async throws
  {
    try await store.put(key(number), value(byteCount), durability: durability)
  }

  mutating func batch(_ numbers: [Int], deleting: [Int] = [], byteCount: Int = 40) async throws {
    var changes = numbers.map { Oracle.Change.put(key($0), value(byteCount)) }
    changes += deleting.map { .delete(key($0)) }
    try await store.write(changes, durability: durability())
  }

  /// One operation by chance.
  mutating func anyStep(keyCount: Int, byteCounts: [Int]) async throws {
    let number = random.below(keyCount)
    let byteCount = byteCounts[random.below(byteCounts.count)]
    switch random.below(10) {
    case 0..<5: try await put(number, byteCount, durability())
    case 5, 6: try await store.delete(key(number), durability: durability())
    case 7:
      try await batch(
        [number, random.below(keyCount), random.below(keyCount)],
        deleting: [random.below(keyCount)], byteCount: min(byteCount, 2000))
    case 8:
      let condition: WriteCondition =
        random.once(in: 2)
        ? .ifAbsent : .ifSequence(try await store.store.get(key(number))?.sequence ?? 0)
      try await store.put(
        key(number), value(byteCount), condition: condition, durability: durability())
    default: try await store.sync()
    }
  }
}

/// Recovers crash images with the engine and lets the oracle judge what it finds.
struct CrashJudge {
  let seed: UInt64
  private(set) var imageCount = 0
  private var problemCount = 0
  private var recovered: [UInt64: [[UInt8]: [UInt8]]] = [:]
  private var random: SeededGenerator

  init(seed: UInt64) {
    self.seed = seed
    random = SeededGenerator(seed: seed)
  }

  /// Judges every image of a history for both classes of crash.
  mutating func judge(
    _ history: History, _ oracle: Oracle, interval: Int, boundaries: ClosedRange<Int>? = nil
  ) async {
    for crash in Crash.allCases {
      let images = CrashEnumerator(
        history, crash: crash, marks: oracle.marks, boundaries: boundaries,
        density: CrashEnumerator.Density(samplingInterval: Harness.interval(interval)),
        seed: seed)
      for image in images {
        guard problemCount < 5 else { return }
        imageCount += 1
        guard let found = await recover(image) else { continue }
        let violations = oracle.check(recovered: found, image: image)
        if !violations.isEmpty, problemCount == 0 {
          print(await ImageDump.describe(image.image))
        }
        for violation in violations { report(image, violation) }
      }
    }
  }

  private mutating func report(_ image: CrashImage, _ problem: String) {
    problemCount += 1
    Issue.record("seed \(seed), \(image.summary): \(problem)")
  }

  /// What the engine finds on an image; remembered, since it must not depend on anything else.
  private mutating func recover(_ image: CrashImage) async -> [[UInt8]: [UInt8]]? {
    if let known = recovered[image.digest] { return known }
    do {
      let device = image.makeDevice(delivery: .inline)
      let store = try await Harness.open(device)
      let found = try await Harness.contents(store)
      recovered[image.digest] = found
      if store.recoveryReport.outcome == .degraded {
        report(image, "no damage, yet degraded: \(store.recoveryReport.findings)")
      }
      if random.once(in: Harness.checkInterval(8)) { try await checkStability(image, found, device.copy()) }
      try await store.close()
      if random.once(in: Harness.checkInterval(8)) { try await checkStability(image, found, device.copy()) }
      if random.once(in: 8 * Harness.checkInterval(8)) { try await checkNested(image, found) }
      if random.once(in: Harness.checkInterval(8)) { try await checkGoesOn(image, found) }
      return found
    } catch {
      report(image, "recovery failed: \(error)")
      return nil
    }
  }

  /// What one recovery showed, the next shows.
  private mutating func checkStability(
    _ image: CrashImage, _ found: [[UInt8]: [UInt8]], _ device: RAMDevice
  ) async throws {
    let store = try await Harness.open(device)
    let again = try await Harness.contents(store)
    if again != found { report(image, "a second recovery shows something else") }
    try await store.close()
  }

  /// A crash anywhere in recovery changes nothing of what recovery finds.
  private mutating func checkNested(
    _ image: CrashImage, _ found: [[UInt8]: [UInt8]]
  ) async throws {
    let device = SimulatedDevice(crashed: image, seed: seed)
    let store = try await Harness.open(device)
    let history = device.history
    try await store.close()
    let inner = CrashEnumerator(
      history, crash: .power,
      density: CrashEnumerator.Density(samplingInterval: Harness.interval(4)), seed: seed)
    for nested in inner {
      let second = try await Harness.open(nested.makeDevice(delivery: .inline))
      let again = try await Harness.contents(second)
      if again != found { report(image, "differs after a crash in recovery: \(nested.summary)") }
      try await second.close()
    }
  }

  /// A recovered store takes writes, and another crash takes nothing back and brings nothing up.
  private mutating func checkGoesOn(
    _ image: CrashImage, _ found: [[UInt8]: [UInt8]]
  ) async throws {
    let device = SimulatedDevice(crashed: image, seed: seed)
    let store = ObservedStore(
      try await Harness.open(device), on: device, oracle: Oracle(contents: found))
    let start = device.eventCount
    var writer = ScriptWriter(store, seed: random.next())
    for _ in 0..<3 { try await writer.anyStep(keyCount: 4, byteCounts: [40, 3000]) }
    let history = device.history
    try await store.store.close()
    let later = CrashEnumerator(
      history, crash: .power, marks: store.oracle.marks,
      boundaries: start...history.events.count,
      density: CrashEnumerator.Density(samplingInterval: Harness.interval(8)), seed: seed)
    for second in later {
      let reopened = try await Harness.open(second.makeDevice(delivery: .inline))
      let again = try await Harness.contents(reopened)
      let violations = store.oracle.check(recovered: again, image: second)
      if !violations.isEmpty, problemCount == 0 {
        print("before:\n" + (await ImageDump.describe(image.image)))
        print("after:\n" + (await ImageDump.describe(second.image)))
      }
      for violation in violations {
        report(image, "after going on, \(second.summary): \(violation)")
      }
      try await reopened.close()
    }
  }
}
