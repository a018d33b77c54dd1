// Each ticket starts a timer that reminds its owner. When the ticket is closed nobody cancels the timer: it goes on, and
// its handler keeps the ticket.

import Dispatch

/// What the timer is about.
final class Ticket: @unchecked Sendable {
    let id: Int
    var notes: [UInt8]
    var reminders = 0

    init(id: Int, size: Int) {
        self.id = id
        notes = [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: size)
    }
}

/// All reminders ever started.
final class Reminders {
    private var timers: [any DispatchSourceTimer] = []
    private let queue = DispatchQueue(label: "reminders")

    func remind(_ ticket: Ticket) {
        let timer = DispatchSource.makeTimerSource(queue: queue)
        timer.schedule(deadline: .now() + 3_600, repeating: 3_600)
        timer.setEventHandler { ticket.reminders += ticket.notes.count }
        timer.resume()
        timers.append(timer)
    }
}

nonisolated(unsafe) let reminders = Reminders()

let timerLeak = Incident(
    name: "timer-leak", story: "timers are started for every ticket and never cancelled", detector: "HeapGrowth",
    limit: .seconds(180), mustSay: ["drill-"]
) { arguments in
    let size = max(16, arguments.value("--size").flatMap(Int.init) ?? 1_000)
    pace(arguments) { reminders.remind(Ticket(id: $0, size: size)) }
}
