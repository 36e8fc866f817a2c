// kvpeer: another store under exactly the load that kvbench puts on Varve. kvbench starts it:
//
//   kvpeer --list         the stores that it was built with, one a line
//   kvpeer NAME PLAN      runs a plan (LoadPlan, JSON) and tells what happens by lines (LoadLine)

import Foundation

let arguments = CommandLine.arguments.dropFirst()
if arguments.first == "--list", arguments.count == 1 {
  for peer in Peer.allCases { print(peer.rawValue) }
} else if arguments.count == 2, let peer = arguments.first.flatMap(Peer.init),
  let plan = arguments.last
{
  await peer.run(plan)
} else {
  let usage = """
    usage: kvpeer --list
           kvpeer NAME PLAN
    Runs another store for kvbench overwrite, which starts it.

    """
  FileHandle.standardError.write(Data(usage.utf8))
  exit(64)
}
