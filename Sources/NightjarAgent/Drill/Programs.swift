import Glibc

/// Finds and starts the programs that belong together.
enum Programs {
    /// Where a package puts what nobody calls by name.
    private static let libraryFolders = ["/usr/lib/nightjar", "/usr/libexec/nightjar"]

    /// The path of a sibling: beside the running program, in the library folders, then on PATH; nil where it is not
    /// installed.
    static func locate(_ name: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        let own = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin"
        let folders =
            [own.lastIndex(of: "/").map { String(own[..<$0]) }].compactMap(\.self) + libraryFolders
            + path.split(separator: ":").map(String.init)
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// Starts a program; its output goes where ours goes, or nowhere. nil where it cannot be started.
    static func start(_ program: String, _ words: [String], isQuiet: Bool, output: Int32? = nil) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if let output {
            posix_spawn_file_actions_adddup2(&actions, output, 1)
        } else if isQuiet {
            posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        }
        var arguments: [UnsafeMutablePointer<CChar>?] = ([program] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        return posix_spawn(&child, program, &actions, nil, &arguments, environ) == 0 ? child : nil
    }

    /// Standard output of a program that ends by itself; nil where it fails.
    static func output(of program: String, _ words: [String]) -> String? {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { return nil }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let child = start(program, words, isQuiet: true, output: ends[1])
        close(ends[1])
        defer { close(ends[0]) }
        guard let child else { return nil }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while text.count < 1 << 20 {
            let count = read(ends[0], &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            text += chunk.prefix(count)
        }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return status == 0 ? String(decoding: text, as: UTF8.self) : nil
    }

    /// Ends a child and waits for it: TERM, and KILL after two seconds.
    static func stop(_ child: pid_t) {
        kill(child, SIGTERM)
        var status: Int32 = 0
        for _ in 0..<40 {
            if waitpid(child, &status, WNOHANG) != 0 { return }
            usleep(50_000)
        }
        kill(child, SIGKILL)
        waitpid(child, &status, 0)
    }
}
