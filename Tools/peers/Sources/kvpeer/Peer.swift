import KeyLoad

/// The stores that this program was built with, by the names that kvbench knows them by. Another
/// one is a type that conforms to `LoadedStore`, its C library as a target, and a case here.
enum Peer: String, CaseIterable {
  case rocksdb

  /// Runs a plan on a new store.
  func run(_ plan: String) async {
    switch self {
    case .rocksdb: await LoadChild.run(plan) { try RocksDBStore($0) }
    }
  }
}
