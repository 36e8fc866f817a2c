import Glibc
import Measuring
import VarveIO

/// A look for the parts of a file that hold data: the file system names the holes, and a sample of
/// what is left is read.
public struct DataSurvey: Sendable {
  /// Where data was found.
  public private(set) var region = DataRegion([])
  /// The pieces that were looked into.
  public private(set) var sampledCount = 0
  /// Those of them that held zeros only.
  public private(set) var zeroCount = 0
  /// Those of them that could not be read.
  public private(set) var unreadableCount = 0
  /// The bytes that the file system has no data for.
  public private(set) var holeByteCount: UInt64 = 0

  /// At most so many pieces are looked into, of at least 1 MiB each.
  private static let maximumPieceCount: UInt64 = 2048
  /// A file in more extents than this is taken up to the last of them.
  private static let maximumExtentCount = 65_536
  /// Pages read of each piece: one alone may be the header of something empty.
  private static let samplePageCount = 2

  /// Looks for data for at most `seconds`, in random order, so that what is found by then is spread
  /// over the file.
  public init(of file: borrowing DirectFile, seconds: Double) {
    let extents = Self.extents(of: file, &holeByteCount)
    let total = extents.reduce(0) { $0 + $1.byteCount }
    let mebibyte: UInt64 = 1 << 20
    let share = total / Self.maximumPieceCount
    let pieceByteCount = max(mebibyte, (share + mebibyte - 1) / mebibyte * mebibyte)
    var pieces: [DataRegion.Run] = []
    for extent in extents {
      for start in stride(from: 0, to: extent.byteCount, by: Int(pieceByteCount)) {
        pieces.append(
          DataRegion.Run(
            byteOffset: extent.byteOffset + start,
            byteCount: min(pieceByteCount, extent.byteCount - start)))
      }
    }
    pieces.shuffle()
    let page = AlignedMemory(byteCount: 4096)
    let deadline = MonotonicClock.nanoseconds() + UInt64(seconds * 1e9)
    var found: [DataRegion.Run] = []
    for piece in pieces {
      guard MonotonicClock.nanoseconds() < deadline else { break }
      sampledCount += 1
      switch Self.holdsData(piece, of: file, page) {
      case true?: found.append(piece)
      case false?: zeroCount += 1
      case nil: unreadableCount += 1
      }
    }
    region = DataRegion(found)
  }

  /// Whether one of a few random pages is not zero; nil where none can be read.
  private static func holdsData(
    _ piece: DataRegion.Run, of file: borrowing DirectFile, _ page: borrowing AlignedMemory
  ) -> Bool? {
    var wasRead = false
    let memory = unsafe UnsafeMutableRawBufferPointer(start: page.base, count: page.byteCount)
    for _ in 0..<samplePageCount {
      let index = UInt64.random(in: 0..<piece.byteCount / 4096)
      do throws(DeviceError) {
        // SAFETY: the memory is the page's, which outlives the call.
        try unsafe file.read(into: memory, byteOffset: piece.byteOffset + index * 4096)
        wasRead = true
      } catch {
        continue
      }
      if unsafe memory.contains(where: { $0 != 0 }) { return true }
    }
    return wasRead ? false : nil
  }

  /// What is no hole, in whole pages: everything where the file system does not tell.
  private static func extents(
    of file: borrowing DirectFile, _ holeByteCount: inout UInt64
  ) -> [DataRegion.Run] {
    let end = file.byteCount
    let whole = [DataRegion.Run(byteOffset: 0, byteCount: end)]
    guard file.kind == .regularFile else { return whole }
    var extents: [DataRegion.Run] = []
    var position: UInt64 = 0
    while position < end, extents.count < maximumExtentCount {
      // SEEK_DATA and SEEK_HOLE, which the system's module leaves out.
      let data = lseek(file.descriptorNumber, Int(position), 3)
      if data < 0, errno == ENXIO {
        holeByteCount += end - position
        return extents
      }
      let hole = data < 0 ? data : lseek(file.descriptorNumber, data, 4)
      guard hole > data else {
        holeByteCount = 0
        return whole
      }
      holeByteCount += UInt64(data) - position
      let start = (UInt64(data) + 4095) & ~4095
      let limit = min(UInt64(hole) & ~4095, end)
      if limit > start {
        extents.append(DataRegion.Run(byteOffset: start, byteCount: limit - start))
      }
      position = UInt64(hole)
    }
    return extents
  }
}
