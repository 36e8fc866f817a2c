import Console
import Synchronization
import Testing

@Suite struct PipelineTests {
  private struct Stop: Error {}

  private final class Watch: Sendable {
    struct State {
      var running: [[UInt8]: Int] = [:]
      var runningByteCount = 0
      var highest = 0
      var highestByteCount = 0
      var collisions = 0
    }
    let state = Mutex(State())

    func begin(_ job: Pipeline.Job<Int>) {
      state.withLock { state in
        state.collisions += state.running[job.key] == nil ? 0 : 1
        state.running[job.key] = job.work
        state.runningByteCount += job.byteCount
        state.highest = max(state.highest, state.running.count)
        if state.running.count > 1 {
          state.highestByteCount = max(state.highestByteCount, state.runningByteCount)
        }
      }
    }

    func end(_ job: Pipeline.Job<Int>) {
      state.withLock { state in
        state.running[job.key] = nil
        state.runningByteCount -= job.byteCount
      }
    }
  }

  @Test("Every job runs once, within the bounds, and never two of one key at once")
  func bounds() async throws {
    let watch = Watch()
    var next = 0
    var ended: [Int] = []
    try await Pipeline.run(
      next: { () -> Pipeline.Job<Int>? in
        guard next < 5000 else { return nil }
        next += 1
        return Pipeline.Job(
          work: next, byteCount: next % 100 == 0 ? 40 << 20 : 1000, key: [UInt8(next * 7 % 251)])
      },
      perform: { job in
        watch.begin(job)
        await Task.yield()
        watch.end(job)
        return job.work
      },
      take: { ended.append($0) })
    #expect(ended.sorted() == Array(1...5000))
    watch.state.withLock { state in
      #expect(state.collisions == 0)
      #expect(state.highest > 1)
      #expect(state.highest <= Pipeline.maximumJobCount)
      #expect(state.highestByteCount <= Pipeline.maximumByteCount)
    }
  }

  @Test("After an error nothing is begun, and what runs is finished")
  func stops() async {
    let ended = Mutex(0)
    var begun = 0
    await #expect(throws: Stop.self) {
      try await Pipeline.run(
        next: { () -> Pipeline.Job<Int>? in
          begun += 1
          return Pipeline.Job(
            work: begun, byteCount: 1, key: [UInt8(begun & 255), UInt8(begun >> 8)])
        },
        perform: { job in
          await Task.yield()
          ended.withLock { $0 += 1 }
          if job.work == 300 { throw Stop() }
        },
        take: { (_: Void) in })
    }
    #expect(ended.withLock { $0 } == begun)
    #expect(begun < 300 + 2 * Pipeline.maximumJobCount)
  }
}
