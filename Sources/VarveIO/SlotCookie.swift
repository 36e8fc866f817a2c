/// What a request carries through the kernel and its completion brings back: a slot and how often
/// that has been used, odd while it is in use. Linux AIO and io_uring have 64 bits for it.
struct SlotCookie: Equatable {
  let index: Int
  let generation: UInt32

  init(index: Int, generation: UInt32) {
    self.index = index
    self.generation = generation
  }

  init(bits: UInt64) {
    index = Int(bits & 0xffff_ffff)
    generation = UInt32(bits >> 32)
  }

  var bits: UInt64 { UInt64(generation) << 32 | UInt64(index) }

  /// Whether it can name a request at all, in a table of so many slots.
  func isPlausible(in capacity: Int) -> Bool { index < capacity && generation % 2 == 1 }
}
