// swift-tools-version: 6.2
// The map of Nightjar: products, rooms (targets) and the arrows between them.
//
//     sources ──▶ samples ──▶ detectors ──▶ findings ──▶ alerts ──▶ sinks
//
// Every stage imports NightjarModel and no other stage; only NightjarAgent imports all of them.
// Whoever embeds the probe or the log handler writes `traits: []` (or the one adapter it wants) and
// neither clones nor builds anything of the agent.

import PackageDescription

/// The detectors, in the order in which tables and docs list them. NightjarTidyTests holds every room against this list.
let detectors = [
    "HeapGrowth", "MemoryExhaustion", "OutOfMemoryKill", "DescriptorLeak", "ThreadLeak", "CPUSpin",
    "DiskFill", "InodeFill", "LogFlood", "LoopStall", "LoopStarved", "PoolStarvation",
]

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let strictC: [CSetting] = [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]

let agent: TargetDependencyCondition? = .when(traits: ["Agent"])
let nioTrait: TargetDependencyCondition? = .when(traits: ["NIO"])
let logTrait: TargetDependencyCondition? = .when(traits: ["LogFile"])

func room(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], resources: [Resource]? = nil
) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, resources: resources, swiftSettings: strict)
}

func main(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = [], resources: [Resource]? = nil)
    -> Target
{
    .testTarget(
        name: name, dependencies: dependencies + ["NightjarTestKit"], exclude: exclude, resources: resources,
        swiftSettings: strict)
}

let package = Package(
    name: "nightjar",
    products: [
        .library(name: "NightjarProbe", targets: ["NightjarProbe"]),
        .library(name: "NightjarProbeNIO", targets: ["NightjarProbeNIO"]),
        .library(name: "NightjarLogFile", targets: ["NightjarLogFile"]),
        .executable(name: "nightjard", targets: ["nightjard"]),
        .executable(name: "nightjar", targets: ["nightjar"]),
        .executable(name: "nightjar-inspect", targets: ["nightjar-inspect"]),
    ]
        // Rooms that Tests/Benchmarks, a package of its own, measures from outside.
        + [
            "NightjarModel", "NightjarSources", "NightjarDetectors", "NightjarAlerts", "NightjarHistory",
            "NightjarWire", "NightjarInspect",
        ].map {
            .library(name: $0, targets: [$0])
        },
    traits: [
        .default(enabledTraits: ["Agent"]),
        .trait(name: "Agent", description: "agent, command line and tests", enabledTraits: ["NIO", "LogFile"]),
        .trait(name: "NIO", description: "NightjarProbeNIO: the probe watches SwiftNIO event loops"),
        .trait(name: "LogFile", description: "NightjarLogFile: the swift-log handler that cannot fill a disk"),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    ],
    targets: [
        // What Glibc's module hides, and the system's libraries.
        .target(name: "CNightjarLinux", cSettings: strictC),
        .target(name: "CNightjarProbe", cSettings: strictC),
        .systemLibrary(
            name: "CNightjarSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .target(name: "CZlib", cSettings: strictC, linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "CZstd", cSettings: strictC, linkerSettings: [.linkedLibrary("dl")]),
        .target(name: "CNightjarLogFile", cSettings: strictC),

        // The nouns, and the bytes between probe and agent.
        .target(
            name: "NightjarModel", swiftSettings: strict,
            linkerSettings: [.linkedLibrary("m")]),  // rounding, on processors without SSE 4.1
        room("NightjarWire"),

        // Embedded in services.
        room("NightjarSymbols", ["CNightjarLinux"]),
        room("NightjarProbe", ["NightjarWire", "NightjarSymbols", "CNightjarProbe"]),
        room(
            "NightjarProbeNIO",
            ["NightjarProbe", .product(name: "NIOCore", package: "swift-nio", condition: nioTrait)]),
        room(
            "NightjarLogFile",
            [
                "CZlib", "CZstd", "CNightjarLogFile",
                .product(name: "Logging", package: "swift-log", condition: logTrait),
            ]),

        // The stages.
        room("NightjarSources", ["NightjarModel", "NightjarWire", "CNightjarLinux", "CNightjarSystemd"]),
        room("NightjarDetectors", ["NightjarModel"], exclude: detectors.map { "\($0)/\($0).md" }),
        room("NightjarAlerts", ["NightjarModel"]),
        room("NightjarHistory", ["NightjarModel", "CSQLite"]),
        room(
            "NightjarSinks",
            ["NightjarModel", "CNightjarLinux", "CNightjarSystemd"]),
        room("NightjarInspect", ["NightjarModel", "NightjarSymbols", "CNightjarLinux"]),

        // The room that knows all others, and the thin mains.
        room(
            "NightjarAgent",
            [
                "NightjarModel", "NightjarWire", "NightjarSources", "NightjarDetectors", "NightjarAlerts",
                "NightjarHistory", "NightjarSinks", "NightjarInspect", "NightjarSymbols", "NightjarLogFile",
                "CNightjarLinux", "CNightjarSystemd",
                .product(name: "Logging", package: "swift-log", condition: agent),
                .product(name: "NIOCore", package: "swift-nio", condition: agent),
                .product(name: "NIOPosix", package: "swift-nio", condition: agent),
                .product(name: "NIOHTTP1", package: "swift-nio", condition: agent),
            ]),
        main("nightjard", ["NightjarAgent", "NightjarModel", "CNightjarLinux"]),
        main(
            "nightjar",
            ["NightjarAgent", .product(name: "ArgumentParser", package: "swift-argument-parser", condition: agent)]),
        main("nightjar-inspect", ["NightjarInspect", "NightjarModel", "CNightjarLinux"]),

        // One small real program an incident; `nightjar drill` starts them.
        .executableTarget(
            name: "nightjar-incident",
            dependencies: [
                "NightjarProbe", "NightjarLogFile", "CNightjarLinux",
                .product(name: "Logging", package: "swift-log", condition: agent),
            ],
            path: "Sources/NightjarIncidents", swiftSettings: strict),

        // Plants stalls of every kind and compares them with what the probe says: Tests/Stalls/run.sh.
        .executableTarget(
            name: "nightjar-stalls",
            dependencies: [
                "NightjarProbe", "NightjarProbeNIO", "NightjarWire", "NightjarSymbols", "NightjarSources",
                .product(name: "NIOCore", package: "swift-nio", condition: nioTrait),
                .product(name: "NIOPosix", package: "swift-nio", condition: nioTrait),
            ],
            path: "Tests/Stalls",
            exclude: ["drills.sh", "hold.py", "jump.c", "long-life.sh", "pauses.sh", "run.sh", "tsan.sh", "tsan.supp"],
            swiftSettings: strict),

        // Tests: the same rooms again.
        .target(name: "CNightjarTestKit", path: "Tests/CNightjarTestKit", cSettings: strictC),
        .executableTarget(name: "nightjar-test-child", path: "Tests/TestChild", cSettings: strictC),
        .target(
            name: "NightjarTestKit",
            dependencies: ["NightjarModel", "CNightjarLinux", "CNightjarTestKit", "nightjar-test-child"],
            path: "Tests/NightjarTestKit", swiftSettings: strict),
        tests("NightjarModelTests", ["NightjarModel"]),
        tests("NightjarWireTests", ["NightjarWire"]),
        .executableTarget(
            name: "nightjar-test-service", dependencies: ["NightjarProbe"], path: "Tests/ProbedService",
            swiftSettings: strict),
        tests(
            "NightjarProbeTests",
            [
                "NightjarProbe", "NightjarProbeNIO", "NightjarWire", "NightjarSymbols", "NightjarSources",
                "NightjarAgent", "NightjarModel", "CNightjarProbe", "CNightjarTestKit", "nightjar-test-service",
                "nightjard", "nightjar",
            ]),
        tests("NightjarLogFileTests", ["NightjarLogFile", "CZstd"]),
        tests("NightjarSourcesTests", ["NightjarSources", "NightjarModel"]),
        tests("NightjarDetectorsTests", ["NightjarDetectors", "NightjarModel"], exclude: ["Traces", "Golden"]),
        tests("NightjarAlertsTests", ["NightjarAlerts", "NightjarModel"]),
        tests("NightjarHistoryTests", ["NightjarHistory", "NightjarModel"]),
        tests("NightjarSinksTests", ["NightjarSinks", "NightjarModel"], exclude: ["Golden"]),
        tests("NightjarSymbolsTests", ["NightjarSymbols", "CZlib"], exclude: ["Images"]),
        tests(
            "NightjarInspectTests", ["NightjarInspect", "NightjarModel", "nightjar-inspect", "nightjar-incident"],
            exclude: ["Programs", "Images"]),
        tests("NightjarAgentTests", ["NightjarAgent", "NightjarModel"], exclude: ["Golden"]),
        tests("NightjarTidyTests", ["NightjarDetectors", "NightjarModel"]),
    ]
)
