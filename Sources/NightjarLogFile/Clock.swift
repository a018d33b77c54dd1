import Glibc

/// The two clocks of the log: the wall's for time stamps, the coarse monotonic one for windows and deadlines.
///
/// The coarse clock ticks every 1–4 ms and costs a quarter of the exact one, which is enough for windows of a second.
enum Clock {
    /// Nanoseconds since some fixed moment, never going back.
    @inline(__always) static func coarse() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }

    static func monotonic() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    @inline(__always) static func wall() -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time
    }

    static func wallSeconds() -> Int { wall().tv_sec }
}

extension Duration {
    /// Whole nanoseconds, 0 for negative durations, saturating.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max / 2 : min(product &+ UInt64(attoseconds / 1_000_000_000), .max / 2)
    }

    var wholeSeconds: Int { Int(clamping: components.seconds) }
}

/// `2026-11-26T04:37:06.123456Z`: 27 bytes, always. The date is computed, not cached: ten divisions by constants are
/// cheaper than sharing a cache between threads (days to civil date after Howard Hinnant's public algorithm).
enum TimeStamp {
    static let length = 27

    @inline(__always) static func write(_ time: timespec, to out: UnsafeMutablePointer<UInt8>) {
        let seconds = UInt64(truncatingIfNeeded: time.tv_sec)
        let (days, second) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let z = UInt32(truncatingIfNeeded: days) &+ 719_468
        let era = z / 146_097
        let dayOfEra = z &- era &* 146_097
        let yearOfEra =
            (dayOfEra &- dayOfEra / 1_460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let shiftedMonth = (5 &* dayOfYear &+ 2) / 153
        let day = dayOfYear &- (153 &* shiftedMonth &+ 2) / 5 &+ 1
        let month = shiftedMonth < 10 ? shiftedMonth &+ 3 : shiftedMonth &- 9
        let year = yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0)
        let clock = UInt32(truncatingIfNeeded: second)
        two(year / 100, out)
        two(year % 100, out + 2)
        out[4] = UInt8(ascii: "-")
        two(month, out + 5)
        out[7] = UInt8(ascii: "-")
        two(day, out + 8)
        out[10] = UInt8(ascii: "T")
        two(clock / 3_600, out + 11)
        out[13] = UInt8(ascii: ":")
        two(clock / 60 % 60, out + 14)
        out[16] = UInt8(ascii: ":")
        two(clock % 60, out + 17)
        out[19] = UInt8(ascii: ".")
        let micros = UInt32(truncatingIfNeeded: time.tv_nsec / 1_000)
        two(micros / 10_000, out + 20)
        two(micros / 100 % 100, out + 22)
        two(micros % 100, out + 24)
        out[26] = UInt8(ascii: "Z")
    }

    static func text(_ time: timespec) -> String {
        String(unsafeUninitializedCapacity: length) { buffer in
            write(time, to: buffer.baseAddress!)
            return length
        }
    }

    @inline(__always) private static func two(_ value: UInt32, _ out: UnsafeMutablePointer<UInt8>) {
        let tens = value / 10
        out[0] = UInt8(truncatingIfNeeded: tens) &+ 48
        out[1] = UInt8(truncatingIfNeeded: value &- tens &* 10) &+ 48
    }
}
