import ArgumentParser

/// The root command.
struct Kvctl: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvctl",
    abstract: "Administers a Varve store in a file or on a block device.",
    discussion: """
      EXAMPLES:
        kvctl create store.varve --size 1GiB
        kvctl put store.varve greeting hello
        kvctl get store.varve greeting
        kvctl load store.varve --directory /usr/share/doc
        kvctl dump store.varve > backup.jsonl
        kvctl recover store.varve --plan
        kvctl compact store.varve
        kvctl resize store.varve --size 4GiB --dry-run
        kvctl segments store.varve
        kvctl stat store.varve --watch
        kvctl probe /var/lib/myservice

      STORE may also come from the variable KVCTL_STORE.

      EXIT CODES:
        0   done, clean
        1   key not found, or another failure named on stderr
        10  recover: the store had not been closed; done, and at most an
            unacknowledged tail was dropped (the counts are printed)
        20  damage found       30  refused, nothing changed
        31  in use             32  out of resources           64  usage
        128 and the number of the signal that ended create, resize, shell
            or probe
      """,
    version: "0.1.0",
    groupedSubcommands: [
      CommandGroup(
        name: "Stores",
        subcommands: [
          CreateCommand.self, InfoCommand.self, StatCommand.self, SegmentsCommand.self,
          RecoverCommand.self, CompactCommand.self, ResizeCommand.self,
        ]),
      CommandGroup(
        name: "Keys", subcommands: [GetCommand.self, PutCommand.self, DelCommand.self]),
      CommandGroup(
        name: "Contents",
        subcommands: [LoadCommand.self, DumpCommand.self, VerifyCommand.self]),
      CommandGroup(name: "Sessions", subcommands: [ShellCommand.self]),
      CommandGroup(name: "Devices", subcommands: [ProbeCommand.self]),
    ])
}
