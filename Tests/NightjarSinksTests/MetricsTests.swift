import Foundation
import NightjarModel
import NightjarTestKit
import Testing

@testable import NightjarSinks

@Suite("/metrics") struct MetricsTests {
    static let own = OwnHealth(
        version: "0.1.0", cpuSeconds: 12.25, residentMemory: .mebi(12), virtualMemory: .mebi(300), openDescriptors: 240,
        maxDescriptors: 65536, threads: 4, startedAt: night - .hours(3), rounds: 10800, lateRounds: 2,
        roundDuration: .microseconds(1500), roundInterval: .seconds(1), subjects: 412, historyInMemory: false,
        errors: [SwallowedErrors(room: "procfs", code: "unreadable", count: 7)])

    static let host = HostSample(
        time: night, memoryTotal: .gibi(24), memoryAvailable: .gibi(20), swapTotal: .gibi(2), swapFree: .gibi(2),
        processors: 2, load1: 0.5, memoryPressure: .init(some: 0.01, full: 0), cpuPressure: .init(some: 0.2, full: 0),
        oomKills: 3)

    static let card = DetectorCard(
        name: "HeapGrowth", messageID: "", catches: "", needs: [], cost: "", saysOfMany: "", panels: [],
        metrics: [
            DetectorMetric("rate", .bytesPerSecond, help: "How fast memory grows while an alert is open."),
            DetectorMetric("to", .bytes, help: "Memory that was never given back."),
        ], runbook: "")

    static func processes(_ count: Int) -> [WatchedProcess] {
        (0..<count).map { index in
            let anonymous = Bytes.mebi(Int64(index / 2))
            return WatchedProcess(
                unit: "unit-\(index).service", process: "worker-\(index)", residentMemory: anonymous + .mebi(9),
                anonymousMemory: anonymous, cpuSeconds: Double(index), threads: 2, openDescriptors: 10,
                maxDescriptors: 1024, isWatched: index == 1)
        }
    }

    static func page(processes count: Int, alerts: [Alert] = [alert()]) -> MetricsPage {
        var page = MetricsPage()
        page.add(own)
        page.add(
            alerts: alerts, totals: AlertTotals(opened: 5, resolved: 4, dropped: 0), cards: [card])
        page.add(detectors: [("HeapGrowth", true), ("CPUSpin", false)])
        page.add(host, processes: count)
        page.add(sinks: [("journald", SinkCounters()), ("mail", SinkCounters())])
        page.add(watched: processes(count))
        return page
    }

    func text(_ page: MetricsPage, _ format: MetricsFormat = .prometheus) -> String {
        String(decoding: page.text(format), as: UTF8.self)
    }

    func lines(_ text: String) -> [Substring] { text.split(separator: "\n").filter { !$0.hasPrefix("#") } }

    /// Prometheus' own check: parse errors and lint, nothing printed when clean.
    func promtool(_ text: String) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/promtool")
        process.arguments = ["check", "metrics"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try input.fileHandleForWriting.close()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: said, as: UTF8.self)
            + (process.terminationStatus == 0 ? "" : "exit \(process.terminationStatus)")
    }

    @Test func `the page, whole`() throws {
        try expectGolden(text(Self.page(processes: 3)), "metrics.txt")
        try expectGolden(text(Self.page(processes: 3), .openMetrics), "metrics-open.txt")
    }

    @Test func `promtool finds nothing to say`() throws {
        #expect(try promtool(text(Self.page(processes: 5000))) == "")
        #expect(try promtool("nightjar_x{a=\"b} 1\n") != "")
    }

    @Test(arguments: [0, 10, 11, 200, 5000, 32_768])
    func `however many processes there are, it keeps to 200 series and 32 KiB`(count: Int) {
        let page = Self.page(processes: count)
        let text = text(page)
        #expect(lines(text).count <= 200)
        #expect(lines(text).count == page.seriesCount)
        #expect(text.utf8.count <= 32 << 10)
        #expect(page.dropped == 0)
    }

    @Test func `a storm of alerts and long names do not break the limits`() throws {
        let name = String(repeating: "n", count: 5000)
        let alerts = (0..<512).map { alert(name: "\(name)\($0)", unit: name, id: "\($0)-1") }
        var page = Self.page(processes: 5000, alerts: alerts)
        page.add(
            MetricFamily(
                "nightjar_mount_size_bytes", .gauge, help: "Size.",
                (0..<500).map { .init(1, labels: [("mount", "/\(name)/\($0)")]) }))
        let text = text(page)
        #expect(lines(text).count <= 200)
        #expect(text.utf8.count <= 32 << 10)
        let dropped = try #require(lines(text).last)
        #expect(dropped.hasPrefix("nightjar_metrics_series_dropped ") && !dropped.hasSuffix(" 0"))
        #expect(try promtool(text) == "")
    }

    @Test func `watched processes come first, then the biggest, the rest are one`() {
        let text = text(Self.page(processes: 100))
        #expect(text.contains("nightjar_process_instances{unit=\"unit-1.service\",process=\"worker-1\"} 1\n"))
        #expect(text.contains("nightjar_process_instances{unit=\"unit-99.service\",process=\"worker-99\"} 1\n"))
        #expect(text.contains("nightjar_process_instances{unit=\"\",process=\"(other)\"} 90\n"))
        #expect(!text.contains("cpu_seconds_total{unit=\"\",process=\"(other)\"}"))
    }

    @Test func `an open alert is a series, and a hidden one says that it is`() {
        var muted = alert(id: "00000000-1")
        muted.mutedBy = "s-1"
        let text = text(Self.page(processes: 1, alerts: [muted, alert()]))
        let info = lines(text).filter { $0.hasPrefix("nightjar_alert_info") }
        #expect(info.map { $0.contains("state=\"firing\"") } == [true, false])
        #expect(info.last?.contains("state=\"muted\"") == true)
        #expect(
            text.contains("nightjar_heap_growth_to_bytes{unit=\"payments.service\",process=\"payments\"} 138412032\n"))
    }

    @Test func `hostile names are escaped, and the page stays readable for Prometheus`() throws {
        var random = SplitMix(seed: 8)
        for _ in 0..<20 {
            var page = MetricsPage()
            page.add(
                watched: (0..<5).map { _ in
                    WatchedProcess(
                        unit: random.hostileText(), process: random.hostileText(), residentMemory: .zero,
                        anonymousMemory: .zero)
                })
            #expect(try promtool(text(page)) == "")
        }
    }

    @Test func `a series twice, or a name that is none, is left out and counted`() {
        var page = MetricsPage()
        let twice = MetricFamily(
            "nightjar_x", .gauge, help: "X.", [.init(1, labels: [("a", "b")]), .init(2, labels: [("a", "b")])])
        page.add(twice)
        page.add(MetricFamily("9x", .gauge, help: "No name.", value: 1))
        page.add(MetricFamily("nightjar_y", .gauge, help: "Y.", [.init(1, labels: [("a-b", "c")])]))
        #expect(page.dropped == 3)
        #expect(lines(text(page)).count == 2)
    }

    @Test func `families of one name that come apart are joined`() {
        var page = MetricsPage()
        for mount in ["/", "/data"] {
            page.add(
                MetricFamily("nightjar_mount_size_bytes", .gauge, help: "Size.", [.init(1, labels: [("mount", mount)])])
            )
            page.add(
                MetricFamily(
                    "nightjar_mount_available_bytes", .gauge, help: "Free.", [.init(1, labels: [("mount", mount)])]))
        }
        #expect(text(page).components(separatedBy: "# TYPE nightjar_mount_size_bytes").count == 2)
    }

    @Test(arguments: [
        (1.0, "1"), (0.1, "0.1"), (Double.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (1e300, "1e+300"),
        (1_795_667_825.5, "1795667825.5"),
    ])
    func `numbers are written as Prometheus reads them`(value: Double, written: String) {
        var page = MetricsPage()
        page.add(MetricFamily("nightjar_x", .gauge, help: "X.", value: value))
        #expect(text(page).contains("\nnightjar_x \(written)\n"))
    }

    @Test(
        arguments: [
            (nil, false), ("", false), ("*/*", false), ("text/plain", false), ("application/openmetrics-text", true),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                true
            ),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.1", false),
            ("application/openmetrics-text; version=9.0.0", false),
            ("application/openmetrics-text;q=0", false), (";;;,,,q=", false),
        ] as [(String?, Bool)])
    func `who asks for OpenMetrics gets it`(accept: String?, open: Bool) {
        #expect(MetricsFormat.negotiate(accept: accept) == (open ? .openMetrics : .prometheus))
    }

    @Test func `no header breaks the choice of format`() {
        var random = SplitMix(seed: 31)
        let parts = [
            "application/openmetrics-text", "text/plain", ";", ",", "q=", "q=nan", "q=-1", "version=1.0.0", " ", "=",
            "\u{0}", "é", "*/*",
        ]
        for _ in 0..<5000 {
            let header = (0..<Int.random(in: 0...12, using: &random)).map { _ in
                parts[Int.random(in: 0..<parts.count, using: &random)]
            }
            let format = MetricsFormat.negotiate(accept: header.joined())
            if format == .openMetrics { #expect(header.joined().contains("openmetrics")) }
        }
    }
}
