import NightjarSymbols

/// Names code and data addresses of the target.
protocol SymbolNaming: AnyObject {
    /// The function at `address`, short: `closure #1 in handle(_:)`; nil where no symbol covers it.
    func function(at address: UInt64) -> String?
    /// The same with its module, and the module on its own.
    func functionAndModule(at address: UInt64) -> (name: String, module: String)?
    /// The global variable at `address`: `emitter`, `Server.shared`; nil where no symbol covers it.
    func global(at address: UInt64) -> String?
    /// The file that is mapped there, its last component.
    func file(at address: UInt64) -> String?
}

/// Symbols of a running process, read from its files.
final class ProcessSymbols: SymbolNaming {
    private let symbolizer: Symbolizer
    private var functions: [UInt64: (name: String, module: String)?] = [:]

    init(pid: Int32, procRoot: String) { symbolizer = Symbolizer(pid: pid, procRoot: procRoot) }

    func function(at address: UInt64) -> String? { functionAndModule(at: address)?.name }

    func functionAndModule(at address: UInt64) -> (name: String, module: String)? {
        if let known = functions[address] { return known }
        let found = readFunction(address)
        functions[address] = .some(found)
        return found
    }

    private func readFunction(_ address: UInt64) -> (name: String, module: String)? {
        guard let found = symbolizer.symbol(at: address), found.symbol.kind == .function else { return nil }
        guard let full = demangle(found.symbol.name) else { return (found.symbol.name, "") }
        return (FunctionName.short(full), FunctionName.module(of: full) ?? "")
    }

    func global(at address: UInt64) -> String? {
        guard let found = symbolizer.symbol(at: address), found.symbol.kind == .object else { return nil }
        guard let full = demangle(found.symbol.name) else { return found.symbol.name }
        // `static Server.Registry.shared : Server.Registry`: what stands before the type is the name.
        let name = full.split(separator: " : ", maxSplits: 1).first.map(String.init) ?? full
        return name.hasPrefix("static ") ? String(name.dropFirst(7)) : name
    }

    func file(at address: UInt64) -> String? {
        symbolizer.module(at: address)?.path.split(separator: "/").last.map(String.init)
    }
}
