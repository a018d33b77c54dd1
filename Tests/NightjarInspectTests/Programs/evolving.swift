// A library that may change by itself (library evolution): what a class below one of its classes looks like is settled
// when both meet at run time.
open class Base {
    public var first: [Int] = [1, 2, 3]
    public var second: Int = 0
    public init() {}
}
