// swift-tools-version: 6.2
// The stores that `kvbench overwrite` compares Varve with. They are a package of their own, built
// by hand, so that nobody else needs their libraries:
//
//   apt install librocksdb-dev
//   swift build -c release --package-path Tools/peers

import PackageDescription

let settings: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "varve-peers",
  products: [.executable(name: "kvpeer", targets: ["kvpeer"])],
  dependencies: [.package(path: "../cli")],
  targets: [
    .systemLibrary(
      name: "CRocksDB", pkgConfig: "rocksdb", providers: [.apt(["librocksdb-dev"])]),
    .executableTarget(
      name: "kvpeer",
      dependencies: ["CRocksDB", .product(name: "KeyLoad", package: "cli")],
      swiftSettings: settings),
    .testTarget(
      name: "KvpeerTests",
      dependencies: ["kvpeer", .product(name: "KeyLoad", package: "cli")], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
