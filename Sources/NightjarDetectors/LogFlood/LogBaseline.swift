// What a source usually writes, by time of day, and the most it ever kept up, in 1.5 KiB.
//
// Volume is kept as its logarithm, six steps an octave, one byte a value: 0 is nothing, 255 unknown.
//
//     profile   7 days × 96 quarter hours, each the largest 25-minute median in it. The usual rate at a time of day is
//               the highest of that quarter hour and its two neighbours on all seven days: a nightly job is usual at
//               night, and a day's rhythm needs no model.
//     sustained how many times the usual it kept up for 5 and 10 minutes, half an hour, one, two and four hours (the
//               lower quartile of that many slots): a maximum every six hours, over seven days. Real sources burst, and
//               what they did before they may do again.

import NightjarModel

/// The last seven days of one source.
struct LogBaseline: Sendable, Equatable {
    static let quartersPerDay = 96
    static let days = 7
    static let unknown: UInt8 = 255
    /// The windows over which "kept up" is measured, in five-minute slots.
    static let windows = [1, 2, 6, 12, 24, 48]
    static let partsPerDay = 4

    private(set) var profile = [UInt8](repeating: unknown, count: quartersPerDay * days)
    private(set) var sustained = [UInt8](repeating: unknown, count: windows.count * partsPerDay * days)
    /// How many quarter hours hold a value.
    private(set) var known = 0
    private var quarter: Int64 = -1

    init() {}

    /// Six steps an octave: 0 for nothing, 254 for all that is larger.
    static func code(_ bytes: Double) -> UInt8 {
        guard bytes > 0 else { return 0 }
        return UInt8(min(254, max(0, (6 * fastLog2(1 + bytes)).rounded())))
    }

    static func value(_ code: UInt8) -> Double { power2(Double(code) / 6) - 1 }

    /// Forgets what is more than seven days old; call it before anything else of a slot. Returns the quarter's number.
    mutating func advance(to slot: Int64) {
        let now = slot / 3
        defer { quarter = max(quarter, now) }
        guard quarter >= 0, now > quarter else { return }
        let total = Int64(profile.count)
        for passed in (quarter + 1)...min(now, quarter + total) {
            let place = Int(passed % total)
            if profile[place] != Self.unknown { known -= 1 }
            profile[place] = Self.unknown
            if passed % Int64(Self.quartersPerDay / Self.partsPerDay) == 0 { clearSustained(at: passed) }
        }
    }

    private mutating func clearSustained(at quarter: Int64) {
        let part = sustainedPart(quarter)
        for window in Self.windows.indices { sustained[window * Self.partsPerDay * Self.days + part] = Self.unknown }
    }

    private func sustainedPart(_ quarter: Int64) -> Int {
        Int(quarter / Int64(Self.quartersPerDay / Self.partsPerDay) % Int64(Self.partsPerDay * Self.days))
    }

    /// The 25-minute median that ends with `slot`.
    mutating func learn(median: Double, slot: Int64) {
        let place = Int(slot / 3 % Int64(profile.count))
        let code = Self.code(median)
        if profile[place] == Self.unknown {
            known += 1
            profile[place] = code
        } else {
            profile[place] = max(profile[place], code)
        }
    }

    /// How many times the usual was kept up over window number `window` until `slot`.
    mutating func learn(sustained value: Double, window: Int, slot: Int64) {
        let place = window * Self.partsPerDay * Self.days + sustainedPart(slot / 3)
        let code = Self.code(value)
        sustained[place] = sustained[place] == Self.unknown ? code : max(sustained[place], code)
    }

    /// Everything that is usual becomes `factor` times as much.
    mutating func raise(by factor: Double) {
        guard factor > 1, factor.isFinite else { return }
        let steps = Int((6 * fastLog2(factor)).rounded())
        for place in profile.indices where profile[place] != Self.unknown {
            profile[place] = UInt8(min(254, Int(profile[place]) + steps))
        }
    }

    /// The highest of this time of day on the last seven days; nil where nothing is known.
    func usual(at slot: Int64) -> Double? {
        let day = Int64(Self.quartersPerDay)
        var highest: Int = -1
        for back in 1...Int64(Self.days) {
            for neighbour in -1...1 {
                let quarter = slot / 3 - back * day + Int64(neighbour)
                // Seven days and a quarter hour ago has been overwritten by now.
                guard quarter >= 0, slot / 3 - quarter < Int64(profile.count) else { continue }
                let code = profile[Int(quarter % Int64(profile.count))]
                if code != Self.unknown { highest = max(highest, Int(code)) }
            }
        }
        return highest < 0 ? nil : Self.value(UInt8(highest))
    }

    /// The median of all known quarter hours.
    var median: Double {
        guard known > 0 else { return 0 }
        var counts = InlineArray<256, Int32>(repeating: 0)
        for code in profile where code != Self.unknown { counts[Int(code)] += 1 }
        var seen: Int32 = 0
        for code in 0..<255 {
            seen += counts[code]
            if seen * 2 > Int32(known) { return Self.value(UInt8(code)) }
        }
        return 0
    }

    /// The most times the usual that was ever kept up over that window in seven days, without the last 6 to 12 hours: a flood that
    /// swells must not be measured against its own beginning. Zero where nothing is known.
    func sustained(window: Int) -> Double {
        let parts = Self.partsPerDay * Self.days
        let now = sustainedPart(max(0, quarter))
        var highest: UInt8 = 0
        for back in 2..<parts {
            let code = sustained[window * parts + (now + parts - back) % parts]
            if code != Self.unknown { highest = max(highest, code) }
        }
        return Self.value(highest)
    }

    /// Days of history, counted by what is known.
    var daysKnown: Double { Double(known) / Double(Self.quartersPerDay) }
}

extension LogBaseline {
    func encode(into out: inout [UInt8]) {
        out.append(integer: quarter)
        out += profile
        out += sustained
    }

    init?(decoding reader: inout ByteReader) {
        guard let quarter = reader.integer(Int64.self), (-1...20_000_000).contains(quarter) else { return nil }
        self.quarter = quarter
        for place in profile.indices {
            guard let code = reader.integer(UInt8.self) else { return nil }
            profile[place] = code
            if code != Self.unknown { known += 1 }
        }
        for place in sustained.indices {
            guard let code = reader.integer(UInt8.self) else { return nil }
            sustained[place] = code
        }
    }
}

// Logarithm and power without a C library: the room links nothing, and six steps an octave ask for little.

/// Base-2 logarithm of a positive number, to 1e-5.
func fastLog2(_ value: Double) -> Double {
    // ln x = 2 artanh((x - 1) / (x + 1)), for a significand in 1..<2.
    let s = (value.significand - 1) / (value.significand + 1)
    let square = s * s
    let series = s * (1 + square * (1.0 / 3 + square * (1.0 / 5 + square * (1.0 / 7 + square / 9))))
    return Double(value.exponent) + 2.885390081777927 * series
}

/// 2 to the power of `value`, to 1e-4 of it; `value` from -60 to 60.
func power2(_ value: Double) -> Double {
    let whole = value.rounded(.down)
    let rest = (value - whole) * 0.6931471805599453
    let series = 1 + rest * (1 + rest / 2 * (1 + rest / 3 * (1 + rest / 4 * (1 + rest / 5 * (1 + rest / 6)))))
    let scale = Double(UInt64(1) << UInt64(min(whole.magnitude, 62)))
    return whole >= 0 ? series * scale : series / scale
}
