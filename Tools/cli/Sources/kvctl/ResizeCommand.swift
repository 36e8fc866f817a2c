import ArgumentParser
import Console
import Varve

struct ResizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resize",
    abstract: "Makes a store larger.",
    usage: "kvctl resize STORE [--size SIZE] [--dry-run] [--json]",
    discussion: """
      EXAMPLES:
        kvctl resize store.varve --size 4GiB --dry-run
        kvctl resize store.varve --size 4GiB
        kvctl resize /dev/vg0/carts

      A file is made longer and filled with zeros: --size says how large the store
      shall be. A device is enlarged by its own means first; without --size the
      store then takes all of it. --dry-run says what would become of the store,
      or why it cannot be, and changes nothing; it works on a store in use too.

      A store grows to eight times what it was created with, or more ("at most",
      which is maximumBytes of --json); beyond that it is refused. Making it
      smaller is not supported yet, and refused. Killed or without power in the
      middle, the store has the old size or the new one. A signal (such as
      control-C) while the file is filled gives it its old length back.

      A service that has the store open grows it itself, with Store.grow; resize
      then ends with 31, in use.
      """)

  @Argument(help: .store()) var arguments: [String] = []
  @Option(
    parsing: .unconditional,
    help: "The new size, such as 4GiB; without it, all that is there.",
    transform: ByteSize.argument)
  var size: ByteSize?
  @Flag(help: "Only say what would become of the store.")
  var dryRun = false
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let path = try StorePath.split(arguments).store
    let plan = dryRun ? try await look(at: path) : try await grow(path)
    if shared.json {
      try ByteOutput.standard.writeLine(Description.json(plan, isDone: !dryRun))
    } else if !shared.isQuiet || dryRun {
      try ByteOutput.standard.writeLine(Description.text(plan, isDone: !dryRun))
    }
  }

  private func look(at path: String) async throws(ToolError) -> GrowthPlan {
    do {
      return try await Store.growthPlan(path: path, toByteCount: size?.byteCount)
    } catch {
      throw ToolError(error, subject: path)
    }
  }

  private func grow(_ path: String) async throws -> GrowthPlan {
    try await shared.withStore(path, readOnly: false) { store in
      let meter = ProgressMeter("filling", isShown: shared.showsProgress)
      defer { meter.finish() }
      Interruption.watch()
      do throws(StoreError) {
        return try await store.grow(toByteCount: size?.byteCount) { done, total in
          meter.update(byteCountDone: done, byteCount: total)
          // Called within the task that fills the file: cancelling it gives the old length back.
          if Interruption.signal != nil { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
        }
      } catch {
        guard error.code == .cancelled, Interruption.signal != nil else {
          throw ToolError(error, subject: path)
        }
        throw ToolError.interrupted(error.message)
      }
    }
  }
}
