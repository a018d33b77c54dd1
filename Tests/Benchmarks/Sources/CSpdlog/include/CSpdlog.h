// What the log handler is measured beside: spdlog's rotating file sink (Debian libspdlog-dev), where it is installed.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

// 0 where spdlog was not there when this was built, or the file cannot be opened.
int spdlog_open(const char *path, unsigned long bytes_per_file, unsigned long files);
// One info record: "GET /api/v1/cart/items finished with status 200, request <number>".
void spdlog_request(long number);
// One debug record while the level is info.
void spdlog_disabled(long number);
void spdlog_close(void);

#ifdef __cplusplus
}
#endif
