import ArgumentParser
import Console
import Varve

struct StatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stat",
    abstract: "Shows counts, space and memory, also of a running store.",
    usage: "kvctl stat STORE [--json | --prometheus] [--watch [--interval SECONDS]]",
    discussion: """
      EXAMPLES:
        kvctl stat store.varve
        kvctl stat store.varve --watch
        kvctl stat store.varve --watch --interval 10 --json
        kvctl stat store.varve --prometheus > store.prom
        kvctl stat /dev/sdb --socket /run/carts/carts.sock

      A store in use tells its statistics on a Unix socket, where its service sets
      StoreOptions.statisticsSocketPath: looked for at STORE.sock, for a block device
      at /run/varve/NAME.sock, or where --socket says. Without one the exit code is
      31. A store that is not in use is opened for reading.

      --watch shows rates until it is interrupted or the store is closed, with --json
      as one object a line.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Flag(help: "Show rates per second, again and again.")
  var watch = false
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Seconds between two looks, from 0.1 to 3600.", valueName: "seconds"))
  var interval: Double?
  @Flag(help: "Print the exposition format of Prometheus.")
  var prometheus = false
  @Option(help: ArgumentHelp("The socket of a running store.", valueName: "path"))
  var socket: String?
  @Flag(help: "Open a store with damage of unknown extent, too.")
  var allowDegraded = false
  @OptionGroup var shared: SharedOptions

  mutating func validate() throws {
    guard !prometheus || !(watch || shared.json) else {
      throw ValidationError("--prometheus goes with neither --json nor --watch")
    }
    guard watch || interval == nil else { throw ValidationError("--interval needs --watch") }
    if let interval, !(0.1...3600).contains(interval) {
      throw ValidationError("--interval must lie between 0.1 and 3600, and is \(interval)")
    }
  }

  func run() async throws {
    let path = try StorePath.split(arguments).store
    // Without a lock. What is no store, opening says.
    let info = try? await Store.info(path: path)
    let socket = StatisticsSocket(named: socket, store: path)
    let answer: Result<StoreStatus, StatisticsSocket.NoAnswer> =
      info.map { look(socket, $0) } ?? .failure(.init(reason: "its UUID cannot be read"))
    switch answer {
    case .success(let status):
      if let info, watch { return try await follow(socket, info, status) }
      try show(status)
    case .failure(let failure):
      try await open(path, info, socket, failure)
    }
  }

  private func look(
    _ socket: StatisticsSocket, _ info: StoreInfo
  ) -> Result<StoreStatus, StatisticsSocket.NoAnswer> {
    do throws(StatisticsSocket.NoAnswer) {
      return .success(
        StoreStatus(answer: try socket.ask("stat", uuid: info.uuid), socketPath: socket.path))
    } catch {
      return .failure(error)
    }
  }

  /// Opens a store that tells nothing by itself.
  private func open(
    _ path: String, _ info: StoreInfo?, _ socket: StatisticsSocket,
    _ failure: StatisticsSocket.NoAnswer
  ) async throws {
    if watch, let info, !info.isLive {
      throw ToolError(
        .failure, code: "notInUse", "\(path): nobody has the store open: nothing happens in it")
    }
    do {
      if watch, let info, info.isLive {
        let holder = info.holderProcessID.map { " by process \($0)" } ?? ""
        throw ToolError(.inUse, code: "inUse", "\(path) is in use\(holder)")
      }
      try await shared.withStore(path, readOnly: true, allowDegraded: allowDegraded) { store in
        let label = info?.label ?? ""
        try show(StoreStatus(store, name: label.isEmpty ? info?.uuid ?? "" : label))
      }
    } catch let error as ToolError where error.status == .inUse {
      throw error.adding(
        ". It tells its statistics where its service sets StoreOptions.statisticsSocketPath and "
          + "--socket names that path; at \(socket.path): \(failure.reason)", [])
    }
  }

  private func show(_ status: StoreStatus) throws {
    if prometheus {
      try ByteOutput.standard.writeLine(PrometheusText.text(status))
    } else if shared.json {
      try ByteOutput.standard.writeLine([
        "ok": true, "stat": status.json, "live": .bool(status.socketPath != nil),
      ])
    } else {
      try ByteOutput.standard.writeLine(status.text)
    }
  }

  /// Looks again and again, until the store is closed.
  private func follow(
    _ socket: StatisticsSocket, _ info: StoreInfo, _ first: StoreStatus
  ) async throws {
    let terminal = Terminal.standard(color: shared.color)
    var (before, now): (StoreStatus?, StoreStatus) = (nil, first)
    var (start, end) = (ContinuousClock.now, ContinuousClock.now)
    while true {
      let change = StatusChange(before: before, now: now, seconds: (end - start) / .seconds(1))
      if shared.json {
        try ByteOutput.standard.writeLine(change.json)
      } else {
        try ByteOutput.standard.writeLine(
          (terminal.isInteractive ? "\u{1B}[H\u{1B}[2J" : "") + change.text
            + (terminal.isInteractive ? "" : "\n"))
      }
      try ByteOutput.standard.flush()
      start = end
      try await Task.sleep(for: .seconds(interval ?? 1))
      switch look(socket, info) {
      case .success(let status): (before, now, end) = (now, status, .now)
      case .failure(let failure):
        guard failure.isAbsent else {
          throw ToolError(.failure, code: "io", "\(socket.path): \(failure.reason)")
        }
        return shared.remark("the store was closed")
      }
    }
  }
}
