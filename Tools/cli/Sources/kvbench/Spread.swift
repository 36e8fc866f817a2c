import Console

/// The median of several rounds and how far they lie apart.
struct Spread {
  let median: Double
  let minimum: Double
  let maximum: Double

  /// Zeros without any value.
  init(_ values: [Double]) {
    let sorted = values.sorted()
    minimum = sorted.first ?? 0
    maximum = sorted.last ?? 0
    let middle = sorted.count / 2
    median =
      sorted.isEmpty
      ? 0
      : sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }

  var json: JSONValue {
    ["median": .number(median), "minimum": .number(minimum), "maximum": .number(maximum)]
  }
}
