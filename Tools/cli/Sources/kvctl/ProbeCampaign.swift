// The measurements of a probe. Every cell is measured in two rounds, with the engines in opposite
// orders, so that what the machine does meanwhile meets all of them.

import Console
import DeviceLoad
import VarveIO

/// Runs all cells on all engines.
struct ProbeCampaign {
  let region: DataRegion
  let cells: [ProbeMeasurement.Cell]
  let engines: [DeviceEngine]
  let secondsPerCell: Double
  let contextCount: Int
  let path: String
  let meter: ProgressMeter

  private static let roundCount = 2

  /// Measures; the file stays the caller's.
  ///
  /// - Throws: where a request fails, an engine does not start any more, or a signal comes.
  func run(on file: borrowing DirectFile) async throws -> (
    measurements: [ProbeMeasurement], rereadCount: Double
  ) {
    guard region.pageCount > 0 else { return ([], 0) }
    let source = AddressSource(region)
    var measurements = cells.flatMap { cell in
      engines.map { ProbeMeasurement(engine: $0, cell: cell) }
    }
    let stepCount = measurements.count * Self.roundCount
    var step = 0
    for round in 0..<Self.roundCount {
      for cell in cells {
        let indices = measurements.indices.filter { measurements[$0].cell == cell }
        for index in round.isMultiple(of: 2) ? indices : indices.reversed() {
          step += 1
          let engine = measurements[index].engine
          meter.update(
            step: step, stepCount: stepCount,
            "\(engine.toolName), \(cell.kind.title), depth \(cell.depth)")
          measurements[index].add(try await measure(cell, engine, file, source))
        }
      }
    }
    return (measurements, source.roundCount)
  }

  private func measure(
    _ cell: ProbeMeasurement.Cell, _ engine: DeviceEngine, _ file: borrowing DirectFile,
    _ source: AddressSource
  ) async throws -> DeviceLoad.Result {
    let opened: OpenedDevice
    do throws(DeviceError) {
      opened = try Devices.start(file.duplicate(), engine: engine, options: options(cell.depth))
    } catch {
      throw ToolError(error)
    }
    let result = await DeviceLoad(cell.kind, depth: cell.depth, source: source).run(
      on: opened.device, seconds: secondsPerCell / Double(Self.roundCount)
    ) { Interruption.signal != nil }
    opened.device.close()
    if Interruption.signal != nil { throw ToolError.interrupted("the probe was not finished") }
    if let error = result.error { throw ToolError(error, path: path) }
    return result
  }

  /// As many requests with the kernel as the cell has in flight.
  private func options(_ depth: Int) -> DeviceOptions {
    DeviceOptions(contextCount: contextCount, queueDepth: depth, threadCount: depth)
  }

  /// The engines that start on a file, and why others do not.
  static func engines(
    _ wanted: [DeviceEngine], on file: borrowing DirectFile
  ) throws -> (started: [DeviceEngine], refused: [ProbeWarning]) {
    var started: [DeviceEngine] = []
    var refused: [ProbeWarning] = []
    for engine in wanted {
      do throws(DeviceError) {
        let opened = try Devices.start(
          file.duplicate(), engine: engine,
          options: DeviceOptions(contextCount: 1, queueDepth: 128, threadCount: 1))
        opened.device.close()
        started.append(engine)
      } catch {
        guard wanted.count > 1 else { throw ToolError(error) }
        refused.append(
          ProbeWarning(.engine, "the engine \(engine.toolName) does not start: \(error.message)"))
      }
    }
    return (started, refused)
  }
}
