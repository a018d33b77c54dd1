// swift-tools-version: 6.2
// What Nightjar weighs. A package of its own, so that nobody who uses Nightjar resolves or builds it.
// One executable a subject; `packaging/bench.sh` runs them all. Each measures itself against a floor in the same run,
// prints a table, and exits 1 when a threshold is not kept.

import PackageDescription

let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]
let strictC: [CSetting] = [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]

func room(_ name: String) -> Target.Dependency { .product(name: name, package: "nightjar") }

func benchmark(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: ["BenchmarkKit"] + dependencies, swiftSettings: strict)
}

let package = Package(
    name: "benchmarks",
    dependencies: [
        .package(name: "nightjar", path: "../.."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        .target(name: "BenchmarkKit", swiftSettings: strict),
        // The floors: the same work in C, as little as there can be.
        .target(name: "CFloor", cSettings: strictC),
        // Processes that do nothing, something, or come and go: what the others measure.
        .executableTarget(name: "idle", cSettings: strictC),

        benchmark("ProcSampling", ["CFloor", room("NightjarModel"), room("NightjarSources")]),
        benchmark("ForkStorm", [room("NightjarModel"), room("NightjarSources")]),
        benchmark("DetectorSteps", [room("NightjarModel"), room("NightjarDetectors")]),
        benchmark("Crowd", [room("NightjarModel"), room("NightjarSources")]),
        benchmark("AgentMemory", []),
        benchmark("LogVolume", [room("NightjarModel"), room("NightjarSources")]),
        benchmark("AlertCost", [room("NightjarModel"), room("NightjarAlerts")]),
        benchmark("GrowthCost", [room("NightjarModel"), room("NightjarDetectors")]),
        benchmark("HistoryWeight", [room("NightjarModel"), room("NightjarHistory")]),
        benchmark("HeapCensus", ["CFloor"]),
        // A heap of a known size for it.
        .executableTarget(name: "heapfill", swiftSettings: strict),

        // spdlog by its headers, where Debian's libspdlog-dev is installed.
        .target(name: "CSpdlog"),
        benchmark("LogWriting", ["CSpdlog", room("NightjarLogFile"), .product(name: "Logging", package: "swift-log")]),
        benchmark("LogStorm", [room("NightjarLogFile"), .product(name: "Logging", package: "swift-log")]),
        // Holds one thread of another process.
        .target(name: "CHold", cSettings: strictC),
        benchmark("ServiceOverhead", ["CHold"]),
        benchmark(
            "ProbeBeat",
            [
                room("NightjarProbe"), room("NightjarProbeNIO"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ]),
    ],
    cxxLanguageStandard: .cxx17
)
