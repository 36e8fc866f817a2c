import Console

/// Where a load takes its records from.
protocol LoadSource: AnyObject {
  /// The bytes of keys and values to come, or nil where nobody knows.
  func totalByteCount(maximumValueByteCount: Int) -> UInt64?

  /// The next record to store, or nil at the end.
  ///
  /// - Throws: at what cannot be stored, unless errors are to be skipped.
  func next(_ tally: LoadTally) throws -> Pipeline.Job<LoadTally.Work>?
}

extension LoadSource {
  func totalByteCount(maximumValueByteCount: Int) -> UInt64? { nil }
}
