import NightjarWire
import Testing

@testable import CNightjarProbe
@testable import NightjarProbe

struct SettingsTests {
    private func environment(_ values: [String: String]) -> ProbeEnvironment { ProbeEnvironment { values[$0] } }

    @Test(arguments: ["off", "OFF", "0", "no", "false"])
    func `the probe can be switched off`(word: String) {
        #expect(environment(["NIGHTJAR_PROBE": word]).isOff)
    }

    @Test func `nothing said changes nothing`() {
        let settings = environment([:]).applied(to: ProbeSettings())
        #expect(settings.socket == "/run/nightjar/probe.sock")
        #expect(settings.stallThreshold == .milliseconds(50))
    }

    @Test func `the environment goes over the code`() {
        let settings = environment(["NIGHTJAR_SOCKET": "/tmp/x.sock", "NIGHTJAR_STALL_THRESHOLD": "2s"])
            .applied(to: ProbeSettings())
        #expect(settings.socket == "/tmp/x.sock")
        #expect(settings.stallThreshold == .seconds(2))
    }

    @Test(arguments: [
        ("100", 100_000), ("100ms", 100_000), ("2s", 2_000_000), ("0.5s", 500_000), ("700us", 700), ("soon", nil),
        ("", nil),
        ("-5ms", nil), ("5min", nil), ("0", nil),
    ])
    func `durations are read with their unit`(text: String, microseconds: Int64?) {
        #expect(ProbeEnvironment.duration(text) == microseconds.map { .microseconds($0) })
    }

    @Test func `a threshold that is no duration is complained of and left alone`() {
        let environment = environment(["NIGHTJAR_STALL_THRESHOLD": "soon"])
        #expect(environment.complaints.count == 1)
        #expect(environment.applied(to: ProbeSettings()).stallThreshold == .milliseconds(50))
    }

    @Test(arguments: [
        (["NIGHTJAR_PROBE": "offf"], "NIGHTJAR_PROBE=offf is neither on nor off; the probe is on"),
        (
            ["NIGHTJAR_STALL_THRESHOLD": "1ms"],
            "NIGHTJAR_STALL_THRESHOLD=1ms is not between 5ms and 3600s; 5ms it is"
        ),
        (
            ["NIGHTJAR_STALL_THRESHOLD": "fast"],
            "NIGHTJAR_STALL_THRESHOLD=fast is no duration, such as 100ms or 2s; the service's own stays"
        ),
        (
            ["NIGHTJAR_SOCKET": "probe.sock"],
            "NIGHTJAR_SOCKET=probe.sock is no absolute path; looking for the agent where the service says"
        ),
    ])
    func `what cannot be understood is said in one sentence`(_ values: [String: String], _ sentence: String) {
        #expect(environment(values).complaints == [sentence])
    }

    @Test func `a socket that cannot be is left alone, an empty one means alone`() {
        let long = "/" + String(repeating: "x", count: 120)
        #expect(
            environment(["NIGHTJAR_SOCKET": long]).applied(to: ProbeSettings()).socket == "/run/nightjar/probe.sock")
        #expect(environment(["NIGHTJAR_SOCKET": long]).complaints.count == 1)
        #expect(environment(["NIGHTJAR_SOCKET": ""]).applied(to: ProbeSettings()).socket == "")
    }

    @Test(arguments: ["on", "1", "yes", "TRUE", ""])
    func `the probe can be switched on in as many words`(_ word: String) {
        let environment = environment(["NIGHTJAR_PROBE": word])
        #expect(!environment.isOff && environment.complaints.isEmpty)
    }

    @Test func `thresholds below 5 ms are raised`() {
        #expect(
            environment(["NIGHTJAR_STALL_THRESHOLD": "1ms"]).applied(to: ProbeSettings()).stallThreshold
                == .milliseconds(5))
    }
}

struct LayoutTests {
    @Test func `the C layout is the one that the wire draws`() {
        func offset(_ path: PartialKeyPath<nj_slot>) -> Int? { MemoryLayout<nj_slot>.offset(of: path) }
        #expect(MemoryLayout<nj_slot>.size == PageLayout.slotLength)
        #expect(offset(\.beat) == PageLayout.beatOffset)
        #expect(offset(\.answered) == PageLayout.answeredOffset)
        #expect(offset(\.tid) == PageLayout.tidOffset)
        #expect(offset(\.state) == PageLayout.stateOffset)
        #expect(offset(\.kind) == PageLayout.kindOffset)
        #expect(offset(\.asked) == PageLayout.askedOffset)
        #expect(offset(\.asked_at) == PageLayout.askedAtOffset)
        #expect(offset(\.busy_since) == PageLayout.busySinceOffset)
        #expect(offset(\.stalls) == PageLayout.stallsOffset)
        #expect(offset(\.suppressed) == PageLayout.slotSuppressedOffset)
        #expect(offset(\.blocked_ns) == PageLayout.blockedOffset)
        #expect(offset(\.starved_ns) == PageLayout.starvedOffset)
        #expect(offset(\.longest_ns) == PageLayout.longestOffset)
        #expect(offset(\.readings) == PageLayout.readingsOffset)
        #expect(offset(\.name) == PageLayout.nameOffset)
        #expect(offset(\.lags) == PageLayout.lagsOffset)
        #expect(offset(\.open_since) == PageLayout.openSinceOffset)
        #expect(offset(\.open_cause) == PageLayout.openCauseOffset)
        #expect(offset(\.open_depth) == PageLayout.openDepthOffset)
        #expect(offset(\.open_call) == PageLayout.openCallOffset)
        #expect(offset(\.open_holder) == PageLayout.openHolderOffset)
        #expect(offset(\.open_frames) == PageLayout.openFramesOffset)
    }
}
