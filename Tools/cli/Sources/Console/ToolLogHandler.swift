import Logging

/// Sends the store's messages to standard error: as lines that begin with the tool's name, or as
/// objects where the caller reads JSON.
struct ToolLogHandler: LogHandler {
  let tool: String
  let isJSON: Bool
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let own = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
    if isJSON {
      let details = own.map { JSONValue.Member($0.key, .string("\($0.value)")) }
      try? ByteOutput.messages.writeLine([
        "ok": true, "event": "log", "level": .string("\(event.level)"),
        "message": .string("\(event.message)"), "details": .object(details),
      ])
    } else {
      let details = own.map { " \($0.key)=\($0.value)" }.joined()
      try? ByteOutput.messages.writeLine("\(tool): \(event.level): \(event.message)\(details)")
    }
    try? ByteOutput.messages.flush()
  }
}
