import ArgumentParser
import Console
import Glibc
import Varve

struct LoadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "load",
    abstract: "Stores the files of a folder, or records from lines of JSON.",
    usage: """
      kvctl load STORE (--directory DIR | --jsonl FILE) [--durability LEVEL] [--skip-errors]
      """,
    discussion: """
      EXAMPLES:
        kvctl load store.varve --directory /usr/share/doc
        kvctl dump old.varve | kvctl load new.varve --jsonl -

      Keys are the paths below the folder, or key/keyB64 with value/valueB64 a line,
      which may have "ttl" (seconds) or "expiresMs" (milliseconds since 1970).
      Only regular files are taken: links and special files are counted. A file over
      the value limit, an unreadable file or a bad line stops the load; what was
      stored before stays, and is counted. --skip-errors names it and goes on.
      With --json: one object a line, progress and then the result.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Option(help: "The folder to load.")
  var directory: String?
  @Option(help: ArgumentHelp("Lines of JSON; - is standard input.", valueName: "file"))
  var jsonl: String?
  @Option(help: "What each record survives when it is counted: buffered, written or durable.")
  var durability: Durability = .durable
  @Flag(help: "Name what cannot be stored, and go on.")
  var skipErrors = false
  @OptionGroup var shared: SharedOptions

  mutating func validate() throws {
    guard (directory == nil) != (jsonl == nil) else {
      throw ValidationError("load takes either --directory or --jsonl")
    }
  }

  func run() async throws {
    let path = try StorePath.split(arguments).store
    // What is to be read is looked at before the store is opened.
    if let directory {
      let tree = try DirectoryTree(path: directory)
      try await load(path, from: TreeFiles(tree))
    } else if let jsonl {
      let descriptor = try open(jsonl)
      defer { if descriptor != 0 { close(descriptor) } }
      let name = jsonl == "-" ? "standard input" : jsonl
      try await load(path, from: RecordLines(descriptor: descriptor, name: name))
    }
  }

  private func open(_ file: String) throws(ToolError) -> Int32 {
    guard file != "-" else { return 0 }
    // SAFETY: the string is passed as a C string that lives through the call.
    let descriptor = unsafe Glibc.open(file, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(file, errorNumber: errno) }
    var status = stat()
    // SAFETY: `status` is a local variable.
    if unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      close(descriptor)
      throw ToolError(
        .failure, code: "io", "\(file) is a directory: --directory loads what it holds")
    }
    return descriptor
  }

  private func load(_ path: String, from source: some LoadSource) async throws {
    try await shared.withStore(path, readOnly: false) { store in
      let limit = store.maximumValueByteCount
      let tally = LoadTally(
        shared: shared, totalByteCount: source.totalByteCount(maximumValueByteCount: limit),
        skipsErrors: skipErrors, maximumValueByteCount: limit)
      do {
        try await run(source, in: store, tally: tally)
      } catch {
        throw tally.interrupted(error)
      }
      try tally.finish(store.statistics)
    }
  }

  private func run(_ source: some LoadSource, in store: Store, tally: LoadTally) async throws {
    let durability = durability
    let limit = store.maximumValueByteCount
    try await Pipeline.run(
      next: { try source.next(tally) },
      perform: { job in
        try await Self.perform(job, in: store, limit: limit, durability: durability)
      },
      take: { outcome in try tally.take(outcome) })
    if durability == .buffered { try await store.sync() }
  }

  /// Stores one record, after reading it where it is a file.
  private static func perform(
    _ job: Pipeline.Job<LoadTally.Work>, in store: Store, limit: Int, durability: Durability
  ) async throws(StoreError) -> LoadTally.Outcome {
    switch contents(of: job, limit: limit) {
    case .failure(let failure):
      return .unstored(name: name(of: job), reason: LoadTally.reason(failure))
    case .success(let value):
      do throws(StoreError) {
        try await store.put(job.key, value, expiry: expiry(of: job), durability: durability)
      } catch {
        guard error.code == .tooLarge else { throw error }
        return .unstored(name: name(of: job), reason: .overLimit)
      }
      return .stored(byteCount: job.key.count + value.count)
    }
  }

  private static func contents(
    of job: Pipeline.Job<LoadTally.Work>, limit: Int
  ) -> Result<[UInt8], FileContents.Failure> {
    switch job.work {
    case .record(let bytes, _, _): return .success(bytes)
    case .file(let path):
      do throws(FileContents.Failure) {
        return .success(try FileContents.read(path: path, maximumByteCount: limit))
      } catch {
        return .failure(error)
      }
    }
  }

  private static func expiry(of job: Pipeline.Job<LoadTally.Work>) -> Expiry {
    switch job.work {
    case .file: .never
    case .record(_, let expiry, _): expiry
    }
  }

  private static func name(of job: Pipeline.Job<LoadTally.Work>) -> String {
    switch job.work {
    case .file: PathBytes.text(job.key)
    case .record(_, _, let line): "line \(line)"
    }
  }
}
