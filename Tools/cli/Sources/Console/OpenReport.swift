import Synchronization
import Varve

/// What `--json` has to say of an open on standard error. An error is one object there, so a
/// recovered or degraded open waits: it goes into the error, or stands alone where none follows.
public enum OpenReport {
  private static let pending = Mutex<[JSONValue.Member]>([])

  /// Keeps how a store was found.
  static func hold(_ report: RecoveryReport) {
    var members: [JSONValue.Member] = [
      .init("outcome", .string(report.outcome.rawValue)),
      .init("droppedRecords", .count(report.droppedRecordCount)),
    ]
    if let seconds = report.heldClockJumpSeconds {
      members.append(.init("clockHeldSeconds", .number(seconds)))
    }
    pending.withLock { [members] in $0 = members }
  }

  /// A long time as people say it.
  public static func days(_ seconds: Double) -> String {
    "\((seconds / 8640).rounded() / 10) days"
  }

  /// The error with how the store was found.
  static func adding(to error: JSONValue) -> JSONValue {
    let members = take()
    return members.isEmpty ? error : error.adding([.init("open", .object(members))])
  }

  /// Says how the store was found, unless that has been said.
  static func tell() {
    let members = take()
    guard !members.isEmpty else { return }
    try? ByteOutput.messages.writeLine(
      JSONValue.object([.init("ok", true), .init("event", "open")] + members))
  }

  private static func take() -> [JSONValue.Member] {
    pending.withLock { members in
      defer { members = [] }
      return members
    }
  }
}
