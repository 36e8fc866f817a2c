extension OracleJudgement {
  /// Names the rules that a state breaks which no prefix gives.
  func diagnosis() -> [String] {
    let keys = Set(recovered.keys).union(placed.flatMap(\.results.keys))
    let ordered = keys.sorted { $0.lexicographicallyPrecedes($1) }
    return ordered.compactMap(keyViolation) + placed.flatMap(batchViolations) + holes()
  }

  /// The versions of a key by ascending sequence number.
  private func versions(of key: Bytes) -> [Version] {
    placed.compactMap { operation in
      operation.results[key].map { Version(sequence: operation.sequence ?? 0, value: $0) }
    }
  }

  private func mayComeFromUnplaced(_ key: Bytes) -> Bool {
    unplaced.contains { $0.results[key].map { $0 == recovered[key] } ?? false }
  }

  /// Whether a key shows a version of that sequence number or a newer one.
  private func shows(_ key: Bytes, from sequence: UInt64) -> Bool {
    mayComeFromUnplaced(key)
      || versions(of: key).contains { $0.sequence >= sequence && $0.value == recovered[key] }
  }

  private func keyViolation(_ key: Bytes) -> String? {
    let name = Self.text(key)
    let all = versions(of: key)
    if let value = recovered[key], !mayComeFromUnplaced(key),
      !all.contains(where: { $0.value == value })
    {
      return "invention: key \(name) shows \(Self.text(value)), which was never submitted for it"
    }
    guard let promised = all.last(where: { $0.sequence <= floor }) else { return nil }
    if shows(key, from: promised.sequence) { return nil }
    guard let value = recovered[key] else {
      return "loss: key \(name), promised with sequence \(promised.sequence), is missing"
    }
    let kind = promised.value == nil ? "resurrection" : "rollback"
    return "\(kind): key \(name) shows \(Self.text(value)), older than the promised sequence "
      + "\(promised.sequence)"
  }

  private func batchViolations(_ operation: Oracle.Operation) -> [String] {
    guard operation.results.count > 1, let sequence = operation.sequence else { return [] }
    let shown = operation.results.keys.contains { shownSequence($0) == sequence }
    guard shown else { return [] }
    let missing = operation.results.keys.filter { !shows($0, from: sequence) }
    return missing.sorted { $0.lexicographicallyPrecedes($1) }.map { key in
      "batch: sequence \(sequence) shows in part; key \(Self.text(key)) is not as it says"
    }
  }

  /// The one version that a key can be showing, if that is certain.
  private func shownSequence(_ key: Bytes) -> UInt64? {
    guard let value = recovered[key], !mayComeFromUnplaced(key) else { return nil }
    let matching = versions(of: key).filter { $0.value == value }
    return matching.count == 1 ? matching[0].sequence : nil
  }

  private func holes() -> [String] {
    guard let newest = recovered.keys.compactMap(shownSequence).max() else { return [] }
    return placed.flatMap { operation -> [String] in
      guard let sequence = operation.sequence, sequence < newest, sequence > floor else {
        return []
      }
      let missing = operation.results.keys.filter { !shows($0, from: sequence) }
      return missing.sorted { $0.lexicographicallyPrecedes($1) }.map { key in
        "hole: sequence \(newest) survives, sequence \(sequence) of key \(Self.text(key)) does not"
      }
    }
  }

  /// Bytes for a message: as text where they are printable, shortened.
  static func text(_ bytes: Bytes) -> String {
    let start = bytes.prefix(32)
    let rest = bytes.count > 32 ? "… (\(bytes.count) bytes)" : ""
    if start.allSatisfy({ (0x20..<0x7f).contains($0) }) {
      return "\"" + String(decoding: start, as: UTF8.self) + "\"" + rest
    }
    let digits = Array("0123456789abcdef")
    return "0x" + String(start.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }) + rest
  }
}
