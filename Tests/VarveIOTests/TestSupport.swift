import Glibc
import Synchronization
import Testing
import VarveIO

/// fork(2), which Swift hides: the child calls `_exit` without a detour.
@_silgen_name("fork") func forkProcess() -> Int32

/// A request whose end can be awaited or waited for.
final class TestRequest: IORequest, @unchecked Sendable {
  private enum State {
    case idle
    case waiting(CheckedContinuation<IOError?, Never>)
    case completed(IOError?)
  }

  private let state = Mutex(State.idle)
  private let completions = Atomic<Int>(0)

  var completionCount: Int { completions.load(ordering: .sequentiallyConsistent) }

  override func complete(_ error: IOError?) {
    completions.wrappingAdd(1, ordering: .sequentiallyConsistent)
    let waiting = state.withLock { state -> CheckedContinuation<IOError?, Never>? in
      if case .waiting(let continuation) = state {
        state = .idle
        return continuation
      }
      state = .completed(error)
      return nil
    }
    waiting?.resume(returning: error)
  }

  /// The result of the last submission.
  func result() async -> IOError? {
    await withCheckedContinuation { continuation in
      let done = state.withLock { state -> IOError?? in
        if case .completed(let error) = state {
          state = .idle
          return .some(error)
        }
        state = .waiting(continuation)
        return nil
      }
      if let done { continuation.resume(returning: done) }
    }
  }
}

/// Page-aligned memory that a test shares with a device.
final class Buffer: @unchecked Sendable {
  // SAFETY: a test touches the bytes only while no request uses them.
  private let memory: AlignedMemory
  var base: UnsafeMutableRawPointer { memory.base }

  init(_ byteCount: Int, filledWith byte: UInt8 = 0) {
    memory = AlignedMemory(byteCount: byteCount)
    memset(memory.base, Int32(byte), memory.byteCount)
  }

  subscript(index: Int) -> UInt8 { base.load(fromByteOffset: index, as: UInt8.self) }

  func isFilled(with byte: UInt8, byteCount: Int) -> Bool {
    UnsafeRawBufferPointer(start: base, count: byteCount).allSatisfy { $0 == byte }
  }
}

extension BlockDevice {
  /// Submits one request and waits for it.
  func perform(
    _ operation: IOOperation, _ buffer: Buffer? = nil, byteCount: Int = 0, at byteOffset: UInt64 = 0
  ) async -> IOError? {
    let request = TestRequest(
      operation: operation, memory: buffer?.base, byteCount: byteCount, byteOffset: byteOffset)
    submit(request)
    return await request.result()
  }
}

/// A directory on a real file system, removed with its owner.
final class TestFolder: Sendable {
  let path: String

  init() throws {
    var template = Array("/var/tmp/varve-io-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure("mkdtemp failed: \(errno)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    if let folder = opendir(path) {
      while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name == "." || name == ".." { continue }
        unlink(path + "/" + name)
        rmdir(path + "/" + name)
      }
      closedir(folder)
    }
    rmdir(path)
  }

  func file(_ name: String = "store") -> String { path + "/" + name }

  /// Makes a small file by ordinary means.
  func write(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws -> String {
    let descriptor = open(file(name), O_CREAT | O_TRUNC | O_WRONLY, mode)
    guard descriptor >= 0 else { throw Failure("open failed: \(errno)") }
    defer { close(descriptor) }
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw Failure("write failed: \(errno)")
    }
    return file(name)
  }
}

struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// The device error that a body throws.
func deviceError<Value: ~Copyable>(_ body: () throws -> Value) throws -> DeviceError {
  do {
    _ = try body()
  } catch let error as DeviceError {
    return error
  }
  throw Failure("no error was thrown")
}

/// Runs a program and returns its status and what it printed.
@discardableResult
func run(_ command: String) -> (status: Int32, output: String) {
  guard let pipe = popen(command + " 2>&1", "r") else { return (-1, "") }
  var output: [UInt8] = []
  while true {
    let byte = fgetc(pipe)
    if byte == EOF { break }
    output.append(UInt8(truncatingIfNeeded: byte))
  }
  return (pclose(pipe), String(decoding: output, as: UTF8.self))
}

@_silgen_name("prctl") private func control(
  _ option: Int32, _ a: UInt, _ b: UInt, _ c: UInt, _ d: UInt
)
  -> Int32

/// Has a system call fail from now on, in this thread and those it starts, as a container's policy
/// does. False where that cannot be done.
func refuseSystemCall(_ number: UInt32, errorNumber: Int32) -> Bool {
  struct Instruction {
    var code: UInt16, yes: UInt8, no: UInt8, value: UInt32
  }
  var filter = [
    Instruction(code: 0x20, yes: 0, no: 0, value: 0),
    Instruction(code: 0x15, yes: 0, no: 1, value: number),
    Instruction(code: 0x06, yes: 0, no: 0, value: 0x0005_0000 | UInt32(errorNumber)),
    Instruction(code: 0x06, yes: 0, no: 0, value: 0x7fff_0000),
  ]
  return filter.withUnsafeMutableBufferPointer { filter in
    var program = (count: UInt16(filter.count), base: filter.baseAddress)
    return withUnsafePointer(to: &program) {
      control(38, 1, 0, 0, 0) == 0 && control(22, 2, UInt(bitPattern: $0), 0, 0) == 0
    }
  }
}

/// A loop device over a file, for tests that run as root.
final class LoopDevice: Sendable {
  let path: String
  let folder: TestFolder

  static var isAvailable: Bool { getuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0 }

  init(byteCount: UInt64) throws {
    folder = try TestFolder()
    let backing = folder.file("backing")
    try DirectFile.create(backing, options: CreateOptions(byteCount: byteCount)).close()
    let (status, output) = run("losetup --find --show \(backing)")
    guard status == 0 else { throw Failure("losetup failed: \(output)") }
    path = String(output.split(separator: "\n").first ?? "")
  }

  deinit { run("losetup --detach \(path)") }
}
