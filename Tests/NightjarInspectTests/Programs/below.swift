// Generic classes below a class of a library that may change by itself, some of them in cycles.
import evolving

#if canImport(Glibc)
    import Glibc
#endif

final class Lower<Element>: Base {
    var element: Element
    var partner: Lower<Element>?
    init(_ element: Element) { self.element = element }
}
final class Plain: Base { var partner: Plain? }

nonisolated(unsafe) var kept: [AnyObject] = []
@inline(never) func pair<T>(_ value: T) {
    let a = Lower(value), b = Lower(value)
    (a.partner, b.partner) = (b, a)
}
@inline(never) func plainPair() {
    let a = Plain(), b = Plain()
    (a.partner, b.partner) = (b, a)
}
for i in 0..<200 {
    kept.append(Lower("word \(i)"))
    kept.append(Lower([i: Optional(i)]))
}
for i in 0..<200 { pair(i); plainPair() }
print("ready")
fflush(nil)
while readLine() != nil {}
