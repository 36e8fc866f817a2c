import Console
import DeviceLoad
import VarveIO

/// The measurements of the I/O layer: in every round each kind and depth, the peer and then every
/// engine at every place.
struct IOBench {
  let path: String
  let byteCount: UInt64
  let seconds: Double
  let depths: [Int]
  let engines: [DeviceEngine]
  let isWriting: Bool

  /// The requests in flight where they follow each other.
  private static let sequentialDepth = 4

  /// Opens the file for one measurement; a reader takes no lock.
  func open(_ engine: DeviceEngine, isWriting: Bool, depth: Int) async throws -> OpenedDevice {
    try await Devices.open(
      path,
      openOptions: isWriting ? OpenOptions() : OpenOptions(access: .readOnly, lock: .none),
      engine: engine,
      options: DeviceOptions(queueDepth: max(128, depth), threadCount: min(depth, 256)))
  }

  /// Adds a round to the table; every second one goes backwards, so that nobody is always first.
  func round(_ number: Int, _ peer: IOPeer, _ table: inout IOTable) async throws {
    let region = DataRegion([DataRegion.Run(byteOffset: 0, byteCount: byteCount)])
    let source = AddressSource(region)
    var cells = depths.map { (LoadKind.randomRead, $0) }
    cells.append((.sequentialRead, Self.sequentialDepth))
    if isWriting { cells.append((.sequentialWrite, Self.sequentialDepth)) }
    let isForward = !number.isMultiple(of: 2)
    for (kind, depth) in cells {
      guard Interruption.signal == nil else { throw BenchError("stopped by a signal") }
      var own: [(IOTable.Key, IOFigures, Double)] = []
      var raw: IOFigures?
      if isForward { raw = try await peer.measure(kind, depth: depth, source: source, bench: self) }
      for engine in isForward ? engines : engines.reversed() {
        own += try await measure(kind, depth: depth, engine, source)
      }
      let figures =
        if let raw { raw } else {
          try await peer.measure(kind, depth: depth, source: source, bench: self)
        }
      for (key, value, goal) in isForward ? own : own.reversed() {
        table.add(key, value, peer: figures, goalCPUMicroseconds: goal)
      }
    }
  }

  /// One kind and depth on one engine, at every place.
  private func measure(
    _ kind: LoadKind, depth: Int, _ engine: DeviceEngine, _ source: AddressSource
  ) async throws -> [(IOTable.Key, IOFigures, Double)] {
    let opened = try await open(engine, isWriting: kind.isWriting, depth: depth)
    defer { opened.device.close() }
    let load = TaskLoad(kind: kind, taskCount: depth, source: source, seconds: seconds)
    var measured: [(IOTable.Key, IOFigures, Double)] = []
    for place in try TaskPlace.places(on: opened.device) {
      let figures = try await load.run(on: opened.device, place: place)
      let key = IOTable.Key(kind: kind, depth: depth, engine: engine.toolName, place: place.name)
      measured.append((key, figures, place.goalCPUMicroseconds))
    }
    return measured
  }
}
