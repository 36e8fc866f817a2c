import VarveIO

/// Who holds a store that is looked at without a lock.
struct StoreHolder {
  /// The process, where the kernel names it.
  var processID: Int32?
  /// Whether it only reads.
  var isReading: Bool

  /// The holder of what lies at a path, or nil where the kernel names nobody. No lock is taken, not
  /// even for a moment: one that opens the store meanwhile must not be refused, nor another that
  /// looks be taken for a holder.
  static func find(_ path: String) throws(StoreError) -> StoreHolder? {
    do throws(DeviceError) {
      let file = try DirectFile.open(path, options: OpenOptions(access: .readOnly, lock: .none))
      let holder = file.lockHolder()
      try file.close()
      return holder.map { StoreHolder(processID: $0.processID, isReading: !$0.isWriter) }
    } catch {
      guard error.code == .inUse else { throw StoreError(error) }
      return StoreHolder(processID: error.holderProcessID, isReading: false)
    }
  }
}
