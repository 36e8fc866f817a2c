extension BlockDevice {
  /// None: the device takes no discards.
  public var discardGranularityByteCount: Int? { nil }

  /// Fails: the device takes no discards.
  public func discard(_ range: Range<UInt64>) throws(DeviceError) {
    throw DeviceError(.unsupported, path: "", message: "this device takes no discards")
  }
}
