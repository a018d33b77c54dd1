import FoundationEssentials

/// The supplier's list of goods: one document of ten megabytes.
struct Catalog: Sendable {
    struct Item: Codable {
        var name: String
        var tags: [String]
        var cents: Int
        var stock: [String: Int]
    }

    private let document: Data

    init(megabytes: Int = 10) throws {
        let item = Item(
            name: "Darjeeling, second flush", tags: ["tea", "loose", "organic"], cents: 1290,
            stock: ["Hamburg": 12, "Bremen": 7, "Cuxhaven": 0])
        let text = try JSONEncoder().encode(item)
        var document = Data("[".utf8)
        while document.count + text.count < megabytes << 20 { document += text + Data(",".utf8) }
        self.document = document + text + Data("]".utf8)
    }

    func decode() throws -> Int {
        try JSONDecoder().decode([Item].self, from: document).count
    }
}
