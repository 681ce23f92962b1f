/*
 * What libc would ask a system for, answered with "no such call": a decoder has no files, and `snprintf` drags these in.
 * A call that is missing here shows as an import of WASI, which `ebhost check` names: that part of libc is not for a decoder.
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
