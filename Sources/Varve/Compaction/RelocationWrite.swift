import VarveFormat
import VarveIO

/// A step on its way to the device: frames that are written and then flushed.
struct RelocationWrite {
  /// What became of the frames.
  enum Result: Sendable {
    case durable
    /// A write failed, and the flush was left out.
    case writeFailed(IOError)
    case flushFailed(IOError)
  }

  /// Whose records they are.
  let victim: SegmentIndex
  let frames: [RelocationFrame]
  /// What has a copy in them.
  let moves: [Move]
  /// Where the frames of each segment end.
  let ends: [OutputEnd]
  /// The victim, where the step is its last.
  let finishedVictim: SegmentIndex?
  /// Bytes of segments that it wins.
  let wonByteCount: Int
  let step: BackgroundStep<Result>

  /// Bytes of the frames.
  var byteCount: Int { frames.reduce(0) { $0 + $1.pageCount } * Limits.pageByteCount }

  static func write(_ frames: [RelocationFrame], to device: any BlockDevice) async -> Result {
    let failure = await withTaskGroup(of: IOError?.self) { group in
      for frame in frames { group.addTask { await frame.write(to: device) } }
      return await group.reduce(nil) { $0 ?? $1 }
    }
    if let failure { return .writeFailed(failure) }
    // DURABILITY: submitted after every write has completed, so that it covers them.
    if let failure = await device.flush() { return .flushFailed(failure) }
    return .durable
  }
}
