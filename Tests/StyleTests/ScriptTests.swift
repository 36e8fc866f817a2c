import Foundation
import Testing

/// The programs in Tools, each with a made-up toolchain in `PATH` and in a tree without git.
@Suite struct ScriptTests {
  /// A copy of Tools' own programs, and a folder of programs that stand before those of the system.
  private struct Copy: ~Copyable {
    let root: URL

    init() throws {
      // On a disk, as the demo wants it.
      root = URL(filePath: "/var/tmp/varve-tools-\(UUID())")
      try FileManager.default.createDirectory(
        at: root.appending(path: "Tools"), withIntermediateDirectories: true)
      for name in ["demo", "lib", "test"] {
        try FileManager.default.copyItem(
          at: SourceTree.root.appending(path: "Tools/" + name),
          to: root.appending(path: "Tools/" + name))
      }
      for folder in ["bin", "tree", "Sources/.hidden"] {
        try FileManager.default.createDirectory(
          at: root.appending(path: folder), withIntermediateDirectories: true)
      }
      try program("bin/swift", #"[ "$1" != --version ] || echo "Swift version 6.2""#)
    }

    deinit { try? FileManager.default.removeItem(at: root) }

    func program(_ path: String, _ text: String) throws {
      try write(path, "#!/usr/bin/env bash\n" + text + "\n")
      try FileManager.default.setAttributes(
        [.posixPermissions: 0o755], ofItemAtPath: root.appending(path: path).path)
    }

    func write(_ path: String, _ text: String) throws {
      try text.write(to: root.appending(path: path), atomically: false, encoding: .utf8)
    }

    /// Runs a line of shell there; both outputs together.
    func run(_ line: String) throws -> (status: Int32, output: String) {
      try SourceTree.run(
        ["bash", "-c", "PATH=$PWD/bin:$PATH; export TMPDIR=$PWD; { \(line); } 2>&1"], in: root)
    }
  }

  @Test("A filter that matches no test is told as that")
  func noTestMatches() throws {
    let copy = try Copy()
    let ended = try copy.run("Tools/test --filter nosuchtest")
    #expect(ended.status == 1)
    #expect(ended.output.contains("no test has a name that nosuchtest matches\n"))
    #expect(ended.output.hasSuffix("\n0 passed, 0 failed, 0 skipped\n"))
  }

  @Test("The format lint reads every Swift file of an unpacked archive")
  func lintWithoutGit() throws {
    let copy = try Copy()
    try copy.program(
      "bin/swift",
      #"""
      case "$1" in
        --version) echo "Swift version 6.2" ;;
        format) echo "linted: $*" ;;
      esac
      """#)
    try copy.write("Sources/a b.swift", "let a = 1\n")
    try copy.write("Sources/.hidden/c.swift", "let c = 1\n")
    let ended = try copy.run("Tools/test")
    #expect(
      ended.output.contains("linted: format lint --strict --parallel ./Sources/a b.swift\n"),
      "\(ended.output)")
    #expect(!ended.output.contains("FAILED: format lint"))
  }

  @Test("Where nobody can be root, the remedy is all that is said")
  func withoutRoot() throws {
    let copy = try Copy()
    try copy.program("bin/id", "echo 1000")
    try copy.program("bin/apt-get", "echo apt-get was called")
    let ended = try copy.run(
      """
      . Tools/lib/setup.bash
      command() { [ "$2" != sudo ] && builtin command "$@"; }
      install_packages a-dev b-dev || echo refused
      """)
    #expect(ended.output == "refused\n")
  }

  @Test("A demo that is stopped says so, and leaves nothing behind", arguments: ["INT", "TERM"])
  func stoppedDemo(signal: String) throws {
    let copy = try Copy()
    // Stands for the user's key, once the store is being loaded.
    try copy.program(
      "bin/kvctl", #"[ "$1" != load ] || { kill -\#(signal) "$PPID"; exec sleep 10; }"#)
    try copy.program("Tools/build", #"echo "$TMPDIR/bin""#)
    try copy.write("tree/file", "text")
    // Whoever runs the tests may ignore the signal, and a shell cannot undo that.
    let ended = try copy.run(
      "mkdir at; env --default-signal=\(signal) Tools/demo tree --at at; echo status $?; ls at")
    #expect(ended.output.contains("\nstopped, removed at/varve-demo."), "\(ended.output)")
    #expect(ended.output.hasSuffix("\nstatus \(signal == "INT" ? 130 : 143)\n"))
  }

  @Test("The demo measures what a store takes, and names what it does not")
  func measuredTree() throws {
    let copy = try Copy()
    try copy.program("bin/kvctl", #"[ "$1" = load ] || exit 0; exit 7"#)
    try copy.program("Tools/build", #"echo "$TMPDIR/bin""#)
    try copy.write("tree/file", String(repeating: "x", count: 3 << 20))
    try copy.write("tree/with\n17000000 bytes", "x")
    let huge = copy.root.appending(path: "tree/huge")
    _ = FileManager.default.createFile(atPath: huge.path, contents: nil)
    let file = try FileHandle(forWritingTo: huge)
    try file.truncate(atOffset: 17 << 20)
    try file.close()
    let ended = try copy.run("mkdir at; Tools/demo tree --at at")
    #expect(
      ended.output.contains(
        "tree: 2 files, 3.0 MiB; 1 over the limit of 16 MiB a value, which stay out\n"),
      "\(ended.output)")
    #expect(ended.status == 1)
  }
}
