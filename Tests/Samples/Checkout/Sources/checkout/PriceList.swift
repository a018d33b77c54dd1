import Dispatch
import Glibc
import Synchronization

/// Prices behind a lock. A list that has grown old is fetched anew in the background, and whoever asks meanwhile waits.
final class PriceList: Sendable {
    private struct State {
        var cents = ["tea": 1290]
        var fetched: ContinuousClock.Instant?
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "prices")

    func price(of item: String) -> Int {
        let (cents, isOld) = state.withLock { state in
            (state.cents[item] ?? 0, state.fetched.map { .now - $0 > .seconds(1) } ?? true)
        }
        if isOld { queue.async { self.refresh() } }
        return cents
    }

    private func refresh() {
        state.withLock { state in
            state.cents["tea"] = fetchPrice()
            state.fetched = .now
        }
    }
}

/// Stands for a call to another service.
private func fetchPrice() -> Int {
    usleep(400_000)
    return 1290
}
