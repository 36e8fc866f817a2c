import VarveFormat
import VarveIO

/// Lays an empty store out on a device.
enum StoreFormatter {
  /// Formats any device.
  ///
  /// DURABILITY: old superblocks are invalidated and flushed first, then the table, then a flush,
  /// then the superblock: half a format is "not a store". The new identity salts every checksum,
  /// so nothing that the device held before can pass for a page of the new store.
  static func format(
    device: any BlockDevice, options: FormatOptions, environment: StoreEnvironment
  ) async throws(StoreError) {
    // A store has whole pages; what is left over at the end is not used.
    let page = UInt64(Limits.pageByteCount)
    let byteCount = (options.byteCount ?? device.byteCount) / page * page
    guard byteCount <= device.byteCount else {
      throw StoreError(
        .usage, "the device has \(device.byteCount) bytes, fewer than the \(byteCount) asked for")
    }
    let geometry = try geometry(byteCount: byteCount, options: options)
    var superblock = Superblock(
      uuid: StoreUUID(low: environment.randomWord(), high: environment.randomWord()),
      geometry: geometry, hashKeyLow: environment.randomWord(),
      hashKeyHigh: environment.randomWord(), label: options.label,
      createdMilliseconds: environment.wallMilliseconds())
    superblock.version = 1
    do throws(IOError) {
      try await invalidate(geometry, on: device)
      var table = SegmentTable(empty: geometry, uuid: superblock.uuid)
      _ = try await table.writeAll(on: device)
      try await SuperblockStore.write(superblock, on: device)
    } catch {
      throw StoreError(.io, "formatting failed: \(error)", byteOffset: error.byteOffset)
    }
  }

  /// The geometry for the options, or an error that names the limits.
  static func geometry(
    byteCount: UInt64, options: FormatOptions
  ) throws(StoreError) -> Geometry {
    guard byteCount >= Limits.minimumDeviceByteCount else {
      throw StoreError(
        .usage, "a store takes at least \(Limits.minimumDeviceByteCount) bytes, not \(byteCount)")
    }
    guard options.label.utf8.count <= Superblock.maximumLabelByteCount else {
      throw StoreError(.usage, "a label has at most \(Superblock.maximumLabelByteCount) bytes")
    }
    let segmentByteCount =
      options.segmentByteCount ?? Geometry.defaultSegmentByteCount(forDeviceByteCount: byteCount)
    do throws(FormatError) {
      return try Geometry(deviceByteCount: byteCount, segmentByteCount: segmentByteCount)
    } catch {
      throw StoreError(
        .usage,
        "a segment is a power of two from \(Limits.minimumSegmentByteCount) to "
          + "\(Limits.maximumSegmentByteCount) bytes, and a store has at least "
          + "\(Limits.minimumSegmentCount) of them: segments of \(segmentByteCount) bytes do not "
          + "do for a store of \(byteCount)")
    }
  }

  private static func invalidate(
    _ geometry: Geometry, on device: any BlockDevice
  ) async throws(IOError) {
    let zeros = PageBuffer(pageCount: 1)
    let devicePages = device.byteCount / UInt64(Limits.pageByteCount)
    for copy in 0..<Superblock.copyCount {
      for page in [
        geometry.superblockPage(copy: copy),
        Geometry.superblockPage(copy: copy, devicePageCount: devicePages),
      ] {
        if let error = await device.write(1, pagesAt: page, from: zeros) { throw error }
      }
    }
    // Valid pages of an earlier table would carry a foreign identity, but blank ones are clearer.
    for ordinal in 0..<Int(geometry.tablePageCount.rawValue) {
      for place in 0..<4 {
        let page = geometry.tablePage(ordinal, copy: place / 2, slot: place % 2)
        if let error = await device.write(1, pagesAt: page, from: zeros) { throw error }
      }
    }
    if let error = await device.flush() { throw error }
  }
}
