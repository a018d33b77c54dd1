// `nightjar stacks PID`: all threads of a process now, as text. Threads with the same stack are shown once; what the compiler
// and the runtime put between two functions is left out.
//
//     NIO-ELT-0-#0 (thread 4243): blocked in epoll_wait
//       epoll_wait
//       NIOPosix.Selector.whenReady(strategy:onLoopBegin:_:)  SelectorGeneric.swift:378
//       …

public import NightjarModel
public import NightjarSymbols
import NightjarWire

/// Stacks as people read them and as JSON.
public enum StacksCommand {
    private typealias Group = (frames: [String], threads: [ThreadStack])

    private static let mostFrames = 40
    /// Argument labels longer than this are cut to the first: what matters is which function it is.
    private static let longestLabels = 40

    /// The text of stacks that were read; lines are cut at `width`.
    public static func text(_ stacks: [ThreadStack], width: Int = 120) -> String {
        var groups: [Group] = []
        for stack in stacks where !isProbe(stack) {
            let frames = lines(stack.frames)
            if let index = groups.firstIndex(where: { $0.frames == frames && $0.threads[0].state == stack.state }) {
                groups[index].threads.append(stack)
            } else {
                groups.append((frames, [stack]))
            }
        }
        // What the program does comes first, what only waits for work last.
        let (busy, idle) = groups.reduce(into: ([Group](), [Group]())) { parts, group in
            if isBusy(group) { parts.0.append(group) } else { parts.1.append(group) }
        }
        return (busy + idle).map { text($0.frames, $0.threads, width) }.joined(separator: "\n")
    }

    /// The thread that took the stacks, and has none of its own to show.
    private static func isProbe(_ stack: ThreadStack) -> Bool { stack.name == "nightjar-probe" && stack.frames.isEmpty }

    private static func isBusy(_ group: Group) -> Bool {
        group.threads[0].state == .running || group.threads[0].frames.contains(where: \.isService)
    }

    private static func text(_ frames: [String], _ threads: [ThreadStack], _ width: Int) -> String {
        let names = threads.prefix(4).map { "\(ThreadName.spoken($0.name)) (thread \($0.tid))" }
        let more = threads.count > 4 ? " and \(threads.count - 4) more" : ""
        let head = "\(names.joined(separator: ", "))\(more): \(words(threads[0]))"
        return ([head] + frames.map { "  \($0)" }).map { TextTable.cut($0, to: max(width, 60)) + "\n" }.joined()
    }

    /// A function that stands there several times in a row, as a specialised one and its thunk do, is shown once, with the
    /// line where one is known.
    private static func lines(_ frames: [SymbolizedFrame]) -> [String] {
        var shown: [SymbolizedFrame] = []
        for frame in frames where !frame.isPlumbing {
            if let last = shown.last, last.name == frame.name, frame.function != nil {
                if last.line == nil { shown[shown.count - 1] = frame }
            } else {
                shown.append(frame)
            }
        }
        var lines = shown.prefix(mostFrames).map(line)
        if shown.count > mostFrames { lines.append("… \(shown.count - mostFrames) more") }
        return lines
    }

    private static func line(_ frame: SymbolizedFrame) -> String {
        guard let file = frame.file, let number = frame.line, number > 0 else { return shortened(frame.description) }
        return "\(shortened(frame.name))  \(file):\(number)"
    }

    /// `f(first:second:third:…)` with its first label only, where there are many.
    private static func shortened(_ name: String) -> String {
        guard let open = name.lastIndex(of: "("), name.hasSuffix(")"), name[open...].count > longestLabels,
            let colon = name[open...].firstIndex(of: ":")
        else { return name }
        return name[...colon] + "…)"
    }

    private static func words(_ stack: ThreadStack) -> String {
        switch stack.state {
        case .running: stack.frames.isEmpty ? "running, its stack cannot be seen from outside" : "running"
        case .blocked(let call) where call < 0: "waiting for memory"
        case .blocked(let call): "blocked in \(SystemCall.name(call))"
        case .unreadable: "not readable"
        }
    }

    private static func word(_ state: ThreadStack.State) -> String {
        switch state {
        case .running: "running"
        case .blocked(let call): call < 0 ? "paging" : "blocked"
        case .unreadable: "unreadable"
        }
    }

    /// `--format json`: every frame, innermost first.
    public static func json(_ stacks: [ThreadStack]) -> JSON {
        .array(
            stacks.map { stack in
                var call: String?
                if case .blocked(let number) = stack.state, number >= 0 { call = SystemCall.name(number) }
                return .object([
                    ("tid", .int(Int64(stack.tid))), ("name", .string(stack.name)),
                    ("state", .string(word(stack.state))), ("call", .optional(call)),
                    ("frames", .array(stack.frames.map(json))),
                ])
            })
    }

    private static func json(_ frame: SymbolizedFrame) -> JSON {
        .object([
            ("function", .optional(frame.function)), ("symbol", .optional(frame.symbol)),
            ("file", .optional(frame.file)), ("line", .optional(frame.line.map(Int64.init))),
            ("inlined", .bool(frame.isInlined)), ("module", .optional(frame.module?.path)),
            ("build_id", .optional(frame.module.map { hexadecimal($0.buildID) })),
            ("offset", .int(Int64(clamping: frame.offset))),
            ("address", .string("0x" + String(frame.address, radix: 16))),
        ])
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
