// How a store is looked at from outside: its segments, and its socket.

import Logging
import Synchronization
import VarveIO

extension StoreCore {
  /// Who a store is.
  struct Identity: Sendable {
    let uuid: String
    let label: String
  }

  func segmentSnapshot() -> SegmentSnapshot { publishedTable.snapshot(segments, log) }

  /// Begins to answer on the socket that the options ask for. A store that cannot be watched works
  /// all the same: that is logged.
  func startServer() {
    guard let path = options.statisticsSocketPath else { return }
    do throws(DeviceError) {
      let server = try LocalServer(path: path, name: "varve-stat") { [weak self] line in
        StatisticsAnswer.answer(to: line, self)
      }
      self.server.withLock { $0 = server }
    } catch {
      health.logger.warning(
        "statistics are not served: \(error)", metadata: ["path": "\(path)"])
    }
  }

  /// Takes the socket away and lets its thread end.
  ///
  /// - Returns: the server, to wait for.
  func stopServer() -> LocalServer? {
    let server = server.withLock { server in
      defer { server = nil }
      return server
    }
    server?.stop()
    return server
  }
}
