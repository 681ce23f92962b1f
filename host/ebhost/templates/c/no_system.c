/*
 * Stubs of the system calls that libc links in (`snprintf` does): a decoder has no files, so each fails with "no such call".
 * A call that has no stub here becomes an import of WASI, which `ebhost check` reports: a decoder cannot use that part of libc.
 */
#include <stdint.h>

enum { NO_SUCH_CALL = 52 };

#define CALL(name, ...) \
	int32_t __imported_wasi_snapshot_preview1_##name(__VA_ARGS__); \
	int32_t __imported_wasi_snapshot_preview1_##name(__VA_ARGS__) \
	{ \
		return NO_SUCH_CALL; \
	}

CALL(fd_close, int32_t)
CALL(fd_fdstat_get, int32_t, int32_t)
CALL(fd_seek, int32_t, int64_t, int32_t, int32_t)
CALL(fd_write, int32_t, int32_t, int32_t, int32_t)
