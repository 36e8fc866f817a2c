/// Why a run came to an end before its time, as a code for programs and a message for people.
public struct LoadFailure: Error, Codable, Hashable, Sendable, CustomStringConvertible {
  /// A short name: `full` where no room was left, `wrong` where a value read was not the one
  /// written, `died` where the process ended, others as the store names them.
  public let code: String
  /// What happened.
  public let message: String

  /// Names a failure.
  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }

  /// Takes over what a store threw.
  public init(_ error: any Error) {
    self = error as? LoadFailure ?? LoadFailure(code: "error", message: "\(error)")
  }

  /// Code and message.
  public var description: String { "\(code): \(message)" }
}
