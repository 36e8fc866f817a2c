import ArgumentParser
import Varve

extension Durability: @retroactive ExpressibleByArgument {}

/// The STORE of a command line: its first argument, or KVCTL_STORE where that is left out.
public enum StorePath {
  /// Splits the arguments of a command that takes STORE and then what `names` name.
  ///
  /// - Throws: where there are too few or too many.
  public static func split(
    _ arguments: [String], names: [String] = []
  ) throws(ToolError) -> (store: String, rest: [String]) {
    let store = ToolMain.environment("KVCTL_STORE") ?? ""
    if arguments.count == names.count, !store.isEmpty { return (store, arguments) }
    if let first = arguments.first, arguments.count == names.count + 1 {
      guard !first.isEmpty else { throw .usage("the path of the store is empty") }
      return (first, Array(arguments.dropFirst()))
    }
    let wanted = (["STORE"] + names).joined(separator: " ")
    throw .usage(
      "expected \(wanted), found \(arguments.count) arguments (STORE may come from KVCTL_STORE)")
  }
}
