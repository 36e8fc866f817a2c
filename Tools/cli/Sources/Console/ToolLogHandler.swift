import Logging

/// Sends the store's messages to standard error, as lines that begin with the tool's name.
struct ToolLogHandler: LogHandler {
  let tool: String
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let own = metadata.merging(event.metadata ?? [:]) { $1 }
    let details = own.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
    try? ByteOutput.messages.writeLine("\(tool): \(event.level): \(event.message)\(details)")
    try? ByteOutput.messages.flush()
  }
}
