// One of every kind of heap object, in numbers that are known: what the census, the leak search and the retaining chains
// are tested on. zoo N plants in proportion to N, prints "ready", and then obeys lines on standard input:
//     more K    K further requests        cycles K    K further cycles        churn S    S seconds at full speed
//     clear     lets the requests go      exec        becomes another program
import Dispatch
@preconcurrency import Glibc

final class Request { let id: Int; init(id: Int) { self.id = id } }
final class Session { var next: Session?; let tag: [Int]; init(_ n: Int) { tag = [n, n] } }
final class Owner { var part: Part? }
final class Part { let name = "part"; var owners: [Owner] = [] }
final class Gen<T> { var value: T; init(_ v: T) { value = v } }
struct Outer<A> { final class Inner<B> { var a: A; var b: B; init(_ a: A, _ b: B) { self.a = a; self.b = b } } }
actor Account { var balance = 0; func add() { balance += 1 } }
enum Failure: Error { case broken(String, Int) }
final class Emitter { var handlers: [Int: (Int) -> Int] = [:] }
final class Watched { weak var watcher: Watched?; var me: Watched?; init() {} }

nonisolated(unsafe) let emitter = Emitter()
nonisolated(unsafe) var sessions: [Session] = []
nonisolated(unsafe) var things: [AnyObject] = []
nonisolated(unsafe) var errors: [any Error] = []
nonisolated(unsafe) var words: [String: [Int]] = [:]
nonisolated(unsafe) var tasks: [Task<Void, Never>] = []
nonisolated(unsafe) var blocks: [UnsafeMutableRawPointer] = []
nonisolated(unsafe) weak var watched: Watched?

@inline(never) func handle(_ request: Request, _ k: Int) { emitter.handlers[request.id] = { $0 &+ request.id &+ k } }
@inline(never) func cycle(_ i: Int) { let a = Session(i), b = Session(i + 1); a.next = b; b.next = a }
@inline(never) func tangle() { let o = Owner(), p = Part(); o.part = p; p.owners = [o] }
// A cycle that a weak reference can still see: unreachable all the same.
@inline(never) func weakly() { let w = Watched(); w.me = w; watched = w }
@Sendable func sleeper() async { try? await Task.sleep(for: .seconds(3600)) }

@inline(never) func overwriteStack() {
    withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) {
        $0.initializeMemory(as: UInt8.self, repeating: 0)
    }
}

let n = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1])! : 300
for i in 0..<n * 10 { handle(Request(id: i), i) }
for i in 0..<n * 5 { sessions.append(Session(i)) }
for i in 0..<n {
    things.append(Gen([i: "x"]))
    things.append(Outer<String>.Inner("a\(i)", Optional(i)))
    things.append(Account())
    errors.append(Failure.broken("s", i))
    words["a rather long key for the heap \(i)"] = [i, i]
}
for i in 0..<n * 2 { cycle(i) }
for _ in 0..<n { tangle() }
weakly()
for _ in 0..<(n + 9) / 10 { tasks.append(Task { await sleeper() }) }
nonisolated(unsafe) var big = [Int](repeating: 7, count: n * 3_000)
// Blocks from other places than the main heap: mmapped, mmapped and aligned, and the arena of a thread.
blocks.append(malloc(300_000))
blocks.append(aligned_alloc(4096, 409_600))
let done = DispatchSemaphore(value: 0)
Thread.detach {
    for i in 0..<n { sessions.append(Session(i)) }; done.signal()
}
done.wait()
overwriteStack()
usleep(200_000)  // the tasks fall asleep
setvbuf(stdout, nil, _IOLBF, 0)
print("ready")

enum Thread {
    static func detach(_ body: @escaping () -> Void) {
        let box = Unmanaged.passRetained(Gen(body))
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Gen<() -> Void>>.fromOpaque(context!).takeRetainedValue().value()
                return nil
            }, box.toOpaque())
        pthread_detach(thread)
    }
}

nonisolated(unsafe) var nextRequest = n * 10
func churn(seconds: Double) {
    var ring: [Session] = (0..<10_000).map { Session($0) }
    let end = DispatchTime.now() + seconds
    var i = 0
    while DispatchTime.now() < end {
        for _ in 0..<1000 { i += 1; ring[i % 10_000] = Session(i) }
    }
    print("checksum \(ring.count)")
}
while let line = readLine() {
    let parts = line.split(separator: " ")
    let k = parts.count > 1 ? Int(parts[1])! : 0
    switch parts.first {
    case "more": for _ in 0..<k { handle(Request(id: nextRequest), k); nextRequest += 1 }
    case "cycles": for i in 0..<k { cycle(i) }
    case "churn": print("churning"); churn(seconds: Double(k))
    case "clear": emitter.handlers = [:]
    case "exec":
        var words: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("60"), nil]; execv("/bin/sleep", &words)
    default: break
    }
    overwriteStack()
    big[0] += 1
    print("done")
}
