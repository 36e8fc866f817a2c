import DeviceLoad

extension RawProbe {
  /// The same load as the I/O layer's, by fio: latency from submission to completion, as there.
  func figures(
    _ kind: LoadKind, path: String, byteCount: UInt64, depth: Int, seconds: Double
  ) throws -> IOFigures {
    let mode =
      switch kind {
      case .randomRead: "randread"
      case .sequentialRead: "read"
      case .randomWrite, .flushedWrite: "randwrite"
      case .sequentialWrite: "write"
      }
    var arguments = [
      "--rw=\(mode)", "--bs=\(kind.byteCount)", "--ioengine=libaio", "--iodepth=\(depth)",
      "--filename=\(path)", "--size=\(byteCount)", "--time_based",
      "--runtime=\(Int(seconds * 1000))ms", "--norandommap", "--lat_percentiles=1",
      "--percentile_list=50:99", "--randseed=\(UInt32.random(in: 1...(.max)))",
    ]
    if !kind.isWriting { arguments.append("--readonly") }
    let job = try run(arguments)
    let side = kind.isWriting ? job.write : job.read
    let cpuSeconds = (job.usr_cpu + job.sys_cpu) / 100 * Double(job.job_runtime) / 1000
    let count = side.iops * Double(job.job_runtime) / 1000
    return IOFigures(
      rate: side.iops, cpuMicroseconds: cpuSeconds / max(count, 1) * 1e6,
      p50Microseconds: (side.lat_ns.percentile?["50.000000"] ?? 0) / 1000,
      p99Microseconds: (side.lat_ns.percentile?["99.000000"] ?? 0) / 1000)
  }
}
