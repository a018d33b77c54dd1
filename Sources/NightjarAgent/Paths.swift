public import Glibc

// Where the agent keeps its files. systemd says so by RUNTIME_DIRECTORY, STATE_DIRECTORY and LOGS_DIRECTORY
// (systemd.exec(5)); root without systemd uses the same places; anyone else the XDG base directories.

/// The agent's folders.
public struct Paths: Hashable, Sendable {
    /// Sockets.
    public var runtime: String
    /// History.
    public var state: String
    /// The agent's own log.
    public var logs: String
    public var configFile: String

    public var apiSocket: String { runtime + "/api.sock" }
    public var probeSocket: String { runtime + "/probe.sock" }

    public init(environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }, uid: UInt32 = geteuid())
    {
        func systemd(_ name: String) -> String? {
            environment(name)?.split(separator: ":").first.map(String.init).flatMap { $0.isEmpty ? nil : $0 }
        }
        let isRoot = uid == 0
        let home = environment("HOME") ?? "/tmp"
        let userRuntime = (environment("XDG_RUNTIME_DIR") ?? "/tmp/nightjar-\(uid)") + "/nightjar"
        let userState = (environment("XDG_STATE_HOME") ?? home + "/.local/state") + "/nightjar"
        runtime = systemd("RUNTIME_DIRECTORY") ?? (isRoot ? "/run/nightjar" : userRuntime)
        state = systemd("STATE_DIRECTORY") ?? (isRoot ? "/var/lib/nightjar" : userState)
        logs = systemd("LOGS_DIRECTORY") ?? (isRoot ? "/var/log/nightjar" : userState + "/log")
        let userConfig = (environment("XDG_CONFIG_HOME") ?? home + "/.config") + "/nightjar/nightjar.conf"
        configFile =
            isRoot || access("/etc/nightjar/nightjar.conf", R_OK) == 0 ? "/etc/nightjar/nightjar.conf" : userConfig
    }

    /// Sockets that a client tries, in order: the system's agent, then its own user's.
    public static func socketsToTry() -> [String] {
        var candidates = ["/run/nightjar/api.sock", Paths().apiSocket]
        if candidates[0] == candidates[1] { candidates.removeLast() }
        return candidates
    }

    /// Makes a folder and its parents; true where it is there afterwards.
    @discardableResult public static func makeFolder(_ path: String, mode: mode_t = 0o755) -> Bool {
        if mkdir(path, mode) == 0 || errno == EEXIST { return true }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return false }
        return makeFolder(String(path[..<slash]), mode: mode) && (mkdir(path, mode) == 0 || errno == EEXIST)
    }
}
