import VarveFormat
import VarveIO

/// Reads, elects and writes the four copies of the superblock.
enum SuperblockStore {
  /// What the copies say.
  struct Election {
    /// The newest valid one, or nil.
    var superblock: Superblock?
    /// Copies that hold it.
    var validCount = 0
    /// Whether a copy says that a newer library wrote it.
    var isNewerFormat = false
    /// Whether a copy is damaged rather than absent.
    var isDamaged = false
    /// Whether reading failed.
    var failure: IOError?
    /// Whether a copy names another size than the one that counts: a growth was interrupted.
    var hasOtherSize = false
  }

  /// Reads the copies at both ends of the device, and where the superblock says that its own end
  /// is elsewhere (the device was grown), there too.
  static func elect(on device: any BlockDevice) async -> Election {
    var election = Election()
    let devicePages = device.byteCount / UInt64(Limits.pageByteCount)
    guard devicePages > 2 * UInt64(Geometry.superblockSpacing) else { return election }
    for copy in 0..<Superblock.copyCount {
      await consider(
        Geometry.superblockPage(copy: copy, devicePageCount: devicePages), on: device, &election)
    }
    if let found = election.superblock, found.geometry.devicePageCount < devicePages {
      for copy in 2..<Superblock.copyCount {
        await consider(found.geometry.superblockPage(copy: copy), on: device, &election)
      }
    }
    return election
  }

  private static func consider(
    _ page: PageIndex, on device: any BlockDevice, _ election: inout Election
  ) async {
    let buffer = PageBuffer(pageCount: 1)
    if let error = await device.read(1, pagesAt: page, into: buffer) {
      election.failure = error
      election.isDamaged = true
      return
    }
    let result = buffer.withPage(0) { bytes -> Result<Superblock, FormatError> in
      do throws(FormatError) {
        return .success(try Superblock(decoding: bytes, at: page))
      } catch {
        return .failure(error)
      }
    }
    switch result {
    case .success(let superblock):
      if let best = election.superblock, best.uuid == superblock.uuid,
        best.geometry != superblock.geometry
      {
        election.hasOtherSize = true
      }
      if let best = election.superblock, best.version >= superblock.version {
        if best == superblock { election.validCount += 1 }
      } else {
        election.superblock = superblock
        election.validCount = 1
      }
    case .failure(.newerFormat): election.isNewerFormat = true
    case .failure(.blank), .failure(.notThisStructure): break
    case .failure: election.isDamaged = true
    }
  }

  /// Writes all copies.
  ///
  /// DURABILITY: copies 0 and 2 are flushed before copies 1 and 3 are touched, so that at every
  /// moment two whole copies of one version are on the medium. On return at least three copies
  /// are durable: what the old superblock named may be reused. With fewer it throws, and the caller
  /// poisons the store.
  static func write(_ superblock: Superblock, on device: any BlockDevice) async throws(IOError) {
    let buffer = PageBuffer(pageCount: 1)
    var writtenCount = 0
    var failure: IOError?
    for half in [[0, 2], [1, 3]] {
      for copy in half {
        buffer.withMutablePage(0) { superblock.encode(into: &$0, copy: copy) }
        let page = superblock.geometry.superblockPage(copy: copy)
        if let error = await device.write(1, pagesAt: page, from: buffer) {
          failure = error
        } else {
          writtenCount += 1
        }
      }
      // Neither copy of this half: the other half, which is whole, stays as it is.
      if writtenCount == 0, let failure { throw failure }
      if let error = await device.flush() { throw error }
    }
    if writtenCount < 3, let failure { throw failure }
  }
}
