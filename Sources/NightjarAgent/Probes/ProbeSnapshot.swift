// What is known of all probes just now, for `nightjar top`, `ps` and `show`, the page, and /metrics.

public import NightjarModel
import NightjarWire

/// All probed services at one moment.
public struct ProbeSnapshot: Hashable, Sendable {
    /// Series a service may have on /metrics: 30, of which each loop takes seven.
    static let loopsInMetrics = 4

    /// One loop.
    public struct Loop: Hashable, Sendable {
        public var name: String
        /// `idle`, `busy`, `stalled`, `unserved`, `ended`.
        public var state: String
        public var stalls: UInt64
        public var suppressed: UInt64
        public var blocked: Duration
        public var starved: Duration
        public var longest: Duration
        /// Of the stall that is going on.
        public var open: Duration?
        /// Lags of the last minute.
        public var lagMedian: Duration?
        public var lag99: Duration?
        public var lagMaximum: Duration?
        public var isPool: Bool
    }

    /// One service.
    public struct Service: Hashable, Sendable {
        public var name: String
        public var pid: Int32
        public var unit: String?
        public var loops: [Loop]
        /// The latest stalls, newest last.
        public var stalls: [StallRecord]
        /// Reports that its probe held back.
        public var suppressed: UInt64

        init(_ service: ProbeService) {
            name = service.peer.service
            pid = service.peer.pid
            unit = service.peer.unit
            stalls = service.records
            suppressed = service.page?.suppressed ?? 0
            loops = (service.page?.slots ?? []).map {
                Loop($0, service.recentLags[$0.index], service.page?.watchdog ?? 0)
            }
        }
    }

    public var services: [Service]
    /// Services that went away, newest last, with what they were doing.
    public var departures: [Departure]

    /// `/api/v1/probes`.
    public var json: JSON {
        .object([
            ("services", .array(services.map(\.json))),
            ("departures", .array(departures.map(\.json))),
        ])
    }

    /// At most 30 series a service: its four busiest loops in full, the pool, and the sums.
    public var metrics: [(name: String, labels: [(String, String)], value: Double)] {
        services.flatMap(\.metrics)
    }
}

extension ProbeSnapshot.Loop {
    init(_ slot: SlotReading, _ lags: LagHistogram?, _ watchdog: UInt64) {
        func span(_ nanoseconds: UInt64) -> Duration { .nanoseconds(Int64(clamping: nanoseconds)) }
        name = slot.name
        state = "\(slot.state)"
        stalls = slot.stalls
        suppressed = slot.suppressed
        blocked = span(slot.blockedNanoseconds)
        starved = span(slot.starvedNanoseconds)
        longest = span(slot.longestNanoseconds)
        open = slot.openSince != 0 && watchdog > slot.openSince ? span(watchdog - slot.openSince) : nil
        lagMedian = lags?.quantile(0.5).map(span)
        lag99 = lags?.quantile(0.99).map(span)
        lagMaximum = lags?.quantile(1).map(span)
        isPool = slot.kind == .pool
    }

    var json: JSON {
        .object([
            ("name", .string(name)), ("state", .string(state)), ("stalls", .int(Int64(clamping: stalls))),
            ("suppressed", .int(Int64(clamping: suppressed))), ("blocked_seconds", .double(blocked.inSeconds)),
            ("starved_seconds", .double(starved.inSeconds)), ("longest_seconds", .double(longest.inSeconds)),
            ("open_seconds", .optional(open?.inSeconds)), ("lag_p50_seconds", .optional(lagMedian?.inSeconds)),
            ("lag_p99_seconds", .optional(lag99?.inSeconds)), ("lag_max_seconds", .optional(lagMaximum?.inSeconds)),
        ])
    }
}

extension ProbeSnapshot.Service {
    var json: JSON {
        .object([
            ("service", .string(name)), ("pid", .int(Int64(pid))), ("unit", .optional(unit)),
            ("loops", .array(loops.map(\.json))), ("stalls", .array(stalls.map(\.json))),
            ("suppressed", .int(Int64(clamping: suppressed))),
        ])
    }

    var metrics: [(name: String, labels: [(String, String)], value: Double)] {
        let own = [("service", name), ("unit", unit ?? "")]
        let watched = loops.filter { !$0.isPool }
        let shown = watched.sorted { ($0.blocked, $1.name) > ($1.blocked, $0.name) }.prefix(
            ProbeSnapshot.loopsInMetrics)
        var out: [(name: String, labels: [(String, String)], value: Double)] = []
        for loop in shown {
            let labels = own + [("loop", loop.name)]
            for (quantile, value) in [("0.5", loop.lagMedian), ("0.99", loop.lag99), ("1", loop.lagMaximum)] {
                guard let value else { continue }
                out.append(("nightjar_loop_lag_seconds", labels + [("quantile", quantile)], value.inSeconds))
            }
            out.append(("nightjar_loop_stalls_total", labels, Double(loop.stalls)))
            out.append(("nightjar_loop_blocked_seconds_total", labels, loop.blocked.inSeconds))
            out.append(("nightjar_loop_starved_seconds_total", labels, loop.starved.inSeconds))
        }
        if let pool = loops.first(where: \.isPool) {
            out.append(("nightjar_pool_exhausted_seconds_total", own, pool.blocked.inSeconds))
            if let lag = pool.lag99 {
                out.append(("nightjar_pool_lag_seconds", own + [("quantile", "0.99")], lag.inSeconds))
            }
        }
        out.append(("nightjar_probe_loops", own, Double(watched.count)))
        out.append(("nightjar_probe_reports_suppressed_total", own, Double(suppressed)))
        return out
    }
}

extension StallRecord {
    var json: JSON {
        .object([
            ("time", .double(time.seconds)), ("loop", .string(loop)), ("is_over", .bool(isOver)),
            ("seconds", .double(evidence.duration.inSeconds)), ("cause", .string(evidence.cause)),
            ("says", .string(evidence.phrase)), ("function", .string(evidence.function)),
            ("lines", .array(evidence.lines.map(JSON.string))),
        ])
    }
}

extension Departure {
    var json: JSON {
        .object([
            ("time", .double(time.seconds)), ("service", .string(service)), ("pid", .int(Int64(pid))),
            ("how", .string(how)),
            ("was_doing", .array(wasDoing.map(JSON.string))),
        ])
    }
}
