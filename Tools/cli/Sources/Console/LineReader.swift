import Glibc

/// Lines of a descriptor, without their ends, one at a time and with a bound.
public struct LineReader {
  /// A line longer than this is given up: the longest value in base64, with room for the rest.
  public static let maximumByteCount = 32 << 20

  private static let chunkByteCount = 64 << 10
  private let descriptor: Int32
  private let name: String
  private let endsOnSignal: Bool
  private var buffer: [UInt8] = []
  private var position = 0
  private var isAtEnd = false

  /// Reads from a descriptor, which is not closed here and has this name in errors. A reader that
  /// `endsOnSignal` finds its end where `Interruption` saw a signal.
  public init(descriptor: Int32, name: String = "standard input", endsOnSignal: Bool = false) {
    self.descriptor = descriptor
    self.name = name
    self.endsOnSignal = endsOnSignal
  }

  /// What a call of `next` found.
  public enum Line: Hashable, Sendable {
    /// A line.
    case bytes([UInt8])
    /// A line over the bound, which was passed over.
    case tooLong
  }

  /// The next line, or nil at the end. Blocks until one is there.
  ///
  /// - Throws: where the system refuses to read.
  public mutating func next() throws(ToolError) -> Line? {
    var isOver = false
    var scanned = 0
    while true {
      if endsOnSignal, Interruption.signal != nil { return nil }
      if let end = buffer[(position + scanned)...].firstIndex(of: 10) {
        defer { position = end + 1 }
        return isOver ? .tooLong : .bytes(Array(buffer[position..<end]))
      }
      if isAtEnd {
        defer { position = buffer.count }
        guard position < buffer.count else { return isOver ? .tooLong : nil }
        return isOver ? .tooLong : .bytes(Array(buffer[position...]))
      }
      buffer.removeSubrange(..<position)
      position = 0
      if buffer.count > Self.maximumByteCount {
        isOver = true
        buffer.removeAll()
      }
      scanned = buffer.count
      if endsOnSignal, !Interruption.waitForInput(descriptor) { return nil }
      do throws(FileContents.Failure) {
        let chunk = try FileContents.readChunk(
          descriptor: descriptor, byteCount: Self.chunkByteCount)
        isAtEnd = chunk.isEmpty
        buffer.append(contentsOf: chunk)
      } catch {
        guard case .system(let number) = error else { return nil }
        throw .system("reading \(name)", errorNumber: number)
      }
    }
  }
}
