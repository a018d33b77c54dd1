import Testing

@testable import NightjarSymbols

@Suite("Names that are not Swift's") struct PlainNameTests {
    @Test(arguments: [
        ("_ZN5swift34runJobInEstablishedExecutorContextEPNS_3JobE", "swift::runJobInEstablishedExecutorContext"),
        ("_ZNK5boost4asio6detail9epoll_ctlEv", "boost::asio::detail::epoll_ctl"),
        ("_Z6handlei", "handle"),
        ("_ZN12_GLOBAL__N_14workEv", "(anonymous)::work"),
        ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"),
        ("clock_nanosleep@@GLIBC_2.17", "clock_nanosleep"),
        ("main", "main"),
    ])
    func `C++ and Rust are read without their parameters`(_ symbol: String, _ expected: String) {
        #expect(PlainName.of(symbol) == expected)
    }

    @Test(arguments: [
        "_Z", "_ZN", "_ZNE", "_ZN5swif", "_ZN99999999999999999999aE", "_ZNSt6vectorIiSaIiEE9push_backEOi", "@", "",
    ])
    func `what cannot be read stays as it is`(_ symbol: String) {
        #expect(PlainName.of(symbol) == symbol)
    }

    @Test(arguments: [
        ("-qos.overcommit", "a Dispatch worker"), ("oot.default-qos", "a pool thread"),
        ("NIO-ELT-0-#1", "NIO-ELT-0-#1"),
    ])
    func `Dispatch's threads are called by what they do`(_ name: String, _ expected: String) {
        #expect(ThreadName.spoken(name) == expected)
    }
}
