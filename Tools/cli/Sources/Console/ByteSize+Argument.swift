import ArgumentParser

extension ByteSize {
  /// Reads the size of an option, for its `transform`.
  ///
  /// - Throws: what a size looks like, where the text is none.
  @Sendable public static func argument(_ text: String) throws -> ByteSize {
    if let size = ByteSize(text) { return size }
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let isUnit = ["", "B", "KiB", "MiB", "GiB", "TiB"].contains(text.dropFirst(digits.count))
    guard digits.isEmpty || !isUnit else {
      throw ValidationError("a size is below 16777216TiB (64 bits)")
    }
    throw ValidationError(
      "a size is a whole number of bytes with KiB, MiB, GiB or TiB (powers of 1024) or no unit, "
        + "such as 64MiB")
  }
}
