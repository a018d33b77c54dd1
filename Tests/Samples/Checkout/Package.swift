// swift-tools-version: 6.2
// A Hummingbird service with the probe in it. A package of its own: nobody who uses Nightjar clones or builds Hummingbird.

import PackageDescription

let package = Package(
    name: "checkout",
    dependencies: [
        // In a service of your own: .package(url: "…/nightjar", from: "0.1.0", traits: ["NIO"])
        .package(name: "nightjar", path: "../../..", traits: ["NIO"]),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        .executableTarget(
            name: "checkout",
            dependencies: [
                .product(name: "NightjarProbe", package: "nightjar"),
                .product(name: "NightjarProbeNIO", package: "nightjar"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)])
    ]
)
