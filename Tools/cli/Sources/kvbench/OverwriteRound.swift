import KeyLoad

/// One round: every store with the same plan, and what the device could do just before.
struct OverwriteRound: Codable {
  /// What one store did.
  struct Run: Codable {
    let store: String
    let plan: LoadPlan
    let report: LoadReport
  }

  /// fio's sequential writes of 1 MiB; nil without fio.
  let rawBytesPerSecond: Double?
  let seed: UInt64
  /// In the order in which they ran.
  let runs: [Run]
}
