import FoundationEssentials
import Hummingbird
import NIOCore

/// A request that knows the event loop of its connection.
struct CheckoutContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let loop: any EventLoop

    init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
        loop = source.channel.eventLoop
    }
}

/// Two healthy routes, three that hold up their connection's event loop, and one that takes threads of the pool.
func routes(catalog: Catalog, prices: PriceList, receipts: Receipts) -> Router<CheckoutContext> {
    let router = Router(context: CheckoutContext.self)

    // Healthy: nothing waits, nothing computes for long.
    router.get("hello") { _, _ in "hello\n" }
    router.get("orders") { _, _ in Order.latest }

    // Ten megabytes of JSON, decoded where the connections of this loop are served.
    router.get("import") { _, context in
        try await context.loop.submit { "\(try catalog.decode()) items\n" }.get()
    }
    // A read that waits for whoever writes the file.
    router.get("receipt") { _, context in
        try await context.loop.submit { "\(receipts.load().count) bytes\n" }.get()
    }
    // A lock that is held while the prices are fetched anew.
    router.get("price") { _, context in
        try await context.loop.submit { "\(prices.price(of: "tea"))\n" }.get()
    }
    // A blocking call in an async function: it takes a thread of the cooperative pool with it.
    router.get("audit") { _, _ in "\(Audit.run()) entries\n" }
    return router
}

struct Order: ResponseCodable {
    var number: Int
    var customer: String
    var lines: [Line]

    struct Line: Codable {
        var item: String
        var count: Int
        var cents: Int
    }

    static let latest = (1...20).map { number in
        Order(
            number: number, customer: "customer \(number)",
            lines: (1...3).map { Line(item: "item \($0)", count: $0, cents: 100 * $0 + number) })
    }
}
