import Dispatch
import Glibc

/// Receipts come from a printer that takes its time: a file that is read as if it were there already.
struct Receipts: Sendable {
    private let reading: Int32
    private let writing: Int32
    private let printer = DispatchQueue(label: "printer")

    init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0, "no pipe")
        (reading, writing) = (ends[0], ends[1])
    }

    func load() -> [UInt8] {
        printer.asyncAfter(deadline: .now() + .milliseconds(300)) { [writing] in
            _ = write(writing, "one pot of tea\n", 15)
        }
        var bytes = [UInt8](repeating: 0, count: 15)
        let count = read(reading, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }
}

/// A nightly job that somebody put behind a route: it blocks the thread that it runs on.
enum Audit {
    static func run() -> Int {
        usleep(500_000)
        return 3
    }
}
