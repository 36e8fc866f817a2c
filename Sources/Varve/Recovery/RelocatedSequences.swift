import VarveFormat

/// The sequence numbers of relocated records that the index names, by their places: what two copies
/// of one key are compared by. 12 bytes a record.
///
/// Invariant: within a segment records are noted in the order of the log, so that places ascend.
struct RelocatedSequences {
  private struct Column {
    /// Page in the segment and slot.
    var places: [UInt32] = []
    var sequences: [SequenceNumber] = []
  }

  /// Bytes of memory that each record takes.
  static let byteCountPerRecord = 12

  private let geometry: Geometry
  private var columns: [SegmentIndex: Column] = [:]

  init(geometry: Geometry) { self.geometry = geometry }

  /// Notes a record that the index now names.
  mutating func note(_ record: SummaryEntry, in segment: SegmentIndex) {
    columns[segment, default: Column()].places.append(place(record.location, in: segment))
    columns[segment, default: Column()].sequences.append(record.sequence)
  }

  /// The sequence number of the record at a place, or nil where none was noted.
  func sequence(at location: RecordLocation, in segment: SegmentIndex) -> SequenceNumber? {
    guard let column = columns[segment] else { return nil }
    let wanted = place(location, in: segment)
    var (low, high) = (0, column.places.count)
    while low < high {
      let middle = (low + high) / 2
      if column.places[middle] < wanted { low = middle + 1 } else { high = middle }
    }
    guard low < column.places.count, column.places[low] == wanted else { return nil }
    return column.sequences[low]
  }

  private func place(_ location: RecordLocation, in segment: SegmentIndex) -> UInt32 {
    let page = location.page.rawValue - geometry.firstPage(of: segment).rawValue
    return UInt32(page) << 8 | UInt32(location.slot)
  }
}
