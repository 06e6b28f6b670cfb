// SPDX-License-Identifier: Apache-2.0
// Libraries behind libweft.so that give the calls weft weaves a meaning of their own: another time (libfaketime), another way out
// (torsocks). A woven call goes to the kernel past them, so with them the program runs natively. In front of libweft.so they are the
// ones that are called first, and nothing is lost.
#include <dlfcn.h>

#include <cstdio>
#include <link.h>

#include "hook/others_behind.h"
#include "hook/real.h"

namespace weft {

namespace {

struct Call {
  const char* name;
  void* address;
};
#define WEFT_WOVEN(name) \
  { #name, (void*)real().name.get() }

// The first of them that is not libc's, and whose it is.
template <size_t kCount>
const Call* of_another(const Call (&calls)[kCount], const char** library) {
  int (*find_object)(void*, dl_find_object*) = (decltype(find_object))dlsym(RTLD_DEFAULT, "_dl_find_object");
  dl_find_object libc, found;
  if (!find_object || find_object(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &libc)) return nullptr;
  for (const Call& call : calls) {
    if (find_object(call.address, &found) || found.dlfo_link_map == libc.dlfo_link_map) continue;
    *library = found.dlfo_link_map->l_name;
    return &call;
  }
  return nullptr;
}

}  // namespace

const char* native_for_library_behind() {
  const Call woven_calls[] = {
      WEFT_WOVEN(accept),        WEFT_WOVEN(clock_nanosleep),
      WEFT_WOVEN(connect),       WEFT_WOVEN(nanosleep),
      WEFT_WOVEN(poll),          WEFT_WOVEN(pthread_cond_timedwait),
      WEFT_WOVEN(read),          WEFT_WOVEN(recv),
      WEFT_WOVEN(recvfrom),      WEFT_WOVEN(recvmsg),
      WEFT_WOVEN(select),        WEFT_WOVEN(send),
      WEFT_WOVEN(sendmsg),       WEFT_WOVEN(sendto),
      WEFT_WOVEN(sem_timedwait), WEFT_WOVEN(sleep),
      WEFT_WOVEN(write),
  };
  const char* library;
  const Call* call = of_another(woven_calls, &library);
  if (!call) return nullptr;
  static char why[256];
  snprintf(why, sizeof why, "%s has a %s of its own; put it in front of libweft.so in LD_PRELOAD", library, call->name);
  return why;
}

bool library_behind_has_files() {
  const Call calls_on_files[] = {WEFT_WOVEN(fdatasync), WEFT_WOVEN(fsync),  WEFT_WOVEN(pread),
                                 WEFT_WOVEN(preadv),    WEFT_WOVEN(pwrite), WEFT_WOVEN(pwritev)};
  const char* library;
  return of_another(calls_on_files, &library) != nullptr;
}

bool library_behind_has_paths() {
  const Call calls_on_paths[] = {WEFT_WOVEN(__fxstatat), WEFT_WOVEN(__lxstat), WEFT_WOVEN(__xstat), WEFT_WOVEN(creat),
                                 WEFT_WOVEN(fstatat),    WEFT_WOVEN(lstat),    WEFT_WOVEN(open),    WEFT_WOVEN(open64),
                                 WEFT_WOVEN(openat),     WEFT_WOVEN(openat64), WEFT_WOVEN(stat),    WEFT_WOVEN(statx)};
  const char* library;
  return of_another(calls_on_paths, &library) != nullptr;
}

}  // namespace weft
