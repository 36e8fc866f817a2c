import Foundation

/// The program `kvpeer`, which runs other stores. It is built by hand from Tools/peers, so that
/// nobody else needs their libraries.
struct PeerProgram {
  static let remedy =
    "apt install librocksdb-dev && swift build -c release --package-path Tools/peers"

  let path: String

  /// The program at a path; without one, that beside this program, or the one in `peers/.build` of
  /// a folder above, as in a checkout. Nil where there is none.
  static func find(_ path: String?) throws -> PeerProgram? {
    if let path {
      guard access(path, X_OK) == 0 else { throw BenchError("there is no program \(path)") }
      return PeerProgram(path: path)
    }
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    var folder = own.deletingLastPathComponent()
    var candidates = [folder.appending(path: "kvpeer").path]
    while folder.path != "/" {
      folder.deleteLastPathComponent()
      candidates.append(folder.appending(path: "peers/.build/release/kvpeer").path)
    }
    return candidates.first { access($0, X_OK) == 0 }.map { PeerProgram(path: $0) }
  }

  /// The peers that it knows.
  func peers() throws -> [String] {
    try Child.run(path, ["--list"]).split(separator: "\n").map(String.init)
  }
}
