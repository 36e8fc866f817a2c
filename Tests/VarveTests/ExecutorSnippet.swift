import Varve

struct Cart: Sendable {
  let owner: String

  /// Looks a price up and puts the article into the cart: two round trips to the store.
  func add(_ article: String, in store: Store) async throws {
    guard let price = try await store.get("price:\(article)") else { return }
    try await store.put("cart:\(owner):\(article)", price.value)
  }
}

func serve(_ carts: [Cart], in store: Store) async throws {
  try await withTaskExecutorPreference(store.executor) {
    try await withThrowingTaskGroup { group in
      for cart in carts {
        // A child task prefers what its parent does: it runs on the I/O threads.
        group.addTask { try await cart.add("apple", in: store) }
      }
      try await group.waitForAll()
    }
  }
}
