// A heap of a known size and shape for HeapCensus: heapfill MEGABYTES THREADS CYCLES. Objects, arrays, strings and lists
// are spread over the arenas of the threads (two full heaps beside each other among them). Then it beats: allocates and
// frees all the time, and once in 100 ms prints the longest gap that it saw between two beats, in microseconds.

@preconcurrency import Glibc

final class Node {
    var next: Node?
    var number: Int
    var name: String

    init(_ next: Node?, _ number: Int) {
        self.next = next
        self.number = number
        name = "a name that lies on the heap, number \(number)"
    }
}

final class Leaf {
    let values: [Int]

    init(_ number: Int) { values = [number, number + 1, number + 2] }
}

final class Ring {
    var other: Ring?
}

/// Fills the heap from its own threads.
final class Filler: @unchecked Sendable {
    private let rounds: Int
    private var lock = pthread_mutex_t()
    private var kept: [[AnyObject]] = []

    init(rounds: Int) {
        self.rounds = rounds
        pthread_mutex_init(&lock, nil)
    }

    var filled: Int {
        pthread_mutex_lock(&lock)
        defer { pthread_mutex_unlock(&lock) }
        return kept.count
    }

    func start() {
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Filler>.fromOpaque(context!).takeUnretainedValue().fill()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
    }

    private func fill() {
        var mine: [AnyObject] = []
        var last: Node?
        for number in 0..<rounds {
            last = Node(number % 50 == 0 ? nil : last, number)
            if number % 50 == 49, let last { mine.append(last) }
            mine.append(Leaf(number))
        }
        pthread_mutex_lock(&lock)
        kept.append(mine)
        pthread_mutex_unlock(&lock)
        while true { sleep(1000) }
    }

    @inline(never) func forget() {
        let (first, second) = (Ring(), Ring())
        first.other = second
        second.other = first
    }
}

func microseconds() -> Int {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

@main enum HeapFill {
    static func main() {
        let words = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        guard words.count == 3, words[1] > 0 else { exit(2) }
        setvbuf(stdout, nil, _IOLBF, 0)
        // About 290 bytes of heap each round.
        let filler = Filler(rounds: words[0] * 1_000_000 / words[1] / 290)
        for _ in 0..<words[1] { filler.start() }
        while filler.filled < words[1] { usleep(10_000) }
        for _ in 0..<words[2] { filler.forget() }
        print("ready")
        beat()
    }

    static func beat() -> Never {
        var ring = (0..<1000).map { Leaf($0) }
        var (number, longest, last) = (0, 0, microseconds())
        var told = last
        while true {
            for _ in 0..<20 {
                number += 1
                ring[number % 1000] = Leaf(number)
            }
            usleep(100)
            let now = microseconds()
            longest = max(longest, now - last)
            last = now
            if now - told > 100_000 {
                print("gap \(longest)")
                (longest, told) = (0, now)
            }
        }
    }
}
