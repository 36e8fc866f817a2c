import VarveIO

/// What direct I/O in units of 512 bytes does, beside what is announced.
public struct SectorTrial: Hashable, Sendable {
  /// Whether 512 bytes can be read at an offset that is a multiple of 512.
  public var canReadSectors: Bool?
  /// Whether a page can be read into memory that is aligned to 512.
  public var canReadToSectorMemory: Bool?
  /// Whether 512 bytes can be written; nil where nothing may be.
  public var canWriteSectors: Bool?
  /// Whether sectors that were read one by one are the page that was read as one.
  public var doSectorsAgree: Bool?

  /// The unit that is tried: the smallest that any disk announces.
  public static let sectorByteCount = 512

  /// Nothing tried: without direct I/O any alignment works.
  public init() {}

  /// Tries it on one page; a write puts back what was read there.
  public init(of file: borrowing DirectFile, at byteOffset: UInt64, mayWrite: Bool) {
    let memory = AlignedMemory(byteCount: 3 * 4096)
    // SAFETY: the three pages belong to `memory`, which outlives every use of these.
    let page = unsafe UnsafeMutableRawBufferPointer(start: memory.base, count: 4096)
    let sectors = unsafe UnsafeMutableRawBufferPointer(start: memory.base + 4096, count: 4096)
    let shifted = unsafe UnsafeMutableRawBufferPointer(
      start: memory.base + 4096 + Self.sectorByteCount, count: 4096)
    guard unsafe Self.reads(file, page, byteOffset) else { return }
    let starts = stride(from: 0, to: 4096, by: Self.sectorByteCount)
    canReadSectors = starts.allSatisfy { start in
      unsafe Self.reads(
        file,
        UnsafeMutableRawBufferPointer(rebasing: sectors[start..<start + Self.sectorByteCount]),
        byteOffset + UInt64(start))
    }
    if canReadSectors == true {
      let agree = unsafe page.elementsEqual(sectors)
      // What somebody else was just writing may differ without anybody lying.
      let isStable = unsafe Self.reads(file, sectors, byteOffset) && page.elementsEqual(sectors)
      if agree || isStable { doSectorsAgree = agree }
    }
    canReadToSectorMemory = unsafe Self.reads(file, shifted, byteOffset)
    guard mayWrite else { return }
    let sector = unsafe UnsafeRawBufferPointer(rebasing: page[..<Self.sectorByteCount])
    canWriteSectors = unsafe (try? file.write(sector, byteOffset: byteOffset)) != nil
  }

  private static func reads(
    _ file: borrowing DirectFile, _ memory: UnsafeMutableRawBufferPointer, _ byteOffset: UInt64
  ) -> Bool {
    // SAFETY: the caller's memory outlives the call.
    unsafe (try? file.read(into: memory, byteOffset: byteOffset)) != nil
  }

  /// What contradicts the announcement, or nil.
  public func contradiction(of traits: DeviceTraits) -> String? {
    if doSectorsAgree == false {
      return "512-byte reads return other bytes than a 4096-byte read of the same place"
    }
    let announced = traits.offsetAlignment ?? traits.logicalSectorByteCount ?? 4096
    guard announced > 0, announced <= Self.sectorByteCount else { return nil }
    if canReadSectors == false { return "\(announced)-byte alignment is announced, and refused" }
    if canWriteSectors == false {
      return "\(announced)-byte alignment is announced, and refused for writes"
    }
    return nil
  }
}
