import Console

await ToolMain.run(SessionService.self)
