import VarveIO

/// Who holds a store that is looked at without a lock.
struct StoreHolder {
  /// The process, where the kernel names it.
  var processID: Int32?
  /// Whether it only reads.
  var isReading: Bool

  /// The holder of what lies at a path, or nil where nobody holds it.
  static func find(_ path: String) throws(StoreError) -> StoreHolder? {
    do throws(DeviceError) {
      // A reader's lock shows a writer; it is released at once.
      let probe = try DirectFile.open(path, options: OpenOptions(access: .readOnly))
      try probe.close()
      // It does not show a reader. A writer's lock would, and would get in the way of others.
      let file = try DirectFile.open(path, options: OpenOptions(access: .readOnly, lock: .none))
      let reader = file.lockHolder()
      try file.close()
      return reader.map { StoreHolder(processID: $0, isReading: true) }
    } catch {
      guard error.code == .inUse else { throw StoreError(error) }
      return StoreHolder(processID: error.holderProcessID, isReading: false)
    }
  }
}
