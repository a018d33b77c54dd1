// The forecast of a memory trace that has a limit: the process is taken for all that lives under it.

import NightjarModel

struct ExhaustionReplay {
    private(set) var findings: [ReplayFinding] = []
    private var detector = MemoryExhaustion()
    private let settings = MemoryExhaustion.Settings()
    private var isOpen = false
    private let speedup: Double

    init(speedup: Double) { self.speedup = speedup }

    mutating func step(_ sample: HeapSample, of limit: Bytes, at seconds: Double) {
        let cgroup = CgroupSample(time: sample.time, path: "/", memoryLimit: limit, memoryAnonymous: sample.live)
        let answer = detector.observe(cgroup, settings)
        guard case .found(let finding) = answer, let forecast = detector.forecast else {
            if isOpen { findings[findings.count - 1].set("cleared_s", .double(seconds)) }
            isOpen = false
            return
        }
        if !isOpen {
            findings.append(describe(finding, forecast, at: seconds))
        } else if finding.severity == .critical, findings[findings.count - 1]["critical_at_s"] == .null {
            findings[findings.count - 1].set("critical_at_s", .double(seconds))
        }
        isOpen = true
    }

    /// `eta_s` is in the trace's clock, as `at_s` is.
    private func describe(
        _ finding: Finding, _ forecast: MemoryExhaustion.Forecast, at seconds: Double
    ) -> ReplayFinding {
        ReplayFinding([
            ("kind", .string("memory_exhaustion")), ("severity", .string(finding.severity.word)),
            ("at_s", .double(seconds)), ("cleared_s", .null),
            ("critical_at_s", finding.severity == .critical ? .double(seconds) : .null),
            ("eta_s", .double((forecast.eta.inSeconds / speedup * 1000).rounded() / 1000)),
            ("usage_kib", .int(forecast.usage.count / 1024)), ("limit_kib", .int(forecast.limit.count / 1024)),
            ("rate_kib_per_day", .double((forecast.bytesPerSecond * 86_400 / 1024).rounded())),
        ])
    }
}
