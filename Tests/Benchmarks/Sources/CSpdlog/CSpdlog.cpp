#include "CSpdlog.h"

#if __has_include(<spdlog/spdlog.h>) && __has_include(<fmt/format.h>)
#define SPDLOG_HEADER_ONLY
#define FMT_HEADER_ONLY
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>

#include <memory>

static std::shared_ptr<spdlog::logger> logger;

extern "C" int spdlog_open(const char *path, unsigned long bytes_per_file, unsigned long files) {
    try {
        logger = spdlog::rotating_logger_mt("bench.service", path, bytes_per_file, files);
        // The line that the handler writes too.
        logger->set_pattern("{\"time\":\"%Y-%m-%dT%H:%M:%S.%fZ\",\"level\":\"%l\",\"label\":\"%n\",\"message\":\"%v\"}");
        logger->set_level(spdlog::level::info);
        return 1;
    } catch (...) {
        return 0;
    }
}

extern "C" void spdlog_request(long number) {
    logger->info("GET /api/v1/cart/items finished with status 200, request {}", number);
}

extern "C" void spdlog_disabled(long number) { logger->debug("value {}", number); }

extern "C" void spdlog_close(void) {
    logger->flush();
    spdlog::drop_all();
    logger.reset();
}
#else
extern "C" int spdlog_open(const char *, unsigned long, unsigned long) { return 0; }
extern "C" void spdlog_request(long) {}
extern "C" void spdlog_disabled(long) {}
extern "C" void spdlog_close(void) {}
#endif
