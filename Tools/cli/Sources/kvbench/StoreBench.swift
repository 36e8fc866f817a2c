import DeviceLoad
import Foundation
import Measuring
import Varve

/// A rate and what it cost.
struct Rate {
  var rate: Double
  var cpuNanoseconds: Double
}

/// The workloads, each on a store of its own opening.
struct StoreBench {
  let path: String
  let keyCount: UInt64
  let memoryBudget: Int

  static let valueByteCount = 1024
  private static let loaderCount = 4

  /// Room for the keys at the density of 1 KiB values, and for overwrites.
  var deviceByteCount: UInt64 { max(256 << 20, keyCount * 1500 + (1 << 30)) }

  /// The part of the device that a load fills: three records of 1 KiB a page.
  var loadedByteCount: UInt64 { keyCount / 3 * 4096 }

  /// What a load in a process that died told.
  struct Load {
    var putsPerSecond: Double
    var deviceBytesPerSecond: Double
    var cpuNanoseconds: Double
  }

  /// Loads in a child process, which ends by SIGKILL.
  func loadInChild() async throws -> Load {
    unlink(path)
    let lines = try Child.run(
      "/proc/self/exe", ["load-and-die", path, String(keyCount), String(memoryBudget)],
      expectedSignal: SIGKILL)
    let figures = lines.split(separator: " ").compactMap { Double($0.filter { !$0.isWhitespace }) }
    guard figures.count == 3 else { throw BenchError("the loader said: \(lines)") }
    return Load(
      putsPerSecond: figures[0], deviceBytesPerSecond: figures[1], cpuNanoseconds: figures[2])
  }

  /// Creates and fills the store, makes it durable and hands it over open.
  func load() async throws -> (store: Store, figures: [Double]) {
    try await Store.create(path: path, options: FormatOptions(byteCount: deviceByteCount))
    let store = try await Store.open(
      path: path, options: StoreOptions(memoryBudget: memoryBudget, compression: false))
    var random = Random(state: 7)
    let pool = (0..<(1 << 20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    let keyCount = keyCount
    let clock = Stopwatch()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for loader in 0..<Self.loaderCount {
        group.addTask {
          for number in stride(from: UInt64(loader), to: keyCount, by: Self.loaderCount) {
            let start = Int(number % 100_000) * 8
            try await store.put(
              Self.key(number).span.bytes,
              pool.span.bytes.extracting(start..<start + Self.valueByteCount),
              durability: .buffered)
          }
        }
      }
      try await group.waitForAll()
    }
    try await store.sync()
    let seconds = clock.seconds
    let statistics = store.statistics
    let figures = [
      Double(keyCount) / seconds,
      Double(statistics.frameByteCount + statistics.metadataByteCount) / seconds,
      clock.cpuSeconds / Double(keyCount) * 1e9,
    ]
    return (store, figures)
  }

  /// What an open cost.
  struct Opening {
    var seconds: Double
    var readBytes: Double
    var bytesPerKey: Double
  }

  func open() async throws -> Opening {
    let clock = Stopwatch()
    let store = try await Store.open(path: path, options: options(cacheEnabled: true))
    let seconds = clock.seconds
    let opening = Opening(
      seconds: seconds, readBytes: Double(store.recoveryReport.readByteCount),
      bytesPerKey: store.statistics.indexBytesPerKey)
    guard store.statistics.keyCount == Int(keyCount) else {
      throw BenchError("of \(keyCount) keys \(store.statistics.keyCount) were found")
    }
    try await store.close()
    return opening
  }

  /// Uniform gets without a cache.
  func misses(inFlight: Int) async throws -> Rate {
    let store = try await Store.open(path: path, options: options(cacheEnabled: false))
    let (keyCount, count) = (keyCount, inFlight == 1 ? 20_000 : 200_000)
    let clock = Stopwatch()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for reader in 0..<inFlight {
        group.addTask {
          var random = Random(state: UInt64.random(in: 0...(.max)) &+ UInt64(reader))
          for _ in 0..<count / inFlight {
            let key = Self.key(random.next() % keyCount)
            let found = try await store.withValue(for: key.span.bytes) { value, _ in
              value.byteCount
            }
            guard found == Self.valueByteCount else { throw BenchError("a key is missing") }
          }
        }
      }
      try await group.waitForAll()
    }
    let rate = clock.rate(count)
    try await store.close()
    return rate
  }

  /// Multi-gets of 64 keys by one caller.
  func multiGets() async throws -> Rate {
    let store = try await Store.open(path: path, options: options(cacheEnabled: false))
    var random = Random(state: UInt64.random(in: 0...(.max)))
    let clock = Stopwatch()
    let count = 1500
    for _ in 0..<count {
      let found = try await store.multiGet((0..<64).map { _ in Self.key(random.next() % keyCount) })
      guard found.allSatisfy({ $0 != nil }) else { throw BenchError("a key is missing") }
    }
    let rate = clock.rate(count * 64)
    try await store.close()
    return rate
  }

  /// Durable overwrites of random keys.
  func durablePuts(writers: Int) async throws -> Rate {
    let store = try await Store.open(path: path, options: options(cacheEnabled: true))
    let (keyCount, count) = (keyCount, writers == 1 ? 10_000 : 1500 * writers)
    let clock = Stopwatch()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for writer in 0..<writers {
        group.addTask {
          var random = Random(state: UInt64(writer) &+ 1000)
          let value = (0..<Self.valueByteCount).map { _ in UInt8(truncatingIfNeeded: random.next())
          }
          for _ in 0..<count / writers {
            try await store.put(Self.key(random.next() % keyCount).span.bytes, value.span.bytes)
          }
        }
      }
      try await group.waitForAll()
    }
    let rate = clock.rate(count)
    try await store.close()
    return rate
  }

  private func options(cacheEnabled: Bool) -> StoreOptions {
    StoreOptions(memoryBudget: memoryBudget, cacheEnabled: cacheEnabled, compression: false)
  }

  /// Keys of 16 bytes.
  static func key(_ number: UInt64) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 16) { bytes, count in
      for index in 0..<16 {
        bytes[index] = UInt8(truncatingIfNeeded: number >> UInt64(index % 8 * 8))
      }
      count = 16
    }
  }
}
