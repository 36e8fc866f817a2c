import DeviceLoad
import Measuring
import Testing

@Suite struct DataRegionTests {
  @Test("A permutation has every number once in each round", arguments: [1, 2, 3, 17, 1000, 4096])
  func permutation(count: UInt64) {
    let permutation = Permutation(count: count, seed: Random.seed())
    for round in 0..<3 as Range<UInt64> {
      let numbers = (0..<count).map { permutation[round * count + $0] }
      #expect(numbers.sorted() == Array(0..<count))
    }
  }

  @Test("Runs that touch are joined; pages and blocks lie inside")
  func region() {
    let mebibyte: UInt64 = 1 << 20
    let region = DataRegion([
      DataRegion.Run(byteOffset: 8 * mebibyte, byteCount: 3 * mebibyte),
      DataRegion.Run(byteOffset: 0, byteCount: mebibyte),
      DataRegion.Run(byteOffset: mebibyte, byteCount: mebibyte / 2),
      DataRegion.Run(byteOffset: 4 * mebibyte, byteCount: 4096),
    ])
    #expect(region.runs.count == 3)
    #expect(region.byteCount == 4 * mebibyte + mebibyte / 2 + 4096)
    #expect(region.blockCount == 4)
    let blocks = (0..<region.blockCount).map { region.byteOffset(ofBlock: $0) / mebibyte }
    #expect(blocks == [0, 8, 9, 10])
    let pages = (0..<region.pageCount).map { region.byteOffset(ofPage: $0) }
    #expect(Set(pages).count == pages.count)
    #expect(pages.count == Int(region.byteCount / 4096))
    for page in pages {
      let run = region.runs.last { $0.byteOffset <= page }
      #expect(run.map { page + 4096 <= $0.byteOffset + $0.byteCount } == true)
    }
  }

  @Test("A source deals every page before one comes again")
  func source() {
    let source = AddressSource(DataRegion([DataRegion.Run(byteOffset: 4096, byteCount: 1 << 20)]))
    let pages = (0..<256).map { _ in source.nextPage() }
    #expect(pages.sorted() == (1...256).map { $0 * 4096 })
    #expect(source.roundCount == 1)
    #expect([source.nextBlock(), source.nextBlock()] == [4096, 4096])
  }

  @Test("Latencies: percentiles to one in a hundred, the longest exactly")
  func latencies() {
    var latencies = Latencies()
    #expect(latencies.nanoseconds(atPercent: 50) == 0)
    for value in 1...1000 as ClosedRange<UInt64> { latencies.record(value * 1000) }
    var other = Latencies()
    other.record(5_000_001)
    latencies.add(other)
    #expect(latencies.count == 1001)
    #expect(latencies.maximumNanoseconds == 5_000_001)
    #expect((495_000...510_000).contains(latencies.nanoseconds(atPercent: 50)))
    #expect(latencies.nanoseconds(atPercent: 100) == 5_000_001)
  }
}
