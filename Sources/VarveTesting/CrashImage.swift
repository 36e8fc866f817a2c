/// The two classes of crash that a store promises something for.
public enum Crash: Sendable, CaseIterable {
  /// The process dies: what completed is there, what was in flight may be.
  case kill
  /// Power is lost: of all that no flush has covered, any sectors may be there.
  case power
}

/// What one crash may leave on the medium.
public struct CrashImage: Sendable {
  /// The class of the crash.
  public let crash: Crash
  /// How many events of the history had happened.
  public let eventIndex: Int
  /// Identifies the content: a test may remember what an engine made of it.
  public let digest: UInt64
  /// Which of the unsettled writes survived, for a failure message.
  public let summary: String
  package let image: SparseImage

  /// A device with this content; images and devices share their memory until it is written.
  public func makeDevice(delivery: Delivery = .background) -> RAMDevice {
    RAMDevice(image: image, delivery: delivery)
  }
}
