import VarveFormat

/// Where the TTL clock of an open begins: the later of the stored mark and the wall clock, unless
/// that runs suspiciously far ahead. Pure, so that every case can be tried.
struct ClockStart: Hashable {
  /// The first time of the clock, in milliseconds since 1970.
  let milliseconds: UInt64
  /// How far the wall clock was ahead of a mark that holds; nil where it was believed.
  let heldJumpMilliseconds: UInt64?

  /// Judges the wall clock.
  ///
  /// - Parameters:
  ///   - markMilliseconds: The stored high-water mark. A wall clock behind it says nothing.
  ///   - wallMilliseconds: What the machine says.
  ///   - hasExpiries: Whether the store may hold records with an expiry. Without any, nothing can
  ///     expire by mistake, so every wall clock is believed.
  ///   - jump: What the caller wants done about a jump.
  ///   - bound: How far ahead the wall clock is believed unasked, in milliseconds.
  init(
    markMilliseconds: UInt64, wallMilliseconds: UInt64, hasExpiries: Bool, jump: ClockJump,
    boundMilliseconds bound: UInt64
  ) {
    let mark = min(markMilliseconds, Limits.maximumCounter)
    let wall = min(wallMilliseconds, Limits.maximumCounter)
    let isHeld = hasExpiries && jump == .hold && wall > mark && wall - mark > bound
    milliseconds = isHeld ? mark : max(mark, wall)
    heldJumpMilliseconds = isHeld ? wall - mark : nil
  }
}
