// The same in Swift, as swiftc writes it:
//
//     swiftc -O -g -parse-as-library -emit-library -module-name Shop -no-toolchain-stdlib-rpath inlined.swift -o inlined-swift.bin
//
// and objcopy -R .swift_ast -R .debug_loc -R .debug_names, which the tests do not need.
public final class Basket {
    var prices: [Int] = []
    var seen = 0

    @inline(__always) func note(_ price: Int) {
        seen &+= price
        prices.append(price)
    }

    @inline(__always) func add(_ price: Int, twice: Bool) {
        if twice { note(price &* 2) }
        note(price)
    }

    @inline(never) public func fill(_ count: Int) {
        for price in 0..<count { add(price, twice: price > 3) }
    }
}
