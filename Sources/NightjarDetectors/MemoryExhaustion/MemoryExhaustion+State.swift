// A pool as bytes: who restarts the agent asks for no second warm-up. The open finding is kept with its culprit, so
// that its alert goes on.

import NightjarModel

extension MemoryExhaustion {
    static let version: UInt8 = 1

    /// Appends the state, about 1 KiB.
    public func encode(into bytes: inout [UInt8]) {
        bytes.append(integer: Self.version)
        bytes.append(moment: first ?? Moment(nanoseconds: .min))
        bytes.append(moment: confirmedAt)
        bytes.append(integer: kills ?? .min)
        bytes.append(integer: known.code)
        history.encode(into: &bytes)
        bytes.append(integer: UInt8(forecast == nil ? 0 : 1))
        if let forecast {
            for number in [forecast.usage.count, forecast.limit.count] { bytes.append(integer: number) }
            for number in [forecast.bytesPerSecond, forecast.eta.inSeconds, forecast.span.inSeconds] {
                bytes.append(double: number)
            }
        }
        bytes.append(integer: UInt8(culprit == nil ? 0 : 1))
        if let culprit {
            bytes.append(text: culprit.name)
            bytes.append(text: culprit.unit ?? "")
            bytes.append(integer: culprit.process?.pid ?? 0)
            bytes.append(integer: culprit.process?.startTime ?? 0)
        }
    }

    /// Reads what `encode` wrote; nil for anything else: begin anew then.
    public init?(decoding reader: inout ByteReader) {
        guard reader.integer(UInt8.self) == Self.version, let first = reader.moment(),
            let confirmedAt = reader.moment(), let kills: Int64 = reader.integer(),
            let known: UInt16 = reader.integer(),
            let history = LevelHistory(decoding: &reader)
        else { return nil }
        self.init()
        self.first = first.nanoseconds == .min ? nil : first
        self.confirmedAt = confirmedAt
        self.kills = kills == .min ? nil : kills
        self.known = LogLevel(code: known)
        self.history = history
        guard let isOpen: UInt8 = reader.integer(), isOpen <= 1 else { return nil }
        if isOpen == 1 {
            guard let forecast = Forecast(decoding: &reader) else { return nil }
            self.forecast = forecast
        }
        guard let hasCulprit: UInt8 = reader.integer(), hasCulprit <= 1 else { return nil }
        if hasCulprit == 1 {
            guard let name = reader.text(), let unit = reader.text(), let pid: Int32 = reader.integer(),
                let start: UInt64 = reader.integer()
            else { return nil }
            culprit = Subject(
                .process, name: name, unit: unit.isEmpty ? nil : unit, process: ProcessKey(pid: pid, startTime: start))
        }
    }
}

extension MemoryExhaustion.Forecast {
    fileprivate init?(decoding reader: inout ByteReader) {
        guard let usage: Int64 = reader.integer(), let limit: Int64 = reader.integer(), usage >= 0, limit > 0,
            let rate = reader.double(), rate.isFinite, let eta = reader.double(), (0...1e9).contains(eta),
            let span = reader.double(), (0...1e9).contains(span)
        else { return nil }
        self.init(
            usage: Bytes(usage), limit: Bytes(limit), bytesPerSecond: rate, eta: .seconds(eta), span: .seconds(span))
    }
}
