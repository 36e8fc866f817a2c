import VarveIO

extension DeviceEngine {
  /// The name on the command line.
  public var toolName: String { self == .linuxAIO ? "aio" : rawValue }

  /// The engines themselves, without the choice among them.
  public static var measurable: [DeviceEngine] { allCases.filter { $0 != .automatic } }
}
