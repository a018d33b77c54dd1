import Glibc
internal import Logging

/// What was left out, as the log itself says it: so that whoever reads only the file knows what is missing.
struct LedgerLine {
    let ledger: LogLedger
    let worst: [Sampler.KeyCount]
    /// Weight of left-out records that no line of the log stands for yet.
    let notRepresented: UInt64
    let isLast: Bool

    /// `99.2 % of debug records of Checkout/Cart.swift:42 are left out (12,001 of 12,101)`.
    static func sentence(_ key: Sampler.KeyCount) -> String {
        let all = key.kept + key.leftOut
        let share = Double(key.leftOut) / Double(max(1, all)) * 100
        let name = String(
            key.name.text.unicodeScalars.map { $0.value < 0x20 || $0 == "\"" || $0 == "\\" ? "?" : Character($0) })
        return
            "\(tenths(share)) % of \(key.name.level.rawValue) records of \(name) are left out (\(key.leftOut) of \(all))"
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded(.down))
        return "\(tenths / 10).\(tenths % 10)"
    }

    var message: String {
        let totals =
            "\(ledger.produced) records produced, \(ledger.kept + ledger.pending) kept, \(ledger.droppedTotal) dropped"
        return worst.first.map { "\(totals); \(LedgerLine.sentence($0))" } ?? totals
    }

    /// `,"ledger":{…}`: sums since the log was made by this process.
    var json: String {
        let reasons = DropReason.allCases.compactMap { reason -> String? in
            guard let count = ledger.dropped[reason], count > 0 else { return nil }
            return "\"\(reason.word)\":\(count)"
        }
        let keys = worst.map {
            "\"\(escaped($0.name.text))\":{\"level\":\"\($0.name.level.rawValue)\",\"kept\":\($0.kept),\"left_out\":\($0.leftOut)}"
        }
        return ",\"ledger\":{\"pid\":\(getpid()),\"final\":\(isLast),\"produced\":\(ledger.produced),"
            + "\"kept\":\(ledger.kept + ledger.pending),\"dropped\":{\(reasons.joined(separator: ","))},"
            + "\"dropped_errors\":\(ledger.droppedErrors),\"cut\":\(ledger.cut),\"not_represented\":\(notRepresented),"
            + "\"keys\":{\(keys.joined(separator: ","))}}"
    }

    private func escaped(_ text: String) -> String {
        String(text.unicodeScalars.map { $0.value < 0x20 || $0 == "\"" || $0 == "\\" ? "?" : Character($0) })
    }
}
