public import NightjarModel

extension HeapGrowth {
    public static let card = DetectorCard(
        name: "HeapGrowth",
        messageID: "a25896c6e4fe4cbcbc9b5ccef5a0614c",
        catches: "memory that rises over days and is never given back",
        needs: [.anonymousMemory],
        cost: "nothing to read beyond statm; 10 ns a sample, 64 bytes and at most 1 KiB a process",
        settings: [
            DetectorSetting(
                "Horizon", .duration(.hours(112)),
                help: "How long memory must have risen to be called a leak; every other span is a share of it."),
            DetectorSetting(
                "MinimumRise", .share(0.006),
                help: "Least rise over half of the life, as a share of the memory held."),
        ],
        saysOfMany: "processes hold more memory every day",
        fires: [
            "steady-leak", "leak-under-daily-load", "twelve-megabytes-a-day", "leak-since-a-deploy",
            "leak-that-begins-late", "stair-of-requests",
        ],
        staysQuiet: [
            "idle", "busy-then-rests", "cache-that-fills-once", "warm-up-of-a-jit-runtime", "database-cache-warms-up",
            "gc-sawtooth", "first-quarter-hour", "flat-with-five-steps", "page-cache-is-not-heap",
        ],
        panels: [
            Panel(
                "Anonymous memory", expression: "nightjar_process_anonymous_memory_bytes",
                legend: "{{process}} {{unit}}", unit: .bytes),
            Panel(
                "Growth (while an alert is open)", expression: "nightjar_heap_growth_rate_bytes_per_second",
                legend: "{{process}} {{unit}}", unit: .bytesPerSecond),
            Panel(
                "Risen (while an alert is open)", expression: "nightjar_heap_growth_rise_bytes",
                legend: "{{process}} {{unit}}", unit: .bytes),
        ],
        metrics: [
            DetectorMetric("rise", .bytes, help: "How much the live heap floor rose over the last half of the life."),
            DetectorMetric("rate", .bytesPerSecond, help: "How fast the live heap floor rises."),
            DetectorMetric("eta", .seconds, help: "Time until the memory limit at that pace, where there is a limit."),
        ],
        runbook: Runbooks.heapGrowth
    )
}
