/* A disk between a process and the real one: it notes what is written, and fails when told to.

Preloaded into the daemon (tests/crash/disk.py). Of the database and its `-wal` every write, cut and
sync is noted in `log`, in the order in which they happened: a write before it is made, a sync after
it has succeeded. What had been synced at any point of the log is what a power cut there would leave
for certain. `orders` is shared memory that the test writes: how many writes and syncs still succeed
and with which error the rest of them fail; 0 is no error.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOBODY, DATABASE, WAL };
#define FILES_MAX 4096

struct note {
  char what; /* W write, T cut, S sync, C created, U unlinked, D the folder synced, E failed */
  char file;
  uint16_t unused;
  uint32_t length; /* of the data that follows */
  uint64_t at;
};

struct orders {
  volatile int32_t write_error, writes, sync_error, syncs;
};

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char file_of[FILES_MAX];
static int log_file = -1;
static struct orders *orders;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int real_open(const char *path, int flags, int mode) {
  static int (*open_)(const char *, int, ...);
  if (!open_) open_ = REAL(open64);
  return open_(path, flags, mode);
}

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("TEST_DISK");
  char path[PATH_MAX];
  if (!folder || strlen(folder) > PATH_MAX - 16) return;
  strcat(strcpy(path, folder), "/orders");
  int shared = real_open(path, O_RDWR | O_CLOEXEC, 0);
  if (shared < 0) abort();
  orders = mmap(0, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
  close(shared);
  strcat(strcpy(path, folder), "/log");
  log_file = real_open(path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  if (orders == MAP_FAILED || log_file < 0) abort();
}

static int kind(const char *path) {
  const char *name = strrchr(path, '/');
  name = name ? name + 1 : path;
  if (!strcmp(name, "stockpush.db")) return DATABASE;
  if (!strcmp(name, "stockpush.db-wal")) return WAL;
  return NOBODY;
}

static int of(int fd) { return log_file >= 0 && fd >= 0 && fd < FILES_MAX ? file_of[fd] : NOBODY; }

static void note(char what, int file, uint64_t at, const void *data, size_t length) {
  struct note head = {what, (char)file, 0, (uint32_t)length, at};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
  if (writev(log_file, parts, 2) != (ssize_t)(sizeof head + length)) abort();
}

/* One of so many that still succeed is used up; the error of those after them. */
static int refused(volatile int32_t *error, volatile int32_t *left) {
  if (!*error) return 0;
  if (*left > 0) { --*left; return 0; }
  return *error;
}

static int opened(const char *path, int flags, int mode) {
  int file = log_file < 0 ? NOBODY : kind(path);
  int is_new = file && (flags & O_CREAT) && access(path, F_OK);
  pthread_mutex_lock(&turn);
  int fd = real_open(path, flags, mode), saved = errno;
  if (fd >= 0 && fd < FILES_MAX) {
    file_of[fd] = (char)file;
    if (is_new) note('C', file, 0, 0, 0);
  } else if (fd >= 0 && file) {
    abort();
  }
  pthread_mutex_unlock(&turn);
  errno = saved;
  return fd;
}

#define OPEN(name)                              \
  int name(const char *path, int flags, ...) {  \
    va_list rest;                               \
    va_start(rest, flags);                      \
    int mode = va_arg(rest, int);               \
    va_end(rest);                               \
    return opened(path, flags, mode);           \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  static int (*close_)(int);
  if (!close_) close_ = REAL(close);
  if (fd >= 0 && fd < FILES_MAX) file_of[fd] = NOBODY;
  return close_(fd);
}

int unlink(const char *path) {
  static int (*unlink_)(const char *);
  if (!unlink_) unlink_ = REAL(unlink);
  int file = log_file < 0 ? NOBODY : kind(path);
  if (!file) return unlink_(path);
  pthread_mutex_lock(&turn);
  int done = unlink_(path), saved = errno;
  if (!done) note('U', file, 0, 0, 0);
  pthread_mutex_unlock(&turn);
  errno = saved;
  return done;
}

static ssize_t written(int fd, const void *data, size_t length, off64_t at) {
  static ssize_t (*pwrite_)(int, const void *, size_t, off64_t);
  if (!pwrite_) pwrite_ = REAL(pwrite64);
  int file = of(fd);
  if (!file) return pwrite_(fd, data, length, at);
  pthread_mutex_lock(&turn);
  int error = refused(&orders->write_error, &orders->writes);
  ssize_t done = -1;
  if (error) {
    note('E', file, at, 0, 0);
  } else {
    note('W', file, at, data, length);
    done = pwrite_(fd, data, length, at);
    error = errno;
  }
  pthread_mutex_unlock(&turn);
  errno = error;
  return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
  return written(fd, data, length, at);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t at) {
  return written(fd, data, length, at);
}

/* Some builds of SQLite seek first. */
ssize_t write(int fd, const void *data, size_t length) {
  static ssize_t (*write_)(int, const void *, size_t);
  if (!write_) write_ = REAL(write);
  if (!of(fd)) return write_(fd, data, length);
  off64_t at = lseek64(fd, 0, SEEK_CUR);
  ssize_t done = written(fd, data, length, at);
  if (done > 0) lseek64(fd, at + done, SEEK_SET);
  return done;
}

static int cut(int fd, off64_t size) {
  static int (*ftruncate_)(int, off64_t);
  if (!ftruncate_) ftruncate_ = REAL(ftruncate64);
  int file = of(fd);
  if (!file) return ftruncate_(fd, size);
  pthread_mutex_lock(&turn);
  note('T', file, size, 0, 0);
  int done = ftruncate_(fd, size), saved = errno;
  pthread_mutex_unlock(&turn);
  errno = saved;
  return done;
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

static int synced(int fd, int (*sync)(int)) {
  struct stat found;
  int file = of(fd);
  if (log_file < 0 || (!file && (fstat(fd, &found) || !S_ISDIR(found.st_mode)))) return sync(fd);
  pthread_mutex_lock(&turn);
  int error = file ? refused(&orders->sync_error, &orders->syncs) : 0;
  int done = error ? -1 : sync(fd);
  if (!error) error = errno;
  note(done ? 'E' : file ? 'S' : 'D', file, 0, 0, 0);
  pthread_mutex_unlock(&turn);
  errno = error;
  return done;
}

int fsync(int fd) {
  static int (*fsync_)(int);
  if (!fsync_) fsync_ = REAL(fsync);
  return synced(fd, fsync_);
}

int fdatasync(int fd) {
  static int (*fdatasync_)(int);
  if (!fdatasync_) fdatasync_ = REAL(fdatasync);
  return synced(fd, fdatasync_);
}
