// SPDX-License-Identifier: Apache-2.0
// What is known of a file by its path: a plain call, timed; while such calls are slow, asked of the ring of files (hook/path.h).
//
// No call asks for what is in memory alone, as open's does: an open with O_PATH would, for three calls' price and a number that the
// program has not asked for. fstat looks nothing up and is not hooked.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "hook/path.h"
#include "sched/sys.h"

namespace weft {

namespace {

// Is the memory there for the kernel to write to? The plain call says EFAULT, and what is written here would be a fault.
bool can_be_written(struct stat* status) {
  return sys::call(SYS_newfstatat, AT_FDCWD, sys::word(""), sys::word(status), AT_EMPTY_PATH) == 0;
}

timespec time_of(const statx_timestamp& time) { return {time.tv_sec, (long)time.tv_nsec}; }

// As the kernel fills it.
void fill(struct stat* status, const struct statx& found) {
  *status = {};
  status->st_dev = makedev(found.stx_dev_major, found.stx_dev_minor);
  status->st_ino = found.stx_ino;
  status->st_mode = found.stx_mode;
  status->st_nlink = found.stx_nlink;
  status->st_uid = found.stx_uid;
  status->st_gid = found.stx_gid;
  status->st_rdev = makedev(found.stx_rdev_major, found.stx_rdev_minor);
  status->st_size = (off_t)found.stx_size;
  status->st_blksize = found.stx_blksize;
  status->st_blocks = (blkcnt_t)found.stx_blocks;
  status->st_atim = time_of(found.stx_atime);
  status->st_mtim = time_of(found.stx_mtime);
  status->st_ctim = time_of(found.stx_ctime);
}

// `by_ring`: asks the ring; false if the plain call is to be made.
template <class ByRing, class Call>
int status_of_path(ByRing by_ring, Call call) {
  Coroutine* self = woven();
  if (!self) return call();
  check_turn(self);
  if (!paths_by_ring(self)) return call();
  if (plain_look_ups.by_ring() && by_ring(self)) return 0;
  uint64_t begun = LookUps::now();
  int result = call();
  plain_look_ups.note(begun);
  return result;
}

template <class Call>
int status_at(int directory, const char* path, struct stat* status, int flags, Call call) {
  return status_of_path(
      [&](Coroutine* self) {
        struct statx found;
        if ((flags & AT_EMPTY_PATH) ||
            look_up(self, directory, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &found) != 0 ||
            !can_be_written(status))
          return false;
        fill(status, found);
        return true;
      },
      call);
}

}  // namespace
}  // namespace weft

using namespace weft;

WEFT_EXPORT int stat(const char* path, struct stat* status) noexcept {
  return status_at(AT_FDCWD, path, status, 0, [&] { return real().stat(path, status); });
}

WEFT_EXPORT int lstat(const char* path, struct stat* status) noexcept {
  return status_at(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW, [&] { return real().lstat(path, status); });
}

WEFT_EXPORT int fstatat(int directory, const char* path, struct stat* status, int flags) noexcept {
  return status_at(directory, path, status, flags, [&] { return real().fstatat(directory, path, status, flags); });
}

// What programs call that were linked with a glibc before 2.33. There are two layouts, by number, and here both are the same.
WEFT_EXPORT int __xstat(int version, const char* path, struct stat* status) noexcept {
  auto call = [&] { return real().__xstat(version, path, status); };
  return (unsigned)version > 1 ? call() : status_at(AT_FDCWD, path, status, 0, call);
}

WEFT_EXPORT int __lxstat(int version, const char* path, struct stat* status) noexcept {
  auto call = [&] { return real().__lxstat(version, path, status); };
  return (unsigned)version > 1 ? call() : status_at(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW, call);
}

WEFT_EXPORT int __fxstatat(int version, int directory, const char* path, struct stat* status, int flags) noexcept {
  auto call = [&] { return real().__fxstatat(version, directory, path, status, flags); };
  return (unsigned)version > 1 ? call() : status_at(directory, path, status, flags, call);
}

WEFT_EXPORT int statx(int directory, const char* path, int flags, unsigned wanted, struct statx* status) noexcept {
  return status_of_path(
      [&](Coroutine* self) {
        return !(flags & AT_EMPTY_PATH) && look_up(self, directory, path, flags, wanted, status) == 0;
      },
      [&] { return real().statx(directory, path, flags, wanted, status); });
}
