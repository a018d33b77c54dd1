// How is the host? Five small files, kept open: memory, pressure, load, kills. The whole costs less than 100 µs.

public import NightjarModel

/// Reads the host's figures. Not thread-safe.
public final class HostReader {
    /// What was swallowed: a file that is there and cannot be understood.
    public private(set) var errors = ErrorCounts()

    private let proc: Directory
    private let processors: Int
    private var files: [HostFile: Int32] = [:]

    private enum HostFile: String, CaseIterable {
        case memory = "meminfo"
        case statistics = "vmstat"
        case load = "loadavg"
        case memoryPressure = "pressure/memory"
        case cpuPressure = "pressure/cpu"
        case ioPressure = "pressure/io"
    }

    /// - Throws: where the roots cannot be opened.
    public init(proc root: String = "/proc", sys: String = "/sys") throws(ProcError) {
        proc = try Directory(root, capacity: 32 << 10)
        processors = Processors.online(sys: sys)
        for file in HostFile.allCases {
            let descriptor = proc.open(file.rawValue)
            if descriptor >= 0 { files[file] = descriptor }
        }
    }

    deinit {
        for descriptor in files.values { proc.shut(descriptor) }
    }

    /// One reading. What this kernel does not have (pressure before 4.20, a kill count before 4.13) is nil.
    /// - Throws: where `meminfo` cannot be read or does not say how much memory there is.
    public func read(at time: Moment) throws(ProcError) -> HostSample {
        var sample = try readMemory(at: time)
        sample.processors = processors
        sample.load1 = readLoad()
        sample.oomKills = readKills()
        sample.memoryPressure = readPressure(.memoryPressure)
        sample.cpuPressure = readPressure(.cpuPressure)
        sample.ioPressure = readPressure(.ioPressure)
        return sample
    }

    private func readMemory(at time: Moment) throws(ProcError) -> HostSample {
        let path = "\(proc.path)/meminfo"
        let count = files[.memory].map { proc.reread($0) } ?? -2
        guard count > 0 else {
            throw ProcError(.unreadable, path: path, detail: count == 0 ? "it is empty" : reason(Int32(-count)))
        }
        let buffer = proc.bytes(count)
        let bytes = buffer.span
        guard let total = value(of: "MemTotal", in: bytes), let free = value(of: "MemFree", in: bytes) else {
            throw ProcError(.malformed, path: path, detail: "no MemTotal and MemFree")
        }
        // MemAvailable came with Linux 3.14.
        let available = value(of: "MemAvailable", in: bytes) ?? free
        return HostSample(
            time: time, memoryTotal: kibi(total), memoryAvailable: kibi(available),
            swapTotal: kibi(value(of: "SwapTotal", in: bytes) ?? 0),
            swapFree: kibi(value(of: "SwapFree", in: bytes) ?? 0))
    }

    private func kibi(_ number: UInt64) -> Bytes { Bytes(Int64(clamping: number.multipliedSaturating(by: 1024))) }

    private func readLoad() -> Double? {
        guard let count = reread(.load) else { return nil }
        let buffer = proc.bytes(count)
        var position = 0
        return counted(decimal(buffer.span, &position))
    }

    private func readKills() -> Int64? {
        guard let count = reread(.statistics) else { return nil }
        return value(of: "oom_kill", in: proc.bytes(count).span).map { Int64(clamping: $0) }
    }

    private func readPressure(_ file: HostFile) -> HostSample.Pressure? {
        guard let count = reread(file) else { return nil }
        return counted(pressure(in: proc.bytes(count).span))
    }

    private func reread(_ file: HostFile) -> Int? {
        guard let descriptor = files[file] else { return nil }
        let count = proc.reread(descriptor)
        // Pressure files open, and answer EOPNOTSUPP, on kernels that were told to do without.
        return count > 0 ? count : nil
    }

    private func counted<Value>(_ value: Value?) -> Value? {
        if value == nil { errors[.malformed] += 1 }
        return value
    }
}

/// `some avg10=0.12 avg60=…` and `full avg10=…`: shares of the last ten seconds, 0…1. Nil without the first line.
func pressure(in bytes: borrowing ByteSpan) -> HostSample.Pressure? {
    guard let some = averageOfTen("some avg10=", in: bytes) else { return nil }
    // The host's CPU pressure has had no `full` line for years.
    return HostSample.Pressure(some: some, full: averageOfTen("full avg10=", in: bytes) ?? 0)
}

private func averageOfTen(_ key: StaticString, in bytes: borrowing ByteSpan) -> Double? {
    var position = 0
    while position < bytes.count {
        if has(key, at: position, of: bytes) {
            position += key.utf8CodeUnitCount
            return decimal(bytes, &position).map { min(1, $0 / 100) }
        }
        while position < bytes.count, bytes[position] != newline { position += 1 }
        position += 1
    }
    return nil
}

/// `12.34`
func decimal(_ bytes: borrowing ByteSpan, _ position: inout Int) -> Double? {
    guard let whole = number(bytes, &position) else { return nil }
    guard position < bytes.count, bytes[position] == UInt8(ascii: ".") else { return Double(whole) }
    position += 1
    let start = position
    guard let fraction = number(bytes, &position) else { return Double(whole) }
    var divisor = 1.0
    for _ in start..<position { divisor *= 10 }
    return Double(whole) + Double(fraction) / divisor
}

extension UInt64 {
    func multipliedSaturating(by factor: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
