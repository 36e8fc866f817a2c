// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let testing: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "varve-tools",
  products: [
    .executable(name: "kvctl", targets: ["kvctl"]),
    .executable(name: "kvbench", targets: ["kvbench"]),
    .executable(name: "session-service", targets: ["session-service"]),
    .executable(name: "aio-integers", targets: ["aio-integers"]),
    // For Tools/peers, which must do exactly the work that kvbench has Varve do.
    .library(name: "KeyLoad", targets: ["KeyLoad"]),
  ],
  dependencies: [
    .package(name: "varve", path: "../..", traits: ["Lifecycle", "IOUring"]),
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
    .package(
      url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
    .package(
      url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", .upToNextMinor(from: "0.2.0")),
  ],
  targets: [
    .target(
      name: "Console",
      dependencies: [
        .product(name: "Varve", package: "varve"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(
      name: "Measuring",
      dependencies: [.product(name: "Histogram", package: "hdrhistogram-swift")],
      swiftSettings: strict),
    .target(
      name: "DeviceLoad",
      dependencies: ["Measuring", .product(name: "VarveIO", package: "varve")],
      swiftSettings: strict),
    .target(name: "KeyLoad", dependencies: ["Measuring"], swiftSettings: strict),
    .executableTarget(
      name: "kvctl",
      dependencies: [
        "Console", "DeviceLoad", "Measuring",
        .product(name: "Varve", package: "varve"),
        .product(name: "VarveIO", package: "varve"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "kvbench",
      dependencies: [
        "Console", "DeviceLoad", "KeyLoad", "Measuring",
        .product(name: "Varve", package: "varve"),
        .product(name: "VarveIO", package: "varve"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: testing),
    .executableTarget(
      name: "session-service",
      dependencies: [
        "Console",
        .product(name: "Varve", package: "varve"),
        .product(name: "VarveLifecycle", package: "varve"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "aio-integers",
      dependencies: [
        "Console",
        .product(name: "VarveIO", package: "varve"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .testTarget(name: "ConsoleTests", dependencies: ["Console"], swiftSettings: testing),
    .testTarget(
      name: "DeviceLoadTests",
      dependencies: ["DeviceLoad", "Measuring", .product(name: "VarveIO", package: "varve")],
      swiftSettings: testing),
    .testTarget(
      name: "KeyLoadTests", dependencies: ["KeyLoad", "Measuring"], swiftSettings: testing),
    .testTarget(
      name: "KvctlTests",
      dependencies: [
        "Console", "kvctl", "kvbench", "session-service", "aio-integers",
        .product(name: "Varve", package: "varve"),
      ],
      swiftSettings: testing),
    // The tests of the I/O engines again, by links: here the trait IOUring is on.
    .testTarget(
      name: "EngineTests",
      dependencies: [
        .product(name: "Varve", package: "varve"),
        .product(name: "VarveIO", package: "varve"),
        .product(name: "VarveTesting", package: "varve"),
      ],
      swiftSettings: testing + [.define("IOUring")]),
    .testTarget(
      name: "LifecycleTests",
      dependencies: [
        .product(name: "Varve", package: "varve"),
        .product(name: "VarveIO", package: "varve"),
        .product(name: "VarveLifecycle", package: "varve"),
        .product(name: "VarveTesting", package: "varve"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
      ],
      swiftSettings: testing),
  ],
  swiftLanguageModes: [.v6]
)
