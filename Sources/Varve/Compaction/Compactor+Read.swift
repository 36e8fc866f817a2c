// Reading: a step begins as soon as the one before knows where it ends, which its summary tells.

import VarveFormat
import VarveIO

extension Compactor {
  /// Begins to read the next records, of another victim where one is done.
  func readOn(_ minimumYield: Double?) {
    followNewestRead()
    guard !isStuck, !isGivenUp, reads.count < Compactor.readCount, reads.last?.isFollowed ?? true,
      heldByteCount == 0 || heldByteCount + stepByteCount <= memoryByteLimit,
      victim != nil || mayBegin, rateLimit?.allows(wake: log.maintenance) ?? true
    else { return }
    if victim == nil, let minimumYield, let chosen = chooseVictim(minimumYield: minimumYield) {
      begin(chosen)
    }
    guard let victim else { return }
    // What it finds says where to go on.
    self.victim = nil
    reads.append(
      RelocationRead(
        victim, reader: segmentReader, byteLimit: stepByteCount, index: log.index,
        buffers: readBuffers, on: thread, wake: log.maintenance))
  }

  /// Goes on in the victim where the newest step has ended.
  private func followNewestRead() {
    guard let last = reads.last, !last.isFollowed, let end = last.end.take() else { return }
    reads[reads.count - 1].isFollowed = true
    victim = end.rest
  }

  /// Where free segments are scarce one victim follows the other, so that each is sure to be freed.
  private var mayBegin: Bool { ledger.free.count > outputs.count || isIdle }

  private func begin(_ candidate: VictimCandidate) {
    let entry = ledger[candidate.segment]
    hold(candidate.segment)
    victimCount += 1
    let next = entry.stream == .user ? 0 : Int(entry.stream.rawValue)
    victim = Relocation(
      victim: candidate.segment, entry: entry,
      stream: outputs[min(next, outputs.count - 1)].stream, yield: 1 - candidate.utilization)
  }
}
