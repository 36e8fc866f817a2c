import ArgumentParser

/// The root command.
struct Kvctl: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kvctl",
    abstract: "Administers a Varve store in a file or on a block device.",
    discussion: """
      EXAMPLES:
        kvctl create /var/lib/app/store --size 1GiB
        kvctl put /var/lib/app/store greeting hello
        kvctl get /var/lib/app/store greeting
        kvctl load /var/lib/app/store --directory /usr/share/doc
        kvctl dump /var/lib/app/store > backup.jsonl
        kvctl recover /var/lib/app/store --plan

      STORE may also come from the variable KVCTL_STORE.

      EXIT CODES:
        0 done   1 key not found, or another failure named on stderr
        10 recovered: an unacknowledged tail was dropped   20 damage found
        30 refused, nothing changed   31 in use   32 out of resources   64 usage
      """,
    version: "0.1.0",
    groupedSubcommands: [
      CommandGroup(
        name: "Stores",
        subcommands: [
          CreateCommand.self, InfoCommand.self, StatCommand.self, RecoverCommand.self,
        ]),
      CommandGroup(
        name: "Keys", subcommands: [GetCommand.self, PutCommand.self, DelCommand.self]),
      CommandGroup(
        name: "Contents",
        subcommands: [LoadCommand.self, DumpCommand.self, VerifyCommand.self]),
      CommandGroup(name: "Sessions", subcommands: [ShellCommand.self]),
    ])
}
