import Foundation

/// What the device can do without a store: fio, with direct I/O, on written extents.
struct RawProbe {
  let program: String
  let path: String
  let byteCount: UInt64

  /// Writes the whole file once, so that the probes meet written extents.
  func prepare() throws {
    _ = try run([
      "--rw=write", "--bs=1M", "--ioengine=libaio", "--iodepth=4", "--filename=\(path)",
      "--size=\(byteCount)",
    ])
  }

  /// Sequential writes of 1 MiB over a part of the file.
  func sequentialWriteBytesPerSecond() throws -> Double {
    try run([
      "--rw=write", "--bs=1M", "--ioengine=libaio", "--iodepth=4", "--filename=\(path)",
      "--size=\(min(byteCount, 1 << 30))",
    ]).write.bw_bytes
  }

  /// Random 4 KiB reads of the first bytes of a file that is only read.
  func randomReads(path: String, byteCount: UInt64, depth: Int) throws -> Rate {
    let job = try run([
      "--rw=randread", "--bs=4k", "--ioengine=libaio", "--iodepth=\(depth)", "--readonly",
      "--filename=\(path)", "--size=\(byteCount)", "--time_based", "--runtime=3", "--norandommap",
      "--randseed=\(UInt32.random(in: 1...(.max)))",
    ])
    let cpuSeconds = (job.usr_cpu + job.sys_cpu) / 100 * Double(job.job_runtime) / 1000
    let count = job.read.iops * Double(job.job_runtime) / 1000
    return Rate(rate: job.read.iops, cpuNanoseconds: cpuSeconds / max(count, 1) * 1e9)
  }

  /// 4 KiB writes in order, each followed by fdatasync.
  func flushedWrites() throws -> Double {
    try run([
      "--rw=write", "--bs=4k", "--ioengine=psync", "--fdatasync=1", "--filename=\(path)",
      "--size=64m", "--time_based", "--runtime=2",
    ]).write.iops
  }

  /// The part of fio's report that is used.
  struct Report: Decodable {
    struct Job: Decodable {
      struct Side: Decodable {
        struct Latency: Decodable {
          /// Nanoseconds by "50.000000" and the like; only where asked for.
          var percentile: [String: Double]?
        }
        var iops: Double
        var bw_bytes: Double
        var lat_ns: Latency
      }
      var read: Side
      var write: Side
      var usr_cpu: Double
      var sys_cpu: Double
      /// Milliseconds.
      var job_runtime: Int
    }
    var jobs: [Job]
  }

  func run(_ arguments: [String]) throws -> Report.Job {
    let text = try Child.run(
      "/usr/bin/env",
      [program, "--name=probe", "--direct=1", "--output-format=json"] + arguments)
    guard let start = text.firstIndex(of: "{"),
      let job = try JSONDecoder().decode(Report.self, from: Data(text[start...].utf8)).jobs.first
    else { throw BenchError("fio said: \(text)") }
    return job
  }
}
