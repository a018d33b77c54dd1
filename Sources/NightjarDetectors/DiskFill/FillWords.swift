import NightjarModel

/// The sentence, verdict and severity of a file system that fills; the same words for bytes and for inodes.
struct FillWords {
    var name: String
    var state: FillState
    var size: Double
    var available: Double
    /// Writes an amount: `12 GiB`, `14 thousand inodes`.
    var amount: (Double) -> String

    init(
        name: String, state: FillState, size: Double, available: Double, amount: @escaping (Double) -> String
    ) {
        self.name = name
        self.state = state
        self.size = size
        self.available = max(0, available)
        self.amount = amount
    }

    /// Full and bursts wake somebody, as does a forecast of less than four hours. A full disk that nobody writes is noted.
    var severity: Severity {
        switch state.stage {
        case .full: state.isIdle ? .notice : .critical
        case .burst: .critical
        case .forecast: (state.timeLeft.map { $0 < .hours(4) } ?? false) ? .critical : .warning
        case .backstop: state.isIdle ? .notice : .warning
        case nil: .info
        }
    }

    var verdict: String {
        switch state.stage {
        case .full: "full"
        case .burst: "filling fast"
        case .forecast: "filling"
        case .backstop: "nearly full"
        case nil: "quiet"
        }
    }

    var sentence: String {
        let left = "\(amount(available)) of \(amount(size)) free"
        let time = state.timeLeft.map { $0 > .seconds(1) ? "in about \($0.spoken)" : "at any moment" } ?? "soon"
        switch state.stage {
        case .full: return "\(name) is full: \(left)"
        case .burst: return "\(name) is full \(time) at this pace: \(left), taking \(amount(state.pace ?? 0)) a second"
        case .forecast: return "\(name) is full \(time) if the last days go on: \(left)"
        case .backstop:
            let share = size > 0 ? (available / size * 1000).rounded() / 10 : 0
            return "\(name) is nearly full: \(share) % left, \(left)" + (state.isIdle ? ", unchanged for a day" : "")
        case nil: return "\(name): \(left)"
        }
    }

    func evidence(_ stage: FillState.Stage) -> [EvidenceField] {
        var fields = [EvidenceField("stage", .text(stage.rawValue))]
        if let time = state.timeLeft, stage != .full { fields.append(EvidenceField("eta", .duration(time))) }
        return fields
    }
}
