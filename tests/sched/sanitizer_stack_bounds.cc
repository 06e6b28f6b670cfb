// SPDX-License-Identifier: Apache-2.0
// AddressSanitizer asks for the bounds of the running stack. In the library the hook answers for coroutines; a unit test has no hooks, and
// glibc does not know cast blocks, so this answers.
// ThreadSanitizer asks while its own state of the thread is not there yet, and for kernel threads alone: glibc answers.
#ifndef __SANITIZE_THREAD__
#include <cerrno>
#include <dlfcn.h>
#include <pthread.h>

#include "sched/coroutine.h"
#include "sched/thread_state.h"

extern "C" int pthread_getattr_np(pthread_t thread, pthread_attr_t* attributes) {
  if (weft::Coroutine* coroutine = weft::coroutine_of((unsigned long)thread)) {
    pthread_attr_init(attributes);
    return pthread_attr_setstack(attributes, coroutine->stack_low, coroutine->stack_size);
  }
  return ((int (*)(pthread_t, pthread_attr_t*))dlsym(RTLD_NEXT, "pthread_getattr_np"))(thread, attributes);
}
#endif
