// swift-tools-version: 6.2
import PackageDescription

/// Every library target is held to the same bar: Swift 6 mode, strict memory safety, no warnings.
let strict: [SwiftSetting] = [
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Tests keep the language rules but may use unsafe constructs without a marker.
let testing: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "varve",
  products: [
    .library(name: "Varve", targets: ["Varve"]),
    .library(name: "VarveIO", targets: ["VarveIO"]),
    .library(name: "VarveTesting", targets: ["VarveTesting"]),
    .library(name: "VarveLifecycle", targets: ["VarveLifecycle"]),
  ],
  traits: [
    .trait(
      name: "Lifecycle",
      description: "VarveLifecycle: run a store under swift-service-lifecycle."),
    .trait(
      name: "IOUring",
      description: "The I/O engine `uring`, off until it is asked for. Needs liburing-dev."),
    .default(enabledTraits: []),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-metrics.git", from: "2.5.0"),
    .package(
      url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
    // For `swift package generate-documentation`; no target uses it, so no consumer resolves it.
    .package(url: "https://github.com/swiftlang/swift-docc-plugin.git", from: "1.4.0"),
  ],
  targets: [
    .target(name: "CVarveCPU"),
    .target(name: "CVarveAIO", linkerSettings: [.linkedLibrary("aio")]),
    // Without the trait it compiles to stubs: nobody needs liburing who does not ask for it.
    .target(
      name: "CVarveURing",
      cSettings: [.define("VARVE_IO_URING", .when(traits: ["IOUring"]))],
      linkerSettings: [.linkedLibrary("uring", .when(traits: ["IOUring"]))]),
    .systemLibrary(
      name: "CVarveLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .target(
      name: "VarveFormat", dependencies: ["CVarveCPU", "CVarveLZ4"], swiftSettings: strict),
    .target(
      name: "VarveIO", dependencies: ["CVarveAIO", "CVarveURing", "VarveFormat"],
      swiftSettings: strict),
    .target(
      name: "Varve",
      dependencies: [
        "VarveFormat", "VarveIO",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
      ],
      swiftSettings: strict),
    .target(
      name: "VarveTesting",
      dependencies: [
        "Varve", "VarveIO", "VarveFormat", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    .target(
      name: "VarveLifecycle",
      dependencies: [
        "Varve",
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle",
          condition: .when(traits: ["Lifecycle"])),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "VarveFormatTests", dependencies: ["VarveFormat"], swiftSettings: testing),
    .target(name: "CEventLoop", path: "Tests/CEventLoop"),
    .testTarget(
      name: "VarveIOTests", dependencies: ["Varve", "VarveIO", "VarveTesting", "CEventLoop"],
      swiftSettings: testing),
    .testTarget(
      name: "VarveTests",
      dependencies: ["Varve", "VarveTesting", "VarveFormat", "VarveIO"],
      swiftSettings: testing),
    .testTarget(name: "StyleTests", swiftSettings: testing),
  ],
  swiftLanguageModes: [.v6]
)
