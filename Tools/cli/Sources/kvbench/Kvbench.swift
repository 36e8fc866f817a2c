// kvbench: what the store reaches beside what the device can do, in one run on one file system.
// Every figure of the store stands next to a raw probe of the same kind that ran just before it.

import ArgumentParser

/// The benchmark program.
@main
struct Kvbench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvbench",
    abstract: "Measure Varve beside the raw device and beside other stores.",
    discussion: """
      Figures are medians of several rounds; compare ratios, not absolute numbers,
      and run it on a machine that does nothing else. The device is measured with
      fio; where that is not installed, io alone compares with a plain loop instead.

      EXAMPLES:
        kvbench basics
        kvbench basics --at /mnt/data --keys 4000000 --rounds 5
        kvbench io
        kvbench io --path /dev/zram0 --write --engine aio --json
        kvbench overwrite --quick
      """,
    subcommands: [
      BasicsCommand.self, IOCommand.self, SubmissionsCommand.self, OverwriteCommand.self,
      LoadAndDieCommand.self, OverwriteVarveCommand.self,
    ])
}
