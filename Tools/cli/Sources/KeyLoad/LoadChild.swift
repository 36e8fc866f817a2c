import Foundation

/// The process that a run happens in: its argument is a plan, its output the lines of the run.
public enum LoadChild {
  /// Runs the plan of an argument on the store that `open` makes. A run that fails is told by a
  /// line, and is no failure of the process.
  public static func run<Store: LoadedStore>(
    _ argument: String, open: (LoadPlan) async throws -> Store
  ) async {
    do {
      let plan = try LoadPlan(argument: argument)
      let store = try await open(plan)
      await LoadRun(store, plan, emit: say).run()
    } catch {
      say(.failed(LoadFailure(error)))
    }
  }

  /// Who started the process is gone when this cannot be written; then SIGPIPE ends it.
  @Sendable private static func say(_ line: LoadLine) {
    guard let text = try? line.text else { return }
    print(text)
    fflush(nil)
  }
}
