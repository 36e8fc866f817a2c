import Console
import Varve

/// Counts what a dump wrote and what it could not read.
struct DumpTally {
  /// Whether the log has damage that may have taken whole records with it.
  let mayMissRecords: Bool
  private(set) var recordCount = 0
  private(set) var byteCount: UInt64 = 0
  private var suspectCount = 0
  private var damageCount = 0
  private var firstDamage: StoreError?

  init(mayMissRecords: Bool) { self.mayMissRecords = mayMissRecords }

  /// Whether an error concerns one record, so that the others can still be read.
  static func isDamage(_ error: StoreError) -> Bool {
    [.corrupt, .suspect, .io].contains(error.code)
  }

  mutating func add(_ record: Record, isSuspect: Bool) {
    recordCount += 1
    byteCount += UInt64(record.key.count + record.value.count)
    if isSuspect { suspectCount += 1 }
  }

  mutating func add(_ damage: StoreError) {
    damageCount += 1
    firstDamage = firstDamage ?? damage
  }

  /// What the dump ends with, where it is not all that was stored.
  var error: ToolError? {
    guard damageCount > 0 || mayMissRecords else { return nil }
    var message = "\(recordCount) records were written"
    if suspectCount > 0 { message += ", \(suspectCount) of them suspect" }
    if mayMissRecords { message += "; damage of the log may have taken others" }
    if let firstDamage {
      message += "; \(damageCount) could not be read, the first because \(firstDamage.message)"
    }
    return ToolError(
      .damaged, code: firstDamage?.code.rawValue ?? StoreError.Code.suspect.rawValue, message,
      byteOffset: firstDamage?.byteOffset)
  }
}
