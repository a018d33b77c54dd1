import Hummingbird
import NIOPosix
import NightjarProbe
import NightjarProbeNIO

let probe = Probe.start(service: "checkout")
probe.watch(MultiThreadedEventLoopGroup.singleton)

let environment = Environment()
let app = Application(
    router: routes(catalog: try Catalog(), prices: PriceList(), receipts: Receipts()),
    configuration: ApplicationConfiguration(
        address: .hostname("127.0.0.1", port: environment.get("PORT", as: Int.self) ?? 8080)))
try await app.runService()
