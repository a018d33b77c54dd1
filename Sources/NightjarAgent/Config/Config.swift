import Glibc
import NightjarDetectors
public import NightjarModel

// The effective configuration: defaults, then the file, then its drop-ins in the order of their names; each value
// remembers where it came from.

/// Settings for one subject: `[Unit postgresql*.service]`.
public struct SubjectSection: Hashable, Sendable {
    /// `Unit`, `Process`, `Mount`, `Log`.
    public var kind: String
    /// A glob over the unit, process name, mount point or log path.
    public var pattern: String
    public var values: [ConfigAssignment]

    /// Whether this section speaks of `subject`.
    public func applies(to subject: Subject) -> Bool {
        switch kind {
        case "Unit": subject.unit.map(matches) ?? (subject.kind == .unit && matches(subject.name))
        case "Process": subject.kind == .process && matches(subject.name)
        case "Mount": subject.kind == .mount && matches(subject.name)
        case "Log": subject.kind == .log && matches(subject.name)
        default: false
        }
    }

    private func matches(_ name: String) -> Bool { Glob(pattern).matches(name) }
}

/// What the agent runs with.
public struct Config: Sendable {
    /// One value, and where it was set; nil for a default.
    public struct Value: Hashable, Sendable {
        public var text: String
        public var origin: ConfigOrigin?
    }

    private var values: [String: Value] = [:]
    public private(set) var subjects: [SubjectSection] = []
    public private(set) var problems: [ConfigProblem] = []
    /// The files that were read, in order.
    public private(set) var files: [String] = []

    /// The file that was asked for by name; nil where it was the usual place.
    public private(set) var path: String?

    /// What is built in before any file is read: drills are looked at with shortened spans.
    private static let builtIn = """
        [Process drill-*]
        Speedup=5000
        """

    /// Defaults alone.
    public init() {
        apply(Self.builtIn, file: "built-in")
        files = []
    }

    /// Reads `path` and its drop-ins. A file that does not exist is an empty one unless `mustExist`.
    public init(path: String, mustExist: Bool) {
        self.init()
        self.path = mustExist ? path : nil
        switch Self.read(path) {
        case .text(let text): apply(text, file: path)
        case .absent where !mustExist: break
        case .absent:
            problems.append(
                ConfigProblem(ConfigOrigin(file: path, line: 0), "no such file; give the path of an existing one"))
        case .failed(let detail): problems.append(ConfigProblem(ConfigOrigin(file: path, line: 0), detail))
        }
        for dropIn in Self.dropIns(of: path) {
            switch Self.read(dropIn) {
            case .text(let text): apply(text, file: dropIn)
            case .absent: break
            case .failed(let detail): problems.append(ConfigProblem(ConfigOrigin(file: dropIn, line: 0), detail))
            }
        }
    }

    /// Reads one text, for tests and for `nightjar config --check`.
    public init(text: String, file: String = "nightjar.conf") {
        self.init()
        apply(text, file: file)
    }

    /// Applies one file's text over what is there.
    public mutating func apply(_ text: String, file: String) {
        files.append(file)
        let syntax = ConfigSyntax(text: text, file: file)
        problems += syntax.problems
        var refused: Set<String> = []
        for assignment in syntax.assignments { apply(assignment, &refused) }
    }

    private mutating func apply(_ assignment: ConfigAssignment, _ refused: inout Set<String>) {
        let section = assignment.section
        guard ConfigTable.sections.contains(section) else {
            if refused.insert(section).inserted {
                let hint = ConfigTable.sections.nearest(to: section).map { "; did you mean [\($0)]?" }
                problems.append(
                    ConfigProblem(assignment.origin, "unknown section [\(ConfigSyntax.shown(section))]\(hint ?? "")"))
            }
            return
        }
        guard let spec = ConfigTable.spec(section: section, key: assignment.key) else {
            let known = ConfigTable.subjectSections.contains(section) ? ConfigTable.subject : ConfigTable.all
            let keys = known.filter { ConfigTable.subjectSections.contains(section) || $0.section == section }.map(
                \.key)
            let hint = keys.nearest(to: assignment.key).map { "; did you mean \($0)?" }
            problems.append(
                ConfigProblem(
                    assignment.origin,
                    "unknown key '\(ConfigSyntax.shown(assignment.key))' in [\(section)]\(hint ?? "")")
            )
            return
        }
        let isReset = assignment.value.isEmpty
        guard isReset || spec.kind.accepts(assignment.value) else {
            problems.append(
                ConfigProblem(
                    assignment.origin,
                    "\(spec.key)=\(ConfigSyntax.shown(assignment.value)) is not \(spec.kind.form)"))
            return
        }
        if ConfigTable.subjectSections.contains(section) { applyToSubject(assignment) } else { set(assignment, spec) }
    }

    private mutating func set(_ assignment: ConfigAssignment, _ spec: SettingSpec) {
        let name = "\(spec.section).\(spec.key)"
        if assignment.value.isEmpty {
            values[name] = spec.kind == .list ? Value(text: "", origin: assignment.origin) : nil
        } else if spec.kind == .list, let earlier = values[name]?.text, !earlier.isEmpty {
            values[name] = Value(text: "\(earlier) \(assignment.value)", origin: assignment.origin)
        } else {
            values[name] = Value(text: assignment.value, origin: assignment.origin)
        }
    }

    private mutating func applyToSubject(_ assignment: ConfigAssignment) {
        guard !assignment.subject.isEmpty else {
            problems.append(
                ConfigProblem(
                    assignment.origin, "[\(assignment.section)] needs a subject: write [\(assignment.section) NAME]"))
            return
        }
        let isSame = { (section: SubjectSection) in
            section.kind == assignment.section && section.pattern == assignment.subject
        }
        if let index = subjects.firstIndex(where: isSame) {
            subjects[index].values.append(assignment)
        } else {
            subjects.append(
                SubjectSection(kind: assignment.section, pattern: assignment.subject, values: [assignment]))
        }
    }

    // MARK: Reading values

    /// The effective text of a setting. A name that is not in the table is a mistake of ours.
    public func value(_ section: String, _ key: String) -> Value {
        guard let spec = ConfigTable.all.first(where: { $0.section == section && $0.key == key }) else {
            preconditionFailure("no setting [\(section)] \(key) in ConfigTable")
        }
        return values["\(section).\(key)"] ?? Value(text: spec.defaultText, origin: nil)
    }

    /// The setting in the type that its kind says, its default where no file sets it. The kinds were checked when the files
    /// were read, so that what cannot be parsed here is a setting of another kind, and answers nothing.
    public func text(_ section: String, _ key: String) -> String { value(section, key).text }
    public func flag(_ section: String, _ key: String) -> Bool { SettingText.flag(text(section, key)) ?? false }
    public func count(_ section: String, _ key: String) -> Int { Int(SettingText.count(text(section, key)) ?? 0) }
    public func share(_ section: String, _ key: String) -> Double { SettingText.share(text(section, key)) ?? 0 }
    public func bytes(_ section: String, _ key: String) -> Bytes { SettingText.bytes(text(section, key)) ?? .zero }
    /// A span, with its own unit in the file (`90s`, `4h`).
    public func duration(_ section: String, _ key: String) -> Duration {
        SettingText.duration(text(section, key)) ?? .zero
    }
    /// Words, and a severity by its word.
    public func list(_ section: String, _ key: String) -> [String] { ConfigSyntax.words(text(section, key)) ?? [] }
    public func severity(_ section: String, _ key: String) -> Severity { Severity(word: text(section, key)) ?? .info }

    /// What is set for one subject, later sections last, so that the last one wins.
    public func assignments(for subject: Subject) -> [ConfigAssignment] {
        subjects.filter { $0.applies(to: subject) }.flatMap(\.values)
    }

    /// Every setting with its effective value, in the table's order.
    public var effective: [(spec: SettingSpec, value: Value)] {
        ConfigTable.all.map { ($0, value($0.section, $0.key)) }
    }

    // MARK: Files

    private enum Reading {
        case text(String)
        case absent
        case failed(String)
    }

    private static func read(_ path: String) -> Reading {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            return errno == ENOENT ? .absent : .failed("cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .failed("is no regular file; give the path of a file")
        }
        guard status.st_size <= ConfigSyntax.largestFile else {
            return .failed("is larger than \(ConfigSyntax.largestFile) bytes; a configuration is not")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let read = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
            }
            if read < 0, errno == EINTR { continue }
            if read < 0 { return .failed("cannot be read: \(String(cString: strerror(errno)))") }
            if read == 0 { break }
            filled += read
        }
        return .text(String(decoding: bytes.prefix(filled), as: UTF8.self))
    }

    /// `*.conf` in `PATH.d`, in the order of their names.
    private static func dropIns(of path: String) -> [String] {
        guard let folder = opendir(path + ".d") else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".conf"), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted().map { "\(path).d/\($0)" }
    }
}
