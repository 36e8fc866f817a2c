import ArgumentParser
import Glibc

/// The frame of every tool: parses, runs, and turns whatever is thrown into a message and one of
/// the stable exit codes.
public enum ToolMain {
  /// The tool's name, for its messages.
  public static let name: String =
    CommandLine.arguments.first?.split(separator: "/").last.map(String.init) ?? "varve"

  /// Whether the command line asks for JSON: known also where it does not parse.
  private static var wantsJSON: Bool {
    CommandLine.arguments.prefix { $0 != "--" }.contains("--json")
  }

  /// Runs the command that the command line names, and ends the process.
  public static func run(_ root: any AsyncParsableCommand.Type) async -> Never {
    // A reader that goes away and a full disk are errors to report, not signals to die of.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    reserveStandardDescriptors()
    var status = ExitStatus.clean.rawValue
    do {
      try requireCommand(of: root)
      var command = try root.parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      try ByteOutput.standard.flush()
    } catch {
      // What was said before the failure stands.
      try? ByteOutput.standard.flush()
      status = report(error, root)
    }
    OpenReport.tell()
    try? ByteOutput.messages.flush()
    exit(status)
  }

  /// Takes the numbers of standard descriptors that are closed, so that no file is opened as one
  /// and gets what is printed. Using one fails as if it were closed: the wrong way round.
  private static func reserveStandardDescriptors() {
    for number in Int32(0)...2 where fcntl(number, F_GETFD) < 0 {
      // SAFETY: the path is a C string that lives through the call.
      _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
    }
  }

  /// A command that this version does not have is named as such; the parser would call it an
  /// unexpected argument.
  private static func requireCommand(
    of root: any ParsableCommand.Type
  ) throws(ToolError) {
    let configuration = root.configuration
    let commands =
      configuration.ungroupedSubcommands + configuration.groupedSubcommands.flatMap(\.subcommands)
    guard !commands.isEmpty, let first = CommandLine.arguments.dropFirst().first,
      !first.hasPrefix("-")
    else { return }
    // `help` takes the name of a command, which it would pass over where there is none.
    let named = first == "help" ? CommandLine.arguments.dropFirst(2).first : first
    guard let named, !named.hasPrefix("-"), named != "help",
      !commands.contains(where: { $0.configuration.commandName == named })
    else { return }
    throw .usage("this version has no command '\(named)'; \(name) --help lists the commands")
  }

  private static func report(_ error: any Error, _ root: any ParsableCommand.Type) -> Int32 {
    if let error = error as? ToolError {
      say(error)
      return error.exitCode
    }
    if error is CancellationError { return ExitStatus.failure.rawValue }
    let code = root.exitCode(for: error).rawValue
    let text = root.fullMessage(for: error)
    if code == ExitStatus.clean.rawValue {
      try? ByteOutput.standard.writeLine(text)
      try? ByteOutput.standard.flush()
    } else if error is ExitCode {
      return code
    } else if code == ExitStatus.usage.rawValue, wantsJSON {
      say(.usage(usageMessage(error, root)))
    } else {
      try? ByteOutput.messages.writeLine(text)
    }
    return code
  }

  /// What the parser says with the help of the option and the usage, on one line.
  private static func usageMessage(
    _ error: any Error, _ root: any ParsableCommand.Type
  ) -> String {
    let parts = root.fullMessage(for: error).split(separator: "\n").compactMap { line in
      let text = line.drop { $0 == " " }
      if text.hasPrefix("See ") { return nil as String? }
      let words = text.split(separator: " ").drop { $0 == "Error:" || $0 == "Help:" }
      return words.joined(separator: " ")
    }
    return parts.joined(separator: "; ")
  }

  private static func say(_ error: ToolError) {
    if wantsJSON {
      try? ByteOutput.messages.writeLine(OpenReport.adding(to: error.json))
    } else {
      let label = usesColor ? "\u{1B}[31merror:\u{1B}[0m" : "error:"
      try? ByteOutput.messages.writeLine("\(name): \(label) \(error.message)")
    }
  }

  /// Whether messages are coloured: read from the command line, since it may be what failed.
  private static var usesColor: Bool {
    let arguments = CommandLine.arguments
    if arguments.contains("--color=always") { return true }
    if arguments.contains("--color=never") { return false }
    if let index = arguments.firstIndex(of: "--color"), index + 1 < arguments.count {
      if arguments[index + 1] == "always" { return true }
      if arguments[index + 1] == "never" { return false }
    }
    return ByteOutput.messages.isTerminal && environment("NO_COLOR")?.isEmpty != false
  }

  /// A variable of the environment.
  public static func environment(_ name: String) -> String? {
    // SAFETY: nothing in these tools changes the environment.
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}
