// What libc asks of WASI, answered here: the module imports nothing but its log. Time stands still at the run's time.
#include <stdint.h>

#define EBADF 8

int64_t script_now_ms;

int32_t __imported_wasi_snapshot_preview1_clock_time_get(int32_t clock, int64_t precision, int32_t result) {
  (void)clock, (void)precision;
  *(uint64_t *)(uintptr_t)result = (uint64_t)(script_now_ms > 0 ? script_now_ms : 0) * 1000000;
  return 0;
}

int32_t __imported_wasi_snapshot_preview1_environ_sizes_get(int32_t count, int32_t bytes) {
  *(uint32_t *)(uintptr_t)count = 0;
  *(uint32_t *)(uintptr_t)bytes = 0;
  return 0;
}

int32_t __imported_wasi_snapshot_preview1_environ_get(int32_t names, int32_t texts) {
  (void)names, (void)texts;
  return 0;
}

int32_t __imported_wasi_snapshot_preview1_fd_write(int32_t fd, int32_t list, int32_t count, int32_t written) {
  (void)fd, (void)list, (void)count, (void)written;
  return EBADF;
}

int32_t __imported_wasi_snapshot_preview1_fd_seek(int32_t fd, int64_t offset, int32_t whence, int32_t at) {
  (void)fd, (void)offset, (void)whence, (void)at;
  return EBADF;
}

int32_t __imported_wasi_snapshot_preview1_fd_close(int32_t fd) {
  (void)fd;
  return EBADF;
}

int32_t __imported_wasi_snapshot_preview1_fd_fdstat_get(int32_t fd, int32_t result) {
  (void)fd, (void)result;
  return EBADF;
}

void __imported_wasi_snapshot_preview1_proc_exit(int32_t status) {
  (void)status;
  __builtin_trap();
}

int close(int fd) {
  (void)fd;
  return -1;
}
