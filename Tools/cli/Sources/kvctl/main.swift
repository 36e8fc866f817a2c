import Console

await ToolMain.run(Kvctl.self)
