import Logging
import NightjarLogFile

// The two lines of the README, and proof that they work.
let path = CommandLine.arguments[1]
let logs = LogFile(path) { $0.rotation.bytes = 64 << 10 }
LoggingSystem.bootstrap { logs.handler(label: $0) }

let logger = Logger(label: "consumer")
for index in 0..<2_000 { logger.info("line \(index)", metadata: ["index": "\(index)"]) }
logger.error("the end")
logs.close()
let ledger = logs.ledger
print("produced \(ledger.produced) kept \(ledger.kept) dropped \(ledger.droppedTotal)")
