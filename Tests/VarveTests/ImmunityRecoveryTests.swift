import Testing
import VarveFormat
import VarveIO

@testable import Varve
@testable import VarveTesting

/// Bugs of recovery that other stores shipped, by their number in Tests/IMMUNITY.md.
@Suite struct ImmunityRecoveryTests {
  @Test(arguments: [1, 2, .max]) func bug15ReadErrorIsNoEndOfTheLog(times: Int) async throws {
    let (store, device) = try await Immunity.store()
    for number in 0..<4 { try await store.put("key-\(number)", "value") }
    let image = device.copy(delivery: .inline)
    try await store.close()
    let open = try #require(await Immunity.segments(image, .open))
    let segment = try #require(open.segments.first)
    let second = Immunity.range(of: segment, open.geometry).lowerBound + 2 * 4096
    let place = second..<second + 4096
    let moment: FaultPlan.Moment =
      times == .max ? .touching(place) : .touchingTimes(place, times)
    let faulty = SimulatedDevice(
      image: image.image, faults: FaultPlan().failing(.read, moment), seed: nil,
      delivery: .background)
    if times == .max {
      let code = await API.code { _ = try await Harness.open(faulty) }
      #expect(code == .corrupt, "the rest of the log was given up in silence")
    } else {
      let opened = try await Harness.open(faulty)
      #expect(try await Harness.contents(opened).count == 4)
      try await opened.close()
    }
  }

  @Test func bug16And30AMissingSegmentIsReported() async throws {
    let (store, device) = try await Immunity.store()
    for number in 0..<4 { try await store.put(Array("k\(number)".utf8), Immunity.filler) }
    try await store.close()
    let sealed = try #require(await Immunity.segments(device, .sealed))
    #expect(sealed.segments.count == 3)
    for (position, segment) in sealed.segments.prefix(2).enumerated() {
      let image = device.copy(delivery: .inline)
      let range = Immunity.range(of: segment, sealed.geometry)
      image.overwrite([UInt8](repeating: 0, count: range.count), at: range.lowerBound)
      let before = image.image
      #expect(await API.code { _ = try await Harness.open(image.copy()) } == .corrupt)
      var options = Harness.options
      options.allowDegraded = true
      let degraded = try await Store.open(
        device: RAMDevice(image: before, delivery: .inline), options: options)
      #expect(degraded.recoveryReport.outcome == .degraded)
      var lost = 0
      for number in 0..<4 {
        do {
          let found = try await degraded.get("k\(number)")
          #expect(found?.value == Immunity.filler, "a lost key must not read as absent")
        } catch { lost += 1 }
      }
      // Its own key, and the older ones, which may have been written again there; no later one.
      #expect(lost == position + 1)
      try await degraded.close()
    }
  }

  @Test(arguments: [true, false]) func bug18And19TailsOfGarbageOrZeros(isGarbage: Bool) async throws
  {
    var image = SparseImage(byteCount: 2 << 20)
    if isGarbage {
      var random = SeededGenerator(seed: 18)
      for place in stride(from: UInt64(0), to: 2 << 20, by: 65536) {
        image.write(random.bytes(65536), at: place)
      }
    }
    let device = RAMDevice(image: image, delivery: .inline)
    try await Store.format(
      device: device, options: FormatOptions(segmentByteCount: Harness.segmentByteCount))
    let fresh = device.copy(delivery: .inline)
    let store = try await Harness.open(fresh)
    for number in 0..<9 { try await store.put("key-\(number)", "value") }
    let (killed, _) = try await Immunity.killed(fresh)
    #expect(killed.recoveryReport.outcome == .recovered)
    #expect(killed.recoveryReport.droppedRecordCount == 0)
    #expect(try await Harness.contents(killed).count == 9)
    try await killed.close()
    try await store.close()
  }

  @Test func bug24SequencesAreNeverIssuedTwice() async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("k", "1")
    let before = device.copy(delivery: .inline)
    let lost = try await store.put("k", "2", durability: .buffered)
    try await store.close()
    // The write left no trace; its number is not given out again.
    let reopened = try await Harness.open(before)
    #expect(reopened.statistics.keyCount == 1)
    #expect(try await reopened.put("k", "3") > lost)
    let refused = try await reopened.put("k", "4", condition: .ifSequence(lost))
    #expect(!refused.isApplied)
    try await reopened.close()
  }

  @Test func bug26EveryDurableAcknowledgementIsFlushed() async throws {
    let (observed, device) = try await Harness.observed(seed: 26)
    var writer = ScriptWriter(observed, seed: 26)
    for step in 0..<14 {
      let key = writer.key(step % 3)
      switch step % 7 {
      case 0, 3: try await observed.put(key, writer.value(40))
      case 1: try await observed.delete(key)
      case 2: try await observed.write([.put(key, writer.value(40)), .delete(writer.key(1))])
      case 4: try await observed.put(key, writer.value(40), condition: .ifAbsent)
      case 5: try await observed.store.checkpoint()
      default:
        try await observed.put(key, writer.value(40), durability: .buffered)
        try await observed.sync()
      }
      // Power is lost this moment, and nothing that was not flushed is there.
      let image = RAMDevice(image: device.durable, delivery: .inline)
      let recovered = try await Harness.open(image)
      #expect(try await Harness.contents(recovered) == observed.oracle.contents, "step \(step)")
      try await recovered.close()
    }
    try await observed.close()
  }

  @Test func bug32ACorruptCheckpointIsRebuilt() async throws {
    let (store, device) = try await Immunity.store()
    for number in 0..<9 { try await store.put("key-\(number)", "value") }
    try await store.checkpoint()
    try await store.close()
    let found = try #require(await Immunity.segments(device, .sealed, stream: .checkpoint))
    let segment = try #require(found.segments.first)
    let range = Immunity.range(of: segment, found.geometry)
    let image = device.copy(delivery: .inline)
    image.overwrite([UInt8](repeating: 0xa5, count: 4 * 4096), at: range.lowerBound)
    for isFirst in [true, false] {
      let opened = try await Harness.open(image.copy(delivery: .inline))
      #expect(!opened.recoveryReport.usedCheckpoint)
      #expect(try await Harness.contents(opened).count == 9)
      if !isFirst { try await opened.checkpoint() }
      try await opened.close()
    }
  }

  @Test func bug33AGrownDeviceOpensAtItsRecordedLength() async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("k", "v")
    try await store.close()
    var image = device.image
    image.resize(to: 3 << 20)
    let grown = RAMDevice(image: image, delivery: .inline)
    let opened = try await Harness.open(grown)
    #expect(try await opened.get("k")?.value == Array("v".utf8))
    try await opened.close()
    let (again, _) = try await Immunity.killed(grown)
    #expect(try await again.get("k") != nil)
    try await again.close()
    image.resize(to: 1 << 20)
    #expect(
      await API.code { _ = try await Harness.open(RAMDevice(image: image, delivery: .inline)) }
        == .refused)
  }

  @Test func ordering7DamagedSuperblocksAreRewritten() async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("k", "v")
    try await store.close()
    for pair in [[0, 1], [0, 2], [1, 3], [2, 3]] {
      let image = device.copy(delivery: .inline)
      for copy in pair {
        let page = Geometry.superblockPage(copy: copy, devicePageCount: image.byteCount / 4096)
        image.overwrite([UInt8](repeating: 0x5a, count: 512), at: page.rawValue * 4096)
      }
      let opened = try await Harness.open(image)
      #expect(try await opened.get("k") != nil)
      #expect(await SuperblockStore.elect(on: image.copy(delivery: .inline)).validCount == 4)
      try await opened.close()
    }
  }

  @Test func ordering9AReadOnlyOpenWritesNothing() async throws {
    let (store, device) = try await Immunity.store()
    try await store.put("k", "v")
    let killed = device.copy(delivery: .inline)
    try await store.close()
    let observed = SimulatedDevice(
      image: killed.image, faults: FaultPlan(), seed: nil, delivery: .background)
    var options = Harness.options
    options.readOnly = true
    let opened = try await Store.open(device: observed, options: options)
    #expect(try await opened.get("k") != nil)
    try await opened.close()
    var flushes = 0
    for event in observed.history.events {
      switch event {
      case .writeSubmitted: Issue.record("a read-only open wrote")
      case .flushCompleted: flushes += 1
      default: break
      }
    }
    #expect(flushes >= 1, "what was read could still be lost")
  }
}
