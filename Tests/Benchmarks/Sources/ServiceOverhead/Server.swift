import BenchmarkKit
import Glibc

/// Starts a program; the descriptor, if any, becomes its standard output.
func spawn(_ words: [String], environment: [String]? = nil, output: Int32? = nil) -> pid_t {
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { word in strdup(word) }
    arguments.append(nil)
    var variables: [UnsafeMutablePointer<CChar>?] = (environment ?? []).map { text in strdup(text) }
    variables.append(nil)
    defer { for text in arguments + variables { free(text) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let output { posix_spawn_file_actions_adddup2(&actions, output, 1) }
    var pid: pid_t = 0
    let failed =
        if environment == nil { posix_spawnp(&pid, words[0], &actions, nil, arguments, environ) } else {
            posix_spawnp(&pid, words[0], &actions, nil, arguments, variables)
        }
    return failed == 0 ? pid : -1
}

/// Runs a program to its end; what it wrote.
func run(_ words: [String]) -> (text: String, status: Int32) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { return ("", -1) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let pid = spawn(words, output: ends[1])
    close(ends[1])
    defer { close(ends[0]) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while pid > 0, case let got = read(ends[0], &chunk, chunk.count), got > 0 { bytes += chunk[..<got] }
    var status: Int32 = 0
    if pid > 0 { waitpid(pid, &status, 0) }
    return (String(decoding: bytes, as: UTF8.self), pid > 0 ? status : -1)
}

/// One running service.
final class Server {
    let port: Int
    let pid: pid_t
    /// The probe's thread.
    let watchdog: Int32?

    init(_ program: String, port: Int, isProbed: Bool) {
        self.port = port
        pid = spawn(
            [program],
            environment: [
                "PORT=\(port)", "LOG_LEVEL=error", "NIGHTJAR_PROBE=\(isProbed ? "on" : "off")", "NIGHTJAR_SOCKET=",
                "PATH=/usr/bin:/bin",
            ])
        pause(seconds: 1)
        watchdog = Server.thread(named: "nightjar-probe", of: pid)
        guard pid > 0, kill(pid, 0) == 0, (watchdog != nil) == isProbed else {
            print("ServiceOverhead: the service did not start on port \(port)")
            exit(3)
        }
    }

    /// Of all its threads, also those that ended.
    var cpuSeconds: Double {
        // The clock of a process by its id, as clock_getcpuclockid(3) makes it: the scheduler's, in nanoseconds.
        var time = timespec()
        clock_gettime(clockid_t(~pid << 3 | 2), &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    var watchdogSeconds: Double {
        watchdog.map { (procNumber("/proc/\(pid)/task/\($0)/schedstat") ?? 0) / 1e9 } ?? 0
    }

    func stop() {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    private static func thread(named name: String, of pid: pid_t) -> Int32? {
        guard let folder = opendir("/proc/\(pid)/task") else { return nil }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let tid = withUnsafeBytes(of: entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let file = fopen("/proc/\(pid)/task/\(tid)/comm", "r") else { continue }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 32)
            guard fgets(&line, 32, file) != nil else { continue }
            let text = String(decoding: line.map { UInt8(bitPattern: $0) }.prefix { $0 > 10 }, as: UTF8.self)
            if text == name { return Int32(tid) }
        }
        return nil
    }
}

/// The number that stands before a text.
func number(before mark: String, in text: String) -> Double? {
    for line in text.split(separator: "\n") where line.contains(mark) {
        return line.split(separator: " ").first.flatMap { Double($0) }
    }
    return nil
}

/// The time behind a mark, in seconds: `99%    1.24ms`.
func latency(behind mark: String, in text: String) -> Double? {
    for line in text.split(separator: "\n") {
        let words = line.split(separator: " ")
        guard words.count == 2, words[0] == mark else { continue }
        let digits = words[1].prefix { $0.isNumber || $0 == "." }
        let scale = ["us": 1e-6, "ms": 1e-3, "s": 1.0][String(words[1].dropFirst(digits.count))]
        return scale.flatMap { scale in Double(digits).map { $0 * scale } }
    }
    return nil
}
