import Synchronization

/// A flag that several tasks share.
final class SharedFlag: Sendable {
  private let value = Atomic<Bool>(false)

  func exchange(_ new: Bool) -> Bool { value.exchange(new, ordering: .acquiringAndReleasing) }
}
