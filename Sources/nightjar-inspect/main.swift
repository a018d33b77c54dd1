// The short-lived child that reads another process's memory: `nightjar` and `nightjard` start it, and it ends with one
// answer. It holds whole heap pages while it works, so it lets nobody look: not dumpable, no core file, no privileges but
// those that reading needs, and limits of memory and time of its own. Only names, counts and sizes are written.

import CNightjarLinux
@preconcurrency import Glibc
import NightjarInspect

func fail(_ sentence: String, exitCode: Int32 = 3) -> Never {
    fputs("nightjar-inspect: \(sentence)\n", stderr)
    exit(exitCode)
}

let words = Array(CommandLine.arguments.dropFirst())
if words.first == "--help" || words.first == "-h" {
    print(InspectCommand.usage, terminator: "")
    exit(0)
}
guard var command = InspectCommand(words) else {
    fputs(InspectCommand.usage, stderr)
    exit(2)
}

nj_end_with_sentence(
    "nightjar-inspect: ended itself: a limit of memory was met or the target's memory made no sense; "
        + "raise --memory-limit or try again\n",
    "nightjar-inspect: gave up: the time limit was met; raise --time-limit to go on\n")
if nj_not_dumpable() != 0 { fail("cannot make itself unreadable for others") }
if command.width == nil, isatty(1) != 0 {
    var size = winsize()
    if ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 20 { command.width = Int(size.ws_col) }
}
// Room for the program itself stands beside what the work may take.
let waiting = command.difference ?? command.interval * command.censuses
let seconds = command.budget.seconds + Double(waiting.components.seconds)
if nj_limit_self(command.budget.memory + 256 << 20, UInt64(command.budget.seconds) + 1) != 0 {
    fail("cannot limit its own memory and time")
}
alarm(UInt32(min(seconds + 10, 100_000)))
if nj_keep_only_reading() != 0 { fail("cannot give up its privileges") }

do {
    let answer = try command.run()
    fputs(answer.text, stdout)
    fflush(stdout)
    exit(answer.exitCode)
} catch let error as InspectError {
    fail(error.sentence)
} catch {
    fail("\(error)")
}
