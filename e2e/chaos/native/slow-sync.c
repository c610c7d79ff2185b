/*
 * Preloaded into a node: after each fsync and fdatasync that the disk has done, the call waits as many milliseconds as stand in the file
 * at SLOW_SYNC_FILE (one int32 in the machine's order). The file is mapped, so it can be changed while the node runs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static volatile int32_t *delay_ms;

__attribute__((constructor)) static void prepare(void) {
  real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  const char *path = getenv("SLOW_SYNC_FILE");
  if (path == NULL) return;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) abort();
  void *mapped = mmap(NULL, sizeof(int32_t), PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort();
  close(file);
  delay_ms = mapped;
}

static int slow(int result) {
  int saved = errno;
  int32_t ms = delay_ms == NULL ? 0 : *delay_ms;
  if (ms > 0) {
    struct timespec left = {ms / 1000, (ms % 1000) * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
  }
  errno = saved;
  return result;
}

int fsync(int file) { return slow(real_fsync(file)); }

int fdatasync(int file) { return slow(real_fdatasync(file)); }
