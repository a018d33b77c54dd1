import Glibc

// A debug log left on: a service answers requests, and each writes what it did in full detail, until the disk is full.
// Then its own data has no room either, and every request fails with 502 while no log says why.

let debugLog = Incident(
    name: "debug-log",
    story: "a debug log left on fills the disk",
    detector: "DiskFill",
    limit: .seconds(180),
    mustSay: ["debug-log"],
    run: { arguments in try runDebugLog(arguments: arguments) }
)

/// `--directory DIR` where to fill, `--rate BYTES` a second (3,000,000), `--seconds N`. On a file system of more than 1 GiB,
/// or without a directory, an ext4 of 256 MB is mounted for it, as root. Takes away what it wrote and mounted when it ends.
func runDebugLog(arguments: Arguments) throws {
    let disk = try SmallDisk(for: "debug-log", arguments)
    defer { disk.end() }
    let path = "\(disk.directory)/debug-log.log"
    let log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
    guard log >= 0 else { throw SmallDisk.Trouble(text: "cannot open \(path): \(String(cString: strerror(errno)))") }
    defer {
        close(log)
        unlink(path)
    }
    var service = DebugService(directory: disk.directory, arguments)
    service.run { line in
        var line = line + "\n"
        return line.withUTF8 { write(log, $0.baseAddress!, $0.count) }
    }
}

/// The service of both incidents: it keeps a small file of its own, and talks too much.
struct DebugService {
    let directory: String
    let rate: Double
    let seconds: Double
    private(set) var served = 0
    private(set) var failed = 0
    private var offered = 0

    init(directory: String, _ arguments: Arguments) {
        self.directory = directory
        rate = max(1, arguments.value("--rate").flatMap(Double.init) ?? 3_000_000)
        seconds = arguments.seconds
    }

    /// Requests at ten a second, each with its share of debug lines; says every five seconds how it goes.
    mutating func run(_ debug: (String) -> Int) {
        let began = monotonicSeconds()
        var said = began
        while monotonicSeconds() - began < seconds, !EndSignal.isHere {
            let due = Int((monotonicSeconds() - began) * rate)
            while offered < due {
                let line = DebugService.line(offered)
                _ = debug(line)
                offered += line.utf8.count + 1
            }
            if answer() { served += 1 } else { failed += 1 }
            if monotonicSeconds() - said >= 5 {
                said = monotonicSeconds()
                print(
                    "\(offered / 1_000_000) MB of debug lines offered, \(served) requests served, \(failed) answered 502"
                )
            }
            usleep(100_000)
        }
        print("served \(served), failed \(failed), offered \(offered) bytes")
    }

    private static func line(_ number: Int) -> String {
        "DEBUG cart.cache: miss for key user:\(number % 9_973) item \(number), "
            + "fetching from primary, headers {accept: application/json, x-request-id: \(number &* 2_654_435_761)}"
    }

    /// A request stores its order: it needs a little room on the same disk.
    private func answer() -> Bool {
        let path = "\(directory)/order.tmp"
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return false }
        defer {
            close(file)
            unlink(path)
        }
        let order = [UInt8](repeating: 0x20, count: 16_384)
        return write(file, order, order.count) == order.count
    }
}

/// The directory that was asked for, or a small real file system of our own.
struct SmallDisk {
    struct Trouble: Error, CustomStringConvertible {
        var text: String
        var description: String { text }
    }

    let directory: String
    private let image: String?

    init(for name: String, _ arguments: Arguments) throws {
        let asked = arguments.value("--directory")
        if let asked, SmallDisk.isSmall(asked) {
            directory = asked
            image = nil
            return
        }
        guard geteuid() == 0 else {
            throw Trouble(text: "needs root to mount a small disk, or --directory DIR on a disk of less than 1 GiB")
        }
        EndSignal.listen()
        directory = asked ?? "/run/nightjar-drill/\(name)"
        let image = "/var/tmp/nightjar-drill-\(name)-\(getpid()).img"
        self.image = image
        let made = SmallDisk.shell(
            """
            mkdir -p '\(directory)' && truncate -s 256M \(image) && mkfs.ext4 -q -m 0 \(image) \
            && mount -o loop \(image) '\(directory)'
            """)
        guard made else {
            unlink(image)
            throw Trouble(
                text: "cannot mount a small disk at \(directory): give --directory DIR on a disk of less than 1 GiB")
        }
        print("mounted 256 MB at \(directory)")
    }

    /// A disk that may be filled: nobody keeps much on it.
    private static func isSmall(_ directory: String) -> Bool {
        var status = statvfs()
        return statvfs(directory, &status) == 0 && UInt64(status.f_blocks) * UInt64(status.f_frsize) <= 1 << 30
    }

    /// Unmounts and deletes what was mounted.
    func end() {
        guard let image else { return }
        _ = SmallDisk.shell("umount -l '\(directory)'; rmdir '\(directory)'")
        unlink(image)
    }

    private static func shell(_ command: String) -> Bool { system("{ \(command); } >/dev/null 2>&1") == 0 }
}

/// A drill ends its incident by a signal; what was mounted has to go away all the same.
private enum EndSignal {
    static var isHere: Bool { endSignalCame != 0 }

    static func listen() {
        for number in [SIGTERM, SIGINT] { signal(number) { _ in endSignalCame = 1 } }
    }
}

private nonisolated(unsafe) var endSignalCame: sig_atomic_t = 0
