import Foundation

// Two threads take the same two locks in opposite order. It works for months, and one night both hold their first one.

final class Accounts: @unchecked Sendable {
    private let first = NSLock()
    private let second = NSLock()

    @inline(never) func transferForward() {
        first.lock()
        usleep(200_000)
        second.lock()
        second.unlock()
        first.unlock()
    }

    @inline(never) func transferBack() {
        second.lock()
        usleep(200_000)
        first.lock()
        first.unlock()
        second.unlock()
    }
}

let lockOrderDeadlock = Incident(
    name: "deadlock",
    story: "two threads take two locks in opposite order and wait for each other for ever",
    detector: "LoopStall",
    limit: .seconds(60),
    mustSay: ["deadlock", "transferForward"],
    run: { arguments in
        let accounts = Accounts()
        stallLoop("deadlock", arguments, every: 3600) {
            Thread { accounts.transferBack() }.start()
            accounts.transferForward()
        }
    })
