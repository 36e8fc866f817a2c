import Varve

func useStore(at path: String) async throws -> Int {
  // Once: 64 MiB, zero-filled. A file that exists is refused.
  try await Store.create(path: path, options: FormatOptions(byteCount: 64 << 20))

  // At each start: recovers by itself where the last run did not close.
  let store = try await Store.open(path: path)

  // Durable when it returns: this survives a power loss.
  try await store.put("cart:17", "3 apples")

  if let cart = try await store.get("cart:17") {
    // Only if nobody wrote meanwhile.
    let outcome = try await store.put(
      "cart:17", "4 apples", condition: .ifSequence(cart.sequence))
    if case .refused = outcome { print("somebody was faster") }
  }

  // Read, change, write; again if somebody was faster.
  try await store.update("visits") { current in
    .put("\((Int(current?.text ?? "") ?? 0) + 1)")
  }

  // All or nothing, also across a crash. Without conditions it is never refused.
  var order = Batch()
  order.put("order:1", "4 apples")
  order.delete("cart:17")
  _ = try await store.write(order)

  // Every live record, once.
  var keyCount = 0
  for try await record in store.records where !record.value.isEmpty { keyCount += 1 }

  // Finishes what was accepted, and marks the store clean.
  try await store.close()
  return keyCount
}
