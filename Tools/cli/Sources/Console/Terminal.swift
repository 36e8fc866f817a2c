import Glibc

/// What standard output is drawn on.
public struct Terminal: Hashable, Sendable {
  /// Characters in a line.
  public var columnCount: Int
  /// Whether escape sequences give colours.
  public var usesColor: Bool
  /// Whether characters beyond ASCII are shown.
  public var usesUnicode: Bool
  /// Whether somebody watches: what was drawn can be drawn over.
  public var isInteractive: Bool

  /// Describes a terminal.
  public init(columnCount: Int, usesColor: Bool, usesUnicode: Bool, isInteractive: Bool = false) {
    self.columnCount = columnCount
    self.usesColor = usesColor
    self.usesUnicode = usesUnicode
    self.isInteractive = isInteractive
  }

  /// Standard output: 80 columns where it is no terminal, unless COLUMNS says otherwise.
  public static func standard(color: SharedOptions.ColorChoice) -> Terminal {
    let isInteractive = ByteOutput.standard.isTerminal
    let usesColor =
      switch color {
      case .always: true
      case .never: false
      case .auto: isInteractive && ToolMain.environment("NO_COLOR")?.isEmpty != false
      }
    var size = winsize()
    // SAFETY: the call fills one structure, a local variable.
    let isKnown = unsafe ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    let named = ToolMain.environment("COLUMNS").flatMap { Int($0) }
    return Terminal(
      columnCount: named.map { min(max($0, 1), 1000) } ?? (isKnown ? Int(size.ws_col) : 80),
      usesColor: usesColor, usesUnicode: isUnicode, isInteractive: isInteractive)
  }

  /// The first of these variables that is set names the character set.
  private static var isUnicode: Bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"]
    let locale = names.lazy.compactMap { ToolMain.environment($0) }.first { !$0.isEmpty } ?? ""
    return locale.lowercased().contains("utf-8") || locale.lowercased().contains("utf8")
  }
}
