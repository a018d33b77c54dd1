import NightjarModel

/// The words for a count that grows: `descriptors 112 → 780 of 1,024 in 3.5 h, never given back, out in about 64 min`.
struct CountWords {
    var noun: String
    var rise: CountRise
    var bound: CountBound?
    var stage: CountStage
    /// Who sets the limit, where it is not the process's own: `checkout.service`.
    var limitedBy: String?

    var verdict: String {
        switch stage {
        case .nearlyOut, .runningOut: "running out"
        case .leak: "leak"
        default: "growing"
        }
    }

    var span: Duration { .nanoseconds(rise.span) }

    /// Time until the limit at the present pace; nil without a limit or beyond a year, where nothing is foretold.
    var eta: Duration? {
        guard let bound, rise.rate > 0 else { return nil }
        let free = Double(bound.limit) - Double(min(bound.used, bound.limit))
        let nanoseconds = free / Double(rise.rate)
        return nanoseconds < 365 * 86_400e9 ? .nanoseconds(Int64(nanoseconds)) : nil
    }

    var sentence: String {
        let limit = bound.map { limitedBy == nil ? " of \(grouped($0.limit))" : "" } ?? ""
        let now = bound.map { limitedBy == nil ? max($0.used, rise.to) : rise.to } ?? rise.to
        var text = "\(noun) \(grouped(rise.from)) → \(grouped(now))\(limit) in \(span.spoken), never given back"
        if let bound, let limitedBy {
            text += ", \(limitedBy) uses \(grouped(bound.used)) of \(grouped(bound.limit))"
        }
        if let eta { text += ", out in about \(eta.spoken)" }
        return text
    }

    private var perHour: Double { rounded(Double(rise.rate) * 3600e9) }

    /// `about 190 more an hour`: the unit of time that makes the number readable.
    var pace: String {
        let units: [(Double, String)] = [(1.0 / 3600, "second"), (1.0 / 60, "minute"), (1, "hour")]
        for (hours, name) in units where perHour * hours >= 0.995 {
            return "about \(Int64((perHour * hours).rounded())) more \(name == "hour" ? "an" : "a") \(name)"
        }
        return "about \(max(1, Int64((perHour * 24).rounded()))) more a day"
    }

    var evidence: [EvidenceField] {
        var fields = [
            EvidenceField("from", .count(Int64(rise.from))), EvidenceField("to", .count(Int64(rise.to))),
            EvidenceField("span", .duration(span)),
            EvidenceField("per_hour", .ratio(perHour)),
        ]
        if let bound {
            fields.append(EvidenceField("used", .count(Int64(bound.used))))
            fields.append(EvidenceField("limit", .count(Int64(bound.limit))))
        }
        if let limitedBy { fields.append(EvidenceField("limited_by", .text(limitedBy))) }
        if let eta { fields.append(EvidenceField("eta", .duration(eta))) }
        fields.append(EvidenceField("tau", .ratio(rounded(Double(rise.tau)))))
        fields.append(EvidenceField("pace", .ratio(rounded(Double(rise.pace)))))
        return fields
    }

    private func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}

/// `1,024`: thousands apart, as people read large counts.
func grouped(_ value: UInt32) -> String {
    let digits = Array(String(value))
    var text = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index) % 3 == 0 { text.append(",") }
        text.append(digit)
    }
    return text
}
