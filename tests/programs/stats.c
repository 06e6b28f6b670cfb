// SPDX-License-Identifier: Apache-2.0
// stat in all its names: each says of a file what fstat says of the open one, and has the kernel's errors.
#include "check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

// What programs call that were linked with a glibc before 2.33.
int __xstat(int version, const char* path, struct stat* status);
int __xstat64(int version, const char* path, struct stat64* status);
int __lxstat(int version, const char* path, struct stat* status);
int __lxstat64(int version, const char* path, struct stat64* status);
int __fxstatat(int version, int directory, const char* path, struct stat* status, int flags);
int __fxstatat64(int version, int directory, const char* path, struct stat64* status, int flags);

enum { kThreads = 8, kFiles = 100, kNames = 13, kDepth = 40 };

static int call_by_name(int name, int directory, const char* path, struct stat* status, int flags) {
  struct stat64* large = (struct stat64*)status;
  int follow = !(flags & AT_SYMLINK_NOFOLLOW), here = directory == AT_FDCWD;
  switch (here ? name : name % 6) {
    case 0: return fstatat(directory, path, status, flags);
    case 1: return fstatat64(directory, path, large, flags);
    case 2: return __fxstatat(1, directory, path, status, flags);
    case 3: return __fxstatat64(0, directory, path, large, flags);
    case 4: return (int)syscall(SYS_newfstatat, directory, path, status, flags);
    case 6: return follow ? stat(path, status) : lstat(path, status);
    case 7: return follow ? stat64(path, large) : lstat64(path, large);
    case 8: return follow ? __xstat(1, path, status) : __lxstat(1, path, status);
    case 9: return follow ? __xstat64(0, path, large) : __lxstat64(0, path, large);
    case 10: return (int)syscall(follow ? SYS_stat : SYS_lstat, path, status);
    default: break;
  }
  struct statx found;
  int result = name % 2 ? statx(directory, path, flags, STATX_BASIC_STATS | STATX_BTIME, &found)
                        : (int)syscall(SYS_statx, directory, path, flags, STATX_ALL, &found);
  if (result != 0) return result;
  CHECK((found.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
  struct stat other;
  if (fstatat(directory, path, &other, flags) != 0) return -1;
  CHECK(found.stx_ino == other.st_ino && found.stx_size == (uint64_t)other.st_size && found.stx_mode == other.st_mode);
  CHECK(found.stx_mtime.tv_sec == other.st_mtim.tv_sec && found.stx_mtime.tv_nsec == other.st_mtim.tv_nsec);
  *status = other;
  return 0;
}

static void same_as_open(const char* path, int follow) {
  int fd = open(path, O_PATH | (follow ? 0 : O_NOFOLLOW));
  struct stat expected, status;
  MUST(fd >= 0 && fstat(fd, &expected) == 0);
  for (int name = 0; name < kNames; name++) {
    memset(&status, 0x5a, sizeof status);
    CHECK(call_by_name(name, AT_FDCWD, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0);
    if (!CHECK(memcmp(&status, &expected, sizeof status) == 0)) say("%s by name %d", path, name);
    if (name >= 6) continue;
    int root = open("/", O_PATH), here = open(".", O_RDONLY);
    CHECK(call_by_name(name, path[0] == '/' ? root : here, path, &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0);
    CHECK(memcmp(&status, &expected, sizeof status) == 0);
    CHECK(call_by_name(name, fd, "", &status, AT_EMPTY_PATH) == 0);
    CHECK(memcmp(&status, &expected, sizeof status) == 0);
    close(root);
    close(here);
  }
  close(fd);
  say("%s: mode %o", path, expected.st_mode);
}

static void show_errors(const char* path, const char* text, int flags) {
  struct stat status;
  for (int name = 0; name < kNames; name++) {
    errno = 0;
    int result = call_by_name(name, AT_FDCWD, path, &status, flags);
    say("%s by name %d: %d %s", text, name, result, name_of_errno(errno));
  }
}

static void errors(void) {
  char longest[PATH_MAX + 10];
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = 0;
  show_errors("missing", "missing", 0);
  show_errors("missing/file", "below one that is missing", 0);
  show_errors("file/below", "below a file", 0);
  show_errors("file/", "a file as a directory", 0);
  show_errors("loop", "loop", 0);
  show_errors("dangling", "dangling", 0);
  show_errors("", "empty", 0);
  show_errors((const char*)16, "bad", 0);
  show_errors(longest, "long", 0);
  struct stat status;
  struct statx found;
  SHOW(fstatat(999, "file", &status, 0));
  SHOW(fstatat(AT_FDCWD, "file", &status, 0x40000000));
  SHOW(statx(AT_FDCWD, "file", 0, 1u << 31, &found));
  SHOW(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_MODE, &found));
  SHOW(statx(AT_FDCWD, "file", 0, 0, &found));
  SHOW(__xstat(7, "file", &status));
  SHOW(__lxstat(-1, "file", &status));
  SHOW(__fxstatat(2, AT_FDCWD, "file", &status, 0));
  int fd = open("file", O_RDONLY);
  SHOW(fstatat(fd, "file", &status, 0));
  close(fd);
}

// Nothing is to be written past the end of what there is.
static void bad_buffers(void) {
  long page = sysconf(_SC_PAGESIZE);
  char* pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  MUST(pages != MAP_FAILED && mprotect(pages + page, (size_t)page, PROT_NONE) == 0);
  struct stat* volatile cut = (struct stat*)(pages + page - 64);
  struct stat* volatile none = NULL;
  SHOW(stat("file", none));
  SHOW(stat("file", cut));
  SHOW(lstat("link", cut));
  SHOW(fstatat(AT_FDCWD, "missing", cut, 0));
  SHOW(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, (struct statx*)cut));
  cut = (struct stat*)(pages + page - sizeof(struct stat));
  SHOW(stat("file", cut));
  CHECK(cut->st_size == 4);
  MUST(munmap(pages, 2 * (size_t)page) == 0);
}

static void deep(void) {
  char path[2 * kDepth + 10] = "";
  struct stat status;
  for (int level = 0; level < kDepth; level++) {
    strcat(path, "d");
    CHECK(stat(path, &status) == -1 && errno == ENOENT);
    MUST(mkdir(path, 0700) == 0);
    CHECK(stat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_nlink == 2);
    strcat(path, "/");
  }
}

// Files grow and go while others ask for them.
static void* makes_and_asks(void* argument) {
  char path[32];
  struct stat status;
  for (int i = 0; i < kFiles; i++) {
    snprintf(path, sizeof path, "own.%ld.%d", as_long(argument), i);
    CHECK(stat(path, &status) == -1 && errno == ENOENT);
    int fd = creat(path, 0600);
    CHECK(fd >= 0 && write(fd, path, (size_t)i % 30) == i % 30);
    CHECK(lstat(path, &status) == 0 && status.st_size == i % 30 && (status.st_mode & 0777) == 0600);
    CHECK(close(fd) == 0 && unlink(path) == 0);
    CHECK(stat("file", &status) == 0 && status.st_size == 4);
  }
  return NULL;
}

static void* refused_to_others(void* unused) {
  struct stat status;
  SHOW(stat("locked", &status));
  SHOW(stat("locked/file", &status));
  SHOW(lstat("locked/missing", &status));
  return unused;
}

static void* all(void* unused) {
  same_as_open("file", 1);
  same_as_open("link", 1);
  same_as_open("link", 0);
  same_as_open("dangling", 0);
  same_as_open("directory", 1);
  same_as_open("directory/../directory/", 1);
  same_as_open("fifo", 1);
  same_as_open("socket", 1);
  same_as_open("/dev/null", 1);
  same_as_open("/", 1);
  same_as_open("/proc/self/exe", 1);
  errors();
  bad_buffers();
  deep();
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++) threads[i] = start_thread(makes_and_asks, as_pointer(i));
  for (int i = 0; i < kThreads; i++) join_thread(threads[i]);
  return unused;
}

int main(void) {
  int fd = open("file", O_WRONLY | O_CREAT, 0640);
  MUST(fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0);
  MUST(mkdir("directory", 0700) == 0 && mkdir("locked", 0700) == 0 && mkfifo("fifo", 0600) == 0);
  MUST(symlink("file", "link") == 0 && symlink("loop", "loop") == 0 && symlink("absent", "dangling") == 0);
  MUST((fd = open("locked/file", O_WRONLY | O_CREAT, 0600)) >= 0 && close(fd) == 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
  MUST(bind(fd = socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)&address, sizeof address) == 0);
  close(fd);
  in_thread(all, NULL);
  MUST(chmod("locked", 0) == 0);
  if (geteuid() == 0) MUST(setgid(65534) == 0 && setuid(65534) == 0);
  in_thread(refused_to_others, NULL);
  return finish();
}
