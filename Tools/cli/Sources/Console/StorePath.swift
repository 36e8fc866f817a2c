import ArgumentParser
import Varve

extension Durability: @retroactive ExpressibleByArgument {}

extension ArgumentHelp {
  /// The arguments of a command that takes STORE and then what `names` name. STORE may be left out,
  /// so they are one list to the parser, whose name is made to read as several.
  public static func store(_ names: String...) -> ArgumentHelp {
    let rest = names.isEmpty ? "." : ", then \(names.joined(separator: " and ").uppercased())."
    return ArgumentHelp(
      "STORE is a file or a block device; without it KVCTL_STORE names it\(rest)",
      valueName: (["store"] + names).joined(separator: "> <"))
  }
}

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
