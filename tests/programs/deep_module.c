// SPDX-License-Identifier: Apache-2.0
// A library that unlocks and signals what others wait for; deep_locks.c loads it with RTLD_DEEPBIND.
#include <pthread.h>

void unlock_for(pthread_mutex_t* mutex) { pthread_mutex_unlock(mutex); }

void signal_for(pthread_cond_t* condition) { pthread_cond_signal(condition); }
