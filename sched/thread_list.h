// SPDX-License-Identifier: Apache-2.0
// Casts in glibc's list of threads.
//
// What glibc does for each thread it does along that list: a library whose TLS is static gets its image laid into every block when it is
// loaded, before its constructors run; dlclose waits for who looks a symbol up. So casts are in it, between two fences: nodes of
// harvested threads, which glibc never takes out.
//
// glibc's lock cannot be had. It changes the links of its own neighbours alone, so between the fences only we write, under a lock of
// ours; and it walks forward alone, so `next` is published by a release store.
#pragma once

namespace weft {

struct ThreadLinks {  // glibc's list_t
  ThreadLinks* next;
  ThreadLinks* previous;
};

// The fences, neighbours at this moment. Without them casts stay outside the list.
void thread_list_begin(ThreadLinks* first, ThreadLinks* last);
void thread_list_add(ThreadLinks* links);
// glibc may stand at this node until it has taken and released its lock once more: the node stays as it is until a kernel thread of
// glibc's making has begun.
void thread_list_remove(ThreadLinks* links);
void thread_list_reset();  // fork child: glibc has begun a list of its own

}  // namespace weft
