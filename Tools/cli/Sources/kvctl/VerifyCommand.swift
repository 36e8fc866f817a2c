import ArgumentParser
import Console
import Varve

struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Compares every file of a folder with what the store holds for it.",
    usage: "kvctl verify STORE --directory DIR [--json]",
    discussion: """
      EXAMPLES:
        kvctl verify store.varve --directory /usr/share/doc

      Lists what differs or is missing; exit code 1 if anything does, 20 if a record
      is damaged. What load would not take (links, special files, files over the
      limit) and unreadable files are counted apart.
      """)

  /// How one file compares.
  enum Verdict: String, Sendable {
    case same, different, missing, damaged, overLimit, unreadable
  }

  struct Outcome: Sendable {
    let path: [UInt8]
    let verdict: Verdict
    var byteCount = 0
  }

  @Argument(help: .store()) var arguments: [String] = []
  @Option(help: "The folder to compare with.")
  var directory: String
  @Flag(help: "Open a store with damage of unknown extent, too.")
  var allowDegraded = false
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    let tree = try DirectoryTree(path: directory)
    let tally = try await shared.withStore(
      path, readOnly: true, allowDegraded: allowDegraded
    ) { store in
      let total = TreeTotal(tree, maximumValueByteCount: store.maximumValueByteCount)
      let tally = VerifyTally(shared: shared, totalByteCount: total.valueByteCount)
      try await compare(tree, with: store, tally: tally)
      return tally
    }
    try tally.finish()
  }

  private func compare(
    _ tree: DirectoryTree, with store: Store, tally: VerifyTally
  ) async throws {
    let limit = store.maximumValueByteCount
    var entries = tree.makeIterator()
    try await Pipeline.run(
      next: { try tally.nextFile(of: &entries) },
      perform: { job in
        try await Self.compare(job, tree: tree, store: store, limit: limit)
      },
      take: { outcome in try tally.take(outcome) })
  }

  private static func compare(
    _ job: Pipeline.Job<Int>, tree: DirectoryTree, store: Store, limit: Int
  ) async throws -> Outcome {
    guard job.work <= limit, job.key.count <= LoadTally.maximumKeyByteCount else {
      return Outcome(path: job.key, verdict: .overLimit)
    }
    let file: [UInt8]
    do throws(FileContents.Failure) {
      file = try FileContents.read(path: tree.path(of: job.key), maximumByteCount: limit)
    } catch {
      return Outcome(path: job.key, verdict: error == .tooLong ? .overLimit : .unreadable)
    }
    do {
      guard let stored = try await store.get(job.key) else {
        return Outcome(path: job.key, verdict: .missing)
      }
      return Outcome(
        path: job.key, verdict: stored.value == file ? .same : .different, byteCount: file.count)
    } catch  where [.corrupt, .suspect, .hashCollision].contains(error.code) {
      return Outcome(path: job.key, verdict: .damaged)
    }
  }
}
