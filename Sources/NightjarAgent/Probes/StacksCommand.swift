// `nightjar stacks PID`: all threads of a process now, as text. Threads with the same stack are shown once.
//
//     thread 4243  NIO-ELT-0-#0  blocked in epoll_wait
//       __epoll_wait
//       closure #1 in NIOPosix.SelectableEventLoop.run()
//       …

public import NightjarModel
public import NightjarSymbols
import NightjarWire

/// Stacks as people read them and as JSON.
public enum StacksCommand {
    private static let mostFrames = 40

    /// Reads and prints the stacks of a process from outside, without an agent and without a probe.
    public static func text(pid: Int32, procRoot: String = "/proc") -> Result<String, StacksError> {
        ThreadStacks.read(pid: pid, procRoot: procRoot).map(text)
    }

    /// The table of stacks that were read.
    public static func text(_ stacks: [ThreadStack]) -> String {
        var groups: [(frames: [String], threads: [ThreadStack])] = []
        for stack in stacks {
            let frames = stack.frames.prefix(mostFrames).map(\.description)
            if let index = groups.firstIndex(where: { $0.frames == frames && $0.threads[0].state == stack.state }) {
                groups[index].threads.append(stack)
            } else {
                groups.append((frames, [stack]))
            }
        }
        return groups.map(text).joined(separator: "\n")
    }

    private static func text(_ group: (frames: [String], threads: [ThreadStack])) -> String {
        let threads = group.threads
        let names = threads.prefix(4).map { "\($0.tid) \($0.name)" }.joined(separator: ", ")
        let head =
            "thread \(names)\(threads.count > 4 ? " and \(threads.count - 4) more" : ""): \(words(threads[0].state))\n"
        if group.frames.isEmpty { return head }
        return head + group.frames.map { "  \($0)\n" }.joined()
    }

    private static func words(_ state: ThreadStack.State) -> String {
        switch state {
        case .running: "running"
        case .blocked(let call) where call < 0: "waiting for memory"
        case .blocked(let call): "blocked in \(SystemCall.name(call))"
        case .unreadable: "not readable"
        }
    }

    /// `--format json`.
    public static func json(_ stacks: [ThreadStack]) -> JSON {
        .array(
            stacks.map { stack in
                .object([
                    ("tid", .int(Int64(stack.tid))), ("name", .string(stack.name)),
                    ("state", .string(words(stack.state))),
                    ("frames", .array(stack.frames.prefix(mostFrames).map { .string($0.description) })),
                ])
            })
    }
}
