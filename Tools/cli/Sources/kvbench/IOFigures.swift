/// What one measurement of the I/O layer, or of its peer, gave.
struct IOFigures {
  /// Requests a second.
  var rate: Double
  /// CPU for each request, user and system together.
  var cpuMicroseconds: Double
  var p50Microseconds: Double
  var p99Microseconds: Double
}
