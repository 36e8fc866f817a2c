import Testing
import Varve
import VarveTesting

// The code of the page on testing, word for word.

struct Carts {
  let store: Store

  func add(_ item: String, to number: Int) async throws {
    try await store.update("cart:\(number)") { current in
      .put(current?.text.map { $0 + "," + item } ?? item)
    }
  }

  func items(of number: Int) async throws -> [String] {
    try await store.get("cart:\(number)")?.text?.split(separator: ",").map(String.init) ?? []
  }
}

@Test func cartsAreKept() async throws {
  let testing = try await TestingStore()
  let carts = Carts(store: testing.store)
  try await carts.add("apple", to: 17)

  // Closed and opened again.
  let later = try await testing.reopened()
  #expect(try await Carts(store: later.store).items(of: 17) == ["apple"])
  try await later.store.close()
}

@Test func cartsSurviveEveryCrash() async throws {
  let device = SimulatedDevice(byteCount: 2 << 20)
  try await Store.format(device: device, options: FormatOptions())
  let store = try await Store.open(device: device, options: TestingStore.options)
  try await Carts(store: store).add("apple", to: 17)
  let promised = device.eventCount
  try await store.close()

  for image in CrashEnumerator(
    device.history, crash: .power, boundaries: promised...device.eventCount)
  {
    let survivor = try await Store.open(
      device: SimulatedDevice(crashed: image), options: TestingStore.options)
    #expect(try await Carts(store: survivor).items(of: 17) == ["apple"])
    try await survivor.close()
  }
}

@Test func aFailedFlushIsNoSuccess() async throws {
  let device = SimulatedDevice(byteCount: 2 << 20)
  try await Store.format(device: device, options: FormatOptions())
  let store = try await Store.open(device: device, options: TestingStore.options)
  let carts = Carts(store: store)
  try await carts.add("apple", to: 17)

  // The next flush fails: that of the next write, or one of the store's own before it.
  device.install(FaultPlan(seed: 7).failingFlush(at: 0, losingData: true))
  let error = await #expect(throws: StoreError.self) { try await carts.add("pear", to: 17) }
  #expect(error?.code == .indeterminate || error?.code == .poisoned)

  // From here on nothing is written, and reads go on.
  let refusal = await #expect(throws: StoreError.self) { try await carts.add("plum", to: 18) }
  #expect(refusal?.code == .poisoned)
  #expect(try await carts.items(of: 18).isEmpty)
  await #expect(throws: StoreError.self) { try await store.close() }

  // Whatever a power loss leaves of this, what was promised before is there.
  let end = device.eventCount
  for image in CrashEnumerator(device.history, crash: .power, boundaries: end...end) {
    let survivor = try await Store.open(
      device: SimulatedDevice(crashed: image), options: TestingStore.options)
    #expect(try await Carts(store: survivor).items(of: 17).first == "apple")
    try await survivor.close()
  }
}
