import Testing
import Varve
import VarveIO
import VarveTesting

/// What is compressed, and what that saves.
@Suite struct CompressionTests {
  @Test func valuesAreCompressedWhereThatSaves() async throws {
    var random = SeededGenerator(seed: 9)
    let noise = (0..<3000).map { _ in UInt8(random.below(256)) }
    let prose = [UInt8](repeating: 97, count: 3000)
    for (compression, wanted) in [(false, [8192, 8192, 8192]), (true, [8192, 4096, 4096])] {
      var options = TestingStore.options
      options.compression = compression
      let idle = IdleGate()
      let device = try await API.formatted()
      // No watermark counts among the frames.
      let store = try await idle.openStore(device, options: options)
      try await store.put("first", "1")
      var byteCounts: [Int] = []
      for values in [[noise, noise], [prose, prose], [noise, prose]] {
        var batch = Batch()
        for (number, value) in values.enumerated() { batch.put("\(number)", value) }
        let before = store.statistics.frameByteCount
        #expect(try await store.write(batch).isApplied)
        byteCounts.append(Int(store.statistics.frameByteCount - before))
        for (number, value) in values.enumerated() {
          #expect(try await store.get("\(number)")?.value == value)
        }
      }
      #expect(byteCounts == wanted)
      idle.open()
      try await store.close()
      // Each record says for itself how it is stored.
      options.compression.toggle()
      let later = try await Store.open(device: device.copy(), options: options)
      #expect(try await later.multiGet(["0", "1"]).map { $0?.value } == [noise, prose])
      try await later.close()
    }
  }
}
