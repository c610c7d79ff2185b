/*
 * Preloaded into a broker (LD_PRELOAD), writes down every change that the process asks for below one directory, and every sync,
 * in the order in which they happen. From such a trace src/campaigns/power-loss works out which disks a power cut could leave.
 *
 *   LOST_WRITES_ROOT   absolute path of the directory
 *   LOST_WRITES_TRACE  file that the trace is appended to; it lies outside of the directory and needs no sync: a SIGKILL of the
 *                      process leaves what was written
 *
 * A change is written down before it is made, with all its bytes, and a lock spans both, so at a kill the last change of the trace
 * alone may not have happened. One that failed or was cut short is followed by a record that says so. Syncs hold no lock: their
 * begin and end are records of their own, and what is written down between the two may or may not be covered by them.
 *
 * What the library cannot follow (shared writable maps, O_DIRECT, links, copies inside the kernel) is written down as such, and the
 * reader of the trace refuses it: a hole in the net must not look like a disk that keeps everything.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The order is that of `operations` in trace.ts. */
enum operation {
  OPENING = 1, OPENED, CLOSE, WRITE, RESIZE, ALLOCATE, SYNC_BEGIN, SYNC_END, SYNC_ALL_BEGIN, SYNC_ALL_END,
  RENAME, UNLINK, MAKE_DIRECTORY, REMOVE_DIRECTORY, CUT_SHORT, UNSUPPORTED
};

/* Little endian, 32 bytes, followed by the payload. */
struct header {
  uint32_t magic;
  uint32_t payload_size;
  uint32_t operation;
  int32_t fd;
  int64_t position;
  int64_t extra;
};

#define MAGIC 0x31574c4du /* MLW1 */
#define FD_MAX 65536
#define TRACE_FD_MIN 1000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace_fd = -1;
static char root[PATH_MAX];
static size_t root_size;
static volatile unsigned char tracked[FD_MAX];
static volatile unsigned char appends[FD_MAX];
static int64_t last_token;

/* The system call itself: `syscall`, too, is replaced below. */
static long raw_call(long number, ...) {
  static long (*real)(long, ...);
  if (real == NULL) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list given;
  va_start(given, number);
  long arguments[6];
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(given, long);
  va_end(given);
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

static void die(const char *what) {
  fprintf(stderr, "lost-writes: %s: %s\n", what, strerror(errno));
  abort();
}

static void write_out(struct iovec *parts, int count) {
  while (count > 0) {
    ssize_t done = raw_call(SYS_writev, trace_fd, parts, count);
    if (done < 0) {
      if (errno == EINTR) continue;
      die("the trace cannot be written");
    }
    while (count > 0 && (size_t)done >= parts->iov_len) {
      done -= (ssize_t)parts->iov_len;
      parts++;
      count--;
    }
    if (count > 0) {
      parts->iov_base = (char *)parts->iov_base + done;
      parts->iov_len -= (size_t)done;
    }
  }
}

/* Pre: the lock is held. Keeps errno. */
static void note(enum operation operation, int fd, int64_t position, int64_t extra, const void *payload, size_t size) {
  int saved = errno;
  struct header header = { MAGIC, (uint32_t)size, operation, fd, position, extra };
  struct iovec parts[2] = { { &header, sizeof header }, { (void *)payload, size } };
  write_out(parts, size > 0 ? 2 : 1);
  errno = saved;
}

static void note_locked(enum operation operation, int fd, int64_t position, int64_t extra) {
  pthread_mutex_lock(&lock);
  note(operation, fd, position, extra, NULL, 0);
  pthread_mutex_unlock(&lock);
}

static void note_unsupported(const char *what) {
  if (trace_fd < 0) return;
  pthread_mutex_lock(&lock);
  note(UNSUPPORTED, -1, 0, 0, what, strlen(what));
  pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void start(void) {
  const char *directory = getenv("LOST_WRITES_ROOT");
  const char *trace = getenv("LOST_WRITES_TRACE");
  if (directory == NULL || trace == NULL) return;
  if (directory[0] != '/' || strlen(directory) >= sizeof root) die("LOST_WRITES_ROOT is no absolute path");
  strcpy(root, directory);
  root_size = strlen(root);
  int fd = (int)raw_call(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) die("the trace cannot be opened");
  /* Out of the way of a process that closes low descriptors. */
  trace_fd = fcntl(fd, F_DUPFD_CLOEXEC, TRACE_FD_MIN);
  if (trace_fd < 0) die("the trace cannot be opened");
  raw_call(SYS_close, fd);
}

static int is_tracked(int fd) {
  return fd >= 0 && fd < FD_MAX && tracked[fd];
}

/* The absolute path if it lies below the root (or is it), else NULL. */
static const char *path_below(int directory, const char *path, char *buffer) {
  if (trace_fd < 0 || path == NULL) return NULL;
  if (path[0] != '/') {
    char link[64];
    char base[PATH_MAX];
    if (directory == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t size = raw_call(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
    if (size <= 0) return NULL;
    base[size] = 0;
    if (snprintf(buffer, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return NULL;
    path = buffer;
  }
  if (strncmp(path, root, root_size) != 0) return NULL;
  return path[root_size] == 0 || path[root_size] == '/' ? path : NULL;
}

static int open_at(int directory, const char *given, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  int saved = errno;
  const char *path = path_below(directory, given, buffer);
  errno = saved;
  if (path == NULL) {
    int fd = (int)raw_call(SYS_openat, directory, given, flags, mode);
    if (is_tracked(fd)) note_unsupported("a descriptor that was closed unseen");
    return fd;
  }
  int changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  pthread_mutex_lock(&lock);
  if ((flags & (O_DIRECT | O_DSYNC)) != 0) note(UNSUPPORTED, -1, 0, 0, "O_DIRECT, O_DSYNC", 17);
  if ((flags & O_TMPFILE) == O_TMPFILE) note(UNSUPPORTED, -1, 0, 0, "O_TMPFILE", 9);
  if (changes) note(OPENING, -1, 0, flags & (O_CREAT | O_TRUNC | O_EXCL), path, strlen(path));
  int fd = (int)raw_call(SYS_openat, directory, given, flags, mode);
  if (fd < 0) {
    if (changes) note(CUT_SHORT, -1, 0, 0, NULL, 0);
  } else {
    if (fd >= FD_MAX) die("a descriptor is too large");
    tracked[fd] = 1;
    appends[fd] = (flags & O_APPEND) != 0;
    note(OPENED, fd, 0, 0, path, strlen(path));
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define DEFINE_OPEN(name)                            \
  int name(const char *path, int flags, ...) {       \
    va_list arguments;                               \
    va_start(arguments, flags);                      \
    mode_t mode = mode_of(flags, arguments);         \
    va_end(arguments);                               \
    return open_at(AT_FDCWD, path, flags, mode);     \
  }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)

#define DEFINE_OPENAT(name)                                     \
  int name(int directory, const char *path, int flags, ...) {   \
    va_list arguments;                                          \
    va_start(arguments, flags);                                 \
    mode_t mode = mode_of(flags, arguments);                    \
    va_end(arguments);                                          \
    return open_at(directory, path, flags, mode);               \
  }
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

int creat(const char *path, mode_t mode) {
  return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode) {
  return creat(path, mode);
}

int close(int fd) {
  if (!is_tracked(fd)) return (int)raw_call(SYS_close, fd);
  pthread_mutex_lock(&lock);
  tracked[fd] = 0;
  note(CLOSE, fd, 0, 0, NULL, 0);
  int result = (int)raw_call(SYS_close, fd);
  pthread_mutex_unlock(&lock);
  return result;
}

int closedir(DIR *directory) {
  static int (*real)(DIR *);
  if (real == NULL) real = (int (*)(DIR *))dlsym(RTLD_NEXT, "closedir");
  int fd = dirfd(directory);
  if (!is_tracked(fd)) return real(directory);
  pthread_mutex_lock(&lock);
  tracked[fd] = 0;
  note(CLOSE, fd, 0, 0, NULL, 0);
  int result = real(directory);
  pthread_mutex_unlock(&lock);
  return result;
}

/* `position` -1: where the descriptor stands. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t position) {
  size_t size = 0;
  for (int i = 0; i < count; i++) size += parts[i].iov_len;
  pthread_mutex_lock(&lock);
  off_t at = position;
  if (position < 0) at = lseek(fd, 0, appends[fd] ? SEEK_END : SEEK_CUR);
  struct header header = { MAGIC, (uint32_t)size, WRITE, fd, at, 0 };
  struct iovec head = { &header, sizeof header };
  write_out(&head, 1);
  for (int from = 0; from < count; from += 512) {
    struct iovec some[512];
    int many = count - from < 512 ? count - from : 512;
    memcpy(some, parts + from, sizeof(struct iovec) * (size_t)many);
    write_out(some, many);
  }
  ssize_t done = position < 0 ? raw_call(SYS_writev, fd, parts, count)
                              : raw_call(SYS_pwritev, fd, parts, count, position, 0);
  if (done < 0 || (size_t)done < size) note(CUT_SHORT, fd, done < 0 ? 0 : done, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t write(int fd, const void *bytes, size_t size) {
  if (!is_tracked(fd)) return raw_call(SYS_write, fd, bytes, size);
  struct iovec part = { (void *)bytes, size };
  return write_parts(fd, &part, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  return is_tracked(fd) ? write_parts(fd, parts, count, -1) : raw_call(SYS_writev, fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t position) {
  if (!is_tracked(fd)) return raw_call(SYS_pwrite64, fd, bytes, size, position);
  struct iovec part = { (void *)bytes, size };
  return write_parts(fd, &part, 1, position);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t position) {
  return pwrite64(fd, bytes, size, position);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t position) {
  return is_tracked(fd) ? write_parts(fd, parts, count, position) : raw_call(SYS_pwritev, fd, parts, count, position, 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t position) {
  return pwritev64(fd, parts, count, position);
}

/* A change that is written down, made, and taken back if it failed. */
#define CHANGE(record, call)                              \
  ({                                                      \
    pthread_mutex_lock(&lock);                            \
    record;                                               \
    int result = (int)(call);                             \
    if (result != 0) note(CUT_SHORT, -1, 0, 0, NULL, 0);  \
    pthread_mutex_unlock(&lock);                          \
    result;                                               \
  })

int ftruncate64(int fd, off_t size) {
  if (!is_tracked(fd)) return (int)raw_call(SYS_ftruncate, fd, size);
  return CHANGE(note(RESIZE, fd, size, 0, NULL, 0), raw_call(SYS_ftruncate, fd, size));
}

int ftruncate(int fd, off_t size) {
  return ftruncate64(fd, size);
}

int truncate64(const char *path, off_t size) {
  char buffer[PATH_MAX];
  if (path_below(AT_FDCWD, path, buffer) != NULL) note_unsupported("truncate");
  return (int)raw_call(SYS_truncate, path, size);
}

int truncate(const char *path, off_t size) {
  return truncate64(path, size);
}

int fallocate64(int fd, int mode, off_t position, off_t size) {
  if (!is_tracked(fd)) return (int)raw_call(SYS_fallocate, fd, mode, position, size);
  if (mode != 0) note_unsupported("fallocate with a mode");
  return CHANGE(note(ALLOCATE, fd, position, position + size, NULL, 0), raw_call(SYS_fallocate, fd, mode, position, size));
}

int fallocate(int fd, int mode, off_t position, off_t size) {
  return fallocate64(fd, mode, position, size);
}

int posix_fallocate64(int fd, off_t position, off_t size) {
  if (is_tracked(fd)) note_unsupported("posix_fallocate");
  return raw_call(SYS_fallocate, fd, 0, position, size) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t position, off_t size) {
  return posix_fallocate64(fd, position, size);
}

/* `extra` of the end: 1 if it succeeded. */
static int sync_with(long number, int fd, enum operation begin, enum operation end) {
  if (!is_tracked(fd)) return (int)raw_call(number, fd);
  int64_t token = __atomic_add_fetch(&last_token, 1, __ATOMIC_RELAXED);
  note_locked(begin, fd, token, 0);
  int result = (int)raw_call(number, fd);
  note_locked(end, fd, token, result == 0);
  return result;
}

int fsync(int fd) {
  return sync_with(SYS_fsync, fd, SYNC_BEGIN, SYNC_END);
}

int fdatasync(int fd) {
  return sync_with(SYS_fdatasync, fd, SYNC_BEGIN, SYNC_END);
}

int syncfs(int fd) {
  return sync_with(SYS_syncfs, fd, SYNC_ALL_BEGIN, SYNC_ALL_END);
}

static int rename_at(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  char from_buffer[PATH_MAX], to_buffer[PATH_MAX], both[2 * PATH_MAX];
  const char *old = path_below(from_directory, from, from_buffer);
  const char *new = path_below(to_directory, to, to_buffer);
  if (old == NULL && new == NULL) return (int)raw_call(SYS_renameat2, from_directory, from, to_directory, to, flags);
  if (old == NULL || new == NULL || flags != 0) {
    note_unsupported("rename across the root, or with flags");
    return (int)raw_call(SYS_renameat2, from_directory, from, to_directory, to, flags);
  }
  size_t old_size = strlen(old), new_size = strlen(new);
  memcpy(both, old, old_size + 1);
  memcpy(both + old_size + 1, new, new_size);
  return CHANGE(note(RENAME, -1, 0, 0, both, old_size + 1 + new_size),
                raw_call(SYS_renameat2, from_directory, from, to_directory, to, flags));
}

int rename(const char *from, const char *to) {
  return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  return rename_at(from_directory, from, to_directory, to, 0);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  return rename_at(from_directory, from, to_directory, to, flags);
}

int unlinkat(int directory, const char *given, int flags) {
  char buffer[PATH_MAX];
  const char *path = path_below(directory, given, buffer);
  if (path == NULL) return (int)raw_call(SYS_unlinkat, directory, given, flags);
  return CHANGE(note((flags & AT_REMOVEDIR) != 0 ? REMOVE_DIRECTORY : UNLINK, -1, 0, 0, path, strlen(path)),
                raw_call(SYS_unlinkat, directory, given, flags));
}

int unlink(const char *path) {
  return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path) {
  return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path) {
  return unlink(path) == 0 ? 0 : errno == EISDIR ? rmdir(path) : -1;
}

int mkdirat(int directory, const char *given, mode_t mode) {
  char buffer[PATH_MAX];
  const char *path = path_below(directory, given, buffer);
  if (path == NULL) return (int)raw_call(SYS_mkdirat, directory, given, mode);
  return CHANGE(note(MAKE_DIRECTORY, -1, 0, 0, path, strlen(path)), raw_call(SYS_mkdirat, directory, given, mode));
}

int mkdir(const char *path, mode_t mode) {
  return mkdirat(AT_FDCWD, path, mode);
}

/* libuv closes files in this way, so that no thread is cancelled meanwhile. */
long syscall(long number, ...) {
  va_list given;
  va_start(given, number);
  long arguments[6];
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(given, long);
  va_end(given);
  if (number == SYS_close) return close((int)arguments[0]);
  if (number == SYS_pwritev)
    return pwritev64((int)arguments[0], (const struct iovec *)arguments[1], (int)arguments[2], arguments[3]);
  if ((number == SYS_pwritev2 || number == SYS_write || number == SYS_pwrite64) && is_tracked((int)arguments[0]))
    note_unsupported("a raw system call that writes");
  if (number == SYS_copy_file_range && is_tracked((int)arguments[2])) note_unsupported("copy_file_range");
  return raw_call(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

/* From here on: what is not followed. */

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t position) {
  int shared = (flags & MAP_TYPE) != MAP_PRIVATE;
  if (shared && (protection & PROT_WRITE) != 0 && is_tracked(fd)) note_unsupported("a shared map that can be written");
  return (void *)raw_call(SYS_mmap, address, size, protection, flags, fd, position);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t position) {
  return mmap64(address, size, protection, flags, fd, position);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
  char buffer[PATH_MAX];
  if (path_below(to_directory, to, buffer) != NULL) note_unsupported("link");
  return (int)raw_call(SYS_linkat, from_directory, from, to_directory, to, flags);
}

int link(const char *from, const char *to) {
  return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int symlinkat(const char *target, int directory, const char *path) {
  char buffer[PATH_MAX];
  if (path_below(directory, path, buffer) != NULL) note_unsupported("symlink");
  return (int)raw_call(SYS_symlinkat, target, directory, path);
}

int symlink(const char *target, const char *path) {
  return symlinkat(target, AT_FDCWD, path);
}

ssize_t copy_file_range(int from, off_t *from_position, int to, off_t *to_position, size_t size, unsigned flags) {
  if (is_tracked(to)) note_unsupported("copy_file_range");
  return raw_call(SYS_copy_file_range, from, from_position, to, to_position, size, flags);
}

ssize_t sendfile64(int to, int from, off_t *position, size_t size) {
  if (is_tracked(to)) note_unsupported("sendfile");
  return raw_call(SYS_sendfile, to, from, position, size);
}

ssize_t sendfile(int to, int from, off_t *position, size_t size) {
  return sendfile64(to, from, position, size);
}

int dup2(int from, int to) {
  if (is_tracked(from) || is_tracked(to)) note_unsupported("dup2");
  return from == to ? (fcntl(from, F_GETFD) < 0 ? -1 : to) : (int)raw_call(SYS_dup3, from, to, 0);
}

int dup(int fd) {
  if (is_tracked(fd)) note_unsupported("dup");
  return (int)raw_call(SYS_dup, fd);
}
