import Foundation

/// What a process under load says: one JSON object a line on standard output, flushed, with one
/// member, whose name says what it is.
public enum LoadLine: Codable, Hashable, Sendable {
  /// The store is open.
  case opened(Opened)
  /// A second is over.
  case second(Second)
  /// A phase is over.
  case phase(Phase)
  /// The store is closed: the last line of a run that did not die.
  case closed(Closed)
  /// The run ends here; `closed` follows where there was a store to close.
  case failed(LoadFailure)

  /// The parts of a run, in their order.
  public enum PhaseName: String, Codable, Hashable, Sendable, CaseIterable {
    case load, warmUp, measured
  }

  /// How the store was set up.
  public struct Opened: Codable, Hashable, Sendable {
    /// Name and version.
    public var name: String
    /// How it is set up, in words.
    public var configuration: String
  }

  /// What was done in a second, or a little more where the machine was busy.
  public struct Second: Codable, Hashable, Sendable {
    /// The phase that it was a part of.
    public var phase: PhaseName
    /// How long it was.
    public var nanoseconds: UInt64
    /// Puts acknowledged.
    public var putCount: UInt64
    /// Gets answered.
    public var getCount: UInt64
    /// Written by the process.
    public var writtenByteCount: UInt64
    /// CPU of the process, in user and kernel mode.
    public var cpuSeconds: Double
    /// At the end of this second.
    public var diskByteCount: UInt64
  }

  /// What was done in a phase, one that failed too.
  public struct Phase: Codable, Hashable, Sendable {
    /// Which one.
    public var phase: PhaseName
    /// How long it took.
    public var seconds: Double
    /// Puts acknowledged.
    public var putCount: UInt64
    /// Gets answered.
    public var getCount: UInt64
    /// How long puts took.
    public var puts: LatencyFigures
    /// How long gets took.
    public var gets: LatencyFigures
    /// CPU of the process, in user and kernel mode.
    public var cpuSeconds: Double
    /// Written by the process.
    public var writtenByteCount: UInt64
    /// Written to the whole device; nil where there is none.
    public var deviceWrittenByteCount: UInt64?
    /// What the store says that it wrote, by cause.
    public var writtenByteCounts: [String: UInt64]
    /// What the store takes on its disk at the end.
    public var diskByteCount: UInt64
  }

  /// How it ended.
  public struct Closed: Codable, Hashable, Sendable {
    /// Keys that were read back after the last phase and had the right value.
    public var verifiedKeyCount: UInt64
    /// The most memory that the process had at once.
    public var peakResidentByteCount: UInt64
    /// What the store says of itself, for people.
    public var diagnostics: String
  }

  private enum Name: String, CodingKey, CaseIterable {
    case opened, second, phase, closed, failed
  }

  /// Reads the one member.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    guard let name = container.allKeys.first, container.allKeys.count == 1 else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(codingPath: [], debugDescription: "not one member of a known name"))
    }
    switch name {
    case .opened: self = .opened(try container.decode(Opened.self, forKey: name))
    case .second: self = .second(try container.decode(Second.self, forKey: name))
    case .phase: self = .phase(try container.decode(Phase.self, forKey: name))
    case .closed: self = .closed(try container.decode(Closed.self, forKey: name))
    case .failed: self = .failed(try container.decode(LoadFailure.self, forKey: name))
    }
  }

  /// Writes the one member.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Name.self)
    switch self {
    case .opened(let value): try container.encode(value, forKey: .opened)
    case .second(let value): try container.encode(value, forKey: .second)
    case .phase(let value): try container.encode(value, forKey: .phase)
    case .closed(let value): try container.encode(value, forKey: .closed)
    case .failed(let value): try container.encode(value, forKey: .failed)
    }
  }

  /// Reads a line.
  ///
  /// - Throws: `LoadFailure` with code `usage` where it is none.
  public init(text: some StringProtocol) throws {
    do {
      self = try JSONDecoder().decode(LoadLine.self, from: Data(text.utf8))
    } catch {
      throw LoadFailure(code: "usage", message: "this is no line of a run: \(text)")
    }
  }

  /// The line, without its end.
  public var text: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }
}
