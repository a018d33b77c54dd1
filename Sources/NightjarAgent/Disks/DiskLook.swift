// One look at who writes what on some disks, done on a side thread, with everything that has to be read while the
// writers still live: their names, their units, and a sample of what they append.

import CNightjarLinux
import Glibc
public import NightjarModel
public import NightjarSources

/// A process by name, read when it was seen.
public struct NamedProcess: Hashable, Sendable {
    public var pid: Int32
    public var name: String
    public var unit: String?

    /// `checkout (checkout.service, pid 4242)`.
    public var label: String {
        let inside = [unit == name ? nil : unit, "pid \(pid)"].compactMap(\.self).joined(separator: ", ")
        return "\(name) (\(inside))"
    }

    /// Reads comm and cgroup; `?` where the process is gone or hidden.
    static func read(_ pid: Int32, root: String) -> NamedProcess {
        let comm = TextFile.read("\(root)/\(pid)/comm").map { String($0.prefix(64).prefix { $0 != "\n" }) }
        return NamedProcess(pid: pid, name: comm ?? "?", unit: unit(pid, root: root))
    }

    /// The unit from the cgroup that has one: v2's line, or systemd's own tree on v1.
    private static func unit(_ pid: Int32, root: String) -> String? {
        guard let text = TextFile.read("\(root)/\(pid)/cgroup") else { return nil }
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, fields[1] == "" || fields[1] == "name=systemd" else { continue }
            if let name = UnitPlace(cgroup: String(fields[2])).name { return name }
        }
        return nil
    }
}

enum TextFile {
    /// A small file as text; nil where it cannot be read.
    static func read(_ path: String, limit: Int = 4096) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: limit)
        let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
        return count >= 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

/// A file that grows, with its writers' names and the message that fills it.
public struct GrowingFile: Hashable, Sendable {
    public var path: String
    public var isDeleted: Bool
    public var size: Bytes
    public var growth: Bytes
    public var span: Duration
    /// Most likely writer first; empty where nobody holds it open.
    public var writers: [NamedProcess]
    public var template: LogTemplate?
    /// Share of what was sampled that is of level debug or trace.
    public var debugShare: Double

    /// Bytes a second.
    public var pace: Double { span > .zero ? Double(growth.count) / span.inSeconds : 0 }
}

/// A deleted file that is still held open, with its holders' names.
public struct HeldDeletedFile: Hashable, Sendable {
    public var path: String
    public var held: Bytes
    public var holders: [NamedProcess]
}

/// What one look found.
struct DiskLook: Sendable {
    var open: OpenFiles
    var growing: [UInt64: [GrowingFile]] = [:]
    var deleted: [UInt64: [HeldDeletedFile]] = [:]
    /// How long it took.
    var cost: Duration

    static let maximumFiles = 8
    /// So much of the largest growing files is sampled for their template.
    static let sampledFiles = 2
    static let sampleBytes = 65_536

    /// Compares with `earlier`, where there is one. Takes milliseconds; meant for a side thread.
    static func take(devices: Set<UInt64>, after earlier: OpenFiles?, root: String, at time: Moment) -> DiskLook {
        let begin = monotonicNow()
        var look = DiskLook(open: OpenFiles.look(devices: devices, root: root, at: time), cost: .zero)
        for device in devices {
            look.deleted[device] = DeletedFile.among(look.open, device: device, limit: maximumFiles).map { file in
                HeldDeletedFile(
                    path: file.path, held: file.held,
                    holders: file.holders.prefix(4).map { NamedProcess.read($0, root: root) })
            }
            guard let earlier else { continue }
            let grown = FileGrowth.between(earlier, look.open, device: device, limit: maximumFiles)
            look.growing[device] = grown.enumerated().map { position, file in
                named(file, sampled: position < sampledFiles, open: look.open, root: root, at: time)
            }
        }
        look.cost = monotonicNow() - begin
        return look
    }

    private static func named(_ file: FileGrowth, sampled: Bool, open: OpenFiles, root: String, at time: Moment)
        -> GrowingFile
    {
        var miner = TemplateMiner()
        if sampled, let holder = open.files[file.key]?.holders.first {
            // Through the holder's descriptor: right for deleted files and for files of containers.
            sample("\(root)/\(holder.pid)/fd/\(holder.descriptor)", file, into: &miner, at: time)
        }
        return GrowingFile(
            path: file.path, isDeleted: file.isDeleted, size: file.size, growth: file.growth, span: file.span,
            writers: file.writers.filter(\.mayWrite).prefix(3).map { NamedProcess.read($0.pid, root: root) },
            template: miner.top(1).first, debugShare: miner.debugShare)
    }

    private static func sample(_ path: String, _ file: FileGrowth, into miner: inout TemplateMiner, at time: Moment) {
        let length = min(file.growth.count, Int64(sampleBytes))
        let bytes = FileTail.read(path, from: file.size.count - length, length: Int(length))
        for line in LogFiles.lines(bytes[...], startsWithLine: length == file.size.count) {
            line.withUnsafeBufferPointer { miner.observe($0, weight: Double(line.count + 1), at: time) }
        }
    }
}

enum FileTail {
    /// Bytes from an offset; fewer or none where the file is shorter or unreadable.
    static func read(_ path: String, from offset: Int64, length: Int) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0, length > 0 else {
            if descriptor >= 0 { close(descriptor) }
            return []
        }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: length)
        let count = buffer.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(max(0, offset))) }
        return count > 0 ? Array(buffer[..<count]) : []
    }
}

/// CLOCK_MONOTONIC, for measuring costs.
func monotonicNow() -> Moment {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Moment(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
}

/// Seconds since 1970 on the wall clock, which stamps files.
func wallSeconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec)
}
