// SPDX-License-Identifier: Apache-2.0
// Setuid and setgid files, files with capabilities, and a launcher that runs with borrowed rights itself. A setuid file
// is ordinary to its own owner, and capabilities of a file are nothing new to root.
#include "privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "message.h"

namespace weft {
namespace {

const char* user_name(uid_t uid) {
  const struct passwd* entry = getpwuid(uid);
  return entry == nullptr ? text("uid %u", uid) : text("%s", entry->pw_name);
}

const char* group_name(gid_t gid) {
  const struct group* entry = getgrgid(gid);
  return entry == nullptr ? text("gid %u", gid) : text("%s", entry->gr_name);
}

bool has_capabilities(const char* path) {
  struct vfs_ns_cap_data data = {};
  const ssize_t size = getxattr(path, "security.capability", &data, sizeof(data));
  if (size < static_cast<ssize_t>(XATTR_CAPS_SZ_1)) return false;
  __le32 permitted = data.data[0].permitted;
  if (size >= static_cast<ssize_t>(XATTR_CAPS_SZ_2)) permitted |= data.data[1].permitted;
  return permitted != 0 || (data.magic_etc & VFS_CAP_FLAGS_EFFECTIVE) != 0;
}

}  // namespace

Privilege look_at_privilege(const char* path) {
  Privilege result;
  if (geteuid() != getuid() || getegid() != getgid()) {
    result.why = "would start with another real than effective user or group, so ld.so ignores LD_PRELOAD";
    result.remedy = "Start weft without setuid or setgid rights.";
    return result;
  }
  struct stat status;
  struct statvfs mount;
  if (stat(path, &status) != 0) return result;
  if (statvfs(path, &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0) return result;

  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
    if ((status.st_mode & S_ISUID) != 0) {
      const char* owner = user_name(status.st_uid);
      if (status.st_uid != getuid()) {
        result.why = text("is setuid %s, so ld.so ignores LD_PRELOAD for everybody but %s", owner, owner);
        result.remedy = text("Start it as %s, or use a copy without the setuid bit.", owner);
        return result;
      }
      result.note =
          text("it is setuid %s: for every user but %s ld.so ignores LD_PRELOAD, and it cannot be woven", owner, owner);
    }
    // Without the execute bit of the group, the setgid bit means mandatory locking.
    if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0) {
      const char* group = group_name(status.st_gid);
      if (status.st_gid != getgid()) {
        result.why = text("is setgid %s, so ld.so ignores LD_PRELOAD for everybody whose group is another", group);
        result.remedy =
            text("Start it with the group %s (newgrp %s), or use a copy without the setgid bit.", group, group);
        return result;
      }
      result.note =
          text("it is setgid %s: for users of another group ld.so ignores LD_PRELOAD, and it cannot be woven", group);
    }
  }
  if (has_capabilities(path)) {
    if (getuid() != 0) {
      result.why = "has file capabilities, so ld.so ignores LD_PRELOAD for everybody but root";
      result.remedy = "Start it as root, or use a copy (cp leaves capabilities behind; see getcap).";
      return result;
    }
    result.note = "it has file capabilities: for every user but root ld.so ignores LD_PRELOAD, and it cannot be woven";
  }
  return result;
}

}  // namespace weft
