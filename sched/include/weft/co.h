/* SPDX-License-Identifier: Apache-2.0 */
/* weft's coroutines for C11 and C++: link with -lweft and write plain blocking code.
 *
 * A coroutine is a thread to everything it calls: own stack, own thread_local variables, own errno, own pthread_self(). In it
 * read, write, accept, connect, poll, sleep, locks and all else that waits park the coroutine and let others run, whether called
 * by you or by a library that has never heard of weft. Threads of your program stay threads; both share locks and channels.
 *
 * Of every function here, unless it says otherwise:
 *   returns     0, or an errno value; errno itself is left alone
 *   may be called by coroutines and by threads, from several at once; not by signal handlers
 *   waits       in a coroutine end early with ECANCELED once it is cancelled and with ETIMEDOUT once a deadline around them passes
 * Times are in nanoseconds; absolute ones are of CLOCK_MONOTONIC. See co.hpp for C++, weft-limits(7) for limits. */
#ifndef WEFT_CO_H
#define WEFT_CO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Coroutines */

/* One coroutine, by a number that is never used again; 0 is none. */
typedef uint64_t co_t;

/* Who goes first among those that are ready on one worker. LOW ones run when no other is ready, and now and then all the same, so
 * that nobody starves. */
enum { CO_PRIORITY_LOW = -1, CO_PRIORITY_NORMAL = 0, CO_PRIORITY_HIGH = 1 };

/* Workers of their own on CPUs of their own; see co_runtime_create. */
typedef struct co_runtime co_runtime_t;

/* Begin with CO_ATTR_INIT; a null pointer where one is wanted means the same. */
typedef struct co_attr {
  size_t size;           /* of this struct as the program knows it */
  size_t stack_size;     /* bytes, address space only; 0: what pthread_create takes (ulimit -s, 8 MiB) */
  const char* name;      /* at most 15 bytes are kept; null: the creator's */
  int priority;          /* CO_PRIORITY_… */
  int detached;          /* not 0: nobody joins it */
  co_runtime_t* runtime; /* null: the creator's, which for a thread is the one that all programs have */
} co_attr_t;
#define CO_ATTR_INIT \
  { sizeof(co_attr_t), 0, NULL, CO_PRIORITY_NORMAL, 0, NULL }

/* Makes a coroutine that runs fn(arg), and says which in *out (null: do not say). What it returns is what co_join gets. The first
 * call starts weft: some kernel threads, one for each CPU of the affinity mask (WEFT_WORKERS sets how many). Where hundreds are ready, one
 * that was made later may begin first.
 * EAGAIN: no memory for its stack, or too many. EINVAL: attr is not one. ENOSYS: this machine or C library is not one weft knows;
 * the log says why. */
int co_spawn(co_t* out, void* (*fn)(void*), void* arg, const co_attr_t* attr);

/* Waits for its end and gives its result (null: do not). Like pthread_join, once for each coroutine.
 * ESRCH: there is none (it was joined, or was detached and has ended). EINVAL: it is detached, or another joins it.
 * EDEADLK: it is the caller. ECANCELED, ETIMEDOUT: the caller's wait has ended, the coroutine has not. */
int co_join(co_t co, void** result);

/* Nobody will join it. ESRCH, EINVAL (already detached). */
int co_detach(co_t co);

/* The caller; 0 in a thread that is no coroutine. Async-signal-safe. */
co_t co_self(void);

/* Lets others that are ready go first. Always 0; in a thread it is sched_yield(2). In C++20 co_yield is a keyword: there it is called
 * co_yield_now. */
#if defined(__cplusplus) && __cplusplus >= 202002L
int co_yield_now(void) __asm__("co_yield");
#else
int co_yield (void);
#endif

/* Waits until somebody resumes the caller; a resume that came first is not lost, and two of them count as one.
 * EPERM: the caller is a thread. ECANCELED, ETIMEDOUT. */
int co_suspend(void);
/* Ends its co_suspend, or lets the next one return at once. ESRCH. */
int co_resume(co_t co);

/* At most 15 bytes are kept; `weft ps` shows it, as does /proc for a pinned one. ESRCH. */
int co_set_name(co_t co, const char* name);
/* Into buffer, with a final zero. ESRCH; ERANGE: size is too small. */
int co_get_name(co_t co, char* buffer, size_t size);

/* From its next turn on. ESRCH; EINVAL: no such priority. */
int co_set_priority(co_t co, int priority);

/* Coroutine-local values. A thread_local variable and a pthread key are local to a coroutine too; these are the same keys.
 * destroy (null: none) is called at a coroutine's end with its value where that is not null. EAGAIN: no key is left. */
typedef unsigned co_key_t;
int co_key_create(co_key_t* key, void (*destroy)(void*));
int co_key_delete(co_key_t key);                   /* EINVAL: no such key */
int co_set_local(co_key_t key, const void* value); /* EINVAL, ENOMEM */
void* co_get_local(co_key_t key);                  /* null: none was set */

/* ---- Runtimes
 *
 * A scheduler apart, for instance one for each socket or NUMA node, or one for what must not wait behind the rest. Coroutines stay in the
 * runtime they were made in, and so do those they make; locks and channels go across. */

/* With workers (0: one for each CPU) whose kernel threads run on these CPUs alone, by their numbers. It lasts as long as the process.
 * EINVAL: no CPU, or one that is not the process's. EAGAIN: over 63 of them, or over 256 workers in all. EMFILE, ENFILE, ENOMEM. ENOSYS
 * as co_spawn. Under WEFT_CHAOS it is the runtime that all programs have. */
int co_runtime_create(co_runtime_t** out, const unsigned* cpus, size_t count, unsigned workers);

/* ---- Time */

/* CLOCK_MONOTONIC now. Async-signal-safe. */
uint64_t co_now(void);

/* Waits so long, or until that time. ECANCELED, ETIMEDOUT. Signals with a handler do not end it. */
int co_sleep(uint64_t nanoseconds);
int co_sleep_until(uint64_t time);

/* ---- Deadlines and cancellation
 *
 * Both end waits: of functions here, which return the error, and of plain calls (read, accept, poll, sleep, pthread_cond_wait,
 * sem_wait …), which set errno and return -1, or return the error if that is how they tell theirs. What has to wait afterwards
 * ends at once the same way; what need not wait goes on as ever, so a last message can still be sent and a descriptor closed.
 * pthread_cond_wait says so once: who waits at the same condition variable again has not listened, as std::condition_variable does
 * not, and waits until it is signalled. Not ended: pthread_mutex_lock and pthread_rwlock_*, which POSIX gives no such way out, and
 * calls that wait in the kernel itself (DNS, waitpid, flock, pthread_join of a kernel thread; in a coroutine that is pinned to a
 * kernel thread of its own also read, poll, sleep and their like). */

/* Calls fn(arg), in which waits end with ETIMEDOUT once `nanoseconds` from now have passed. They nest: the earliest counts.
 * Returns what fn returns. EPERM: the caller is a thread. */
int co_with_deadline(uint64_t nanoseconds, int (*fn)(void*), void* arg);
/* The same around a part of a function; `state` is kept until the end, and ends go in the reverse order of begins, in the coroutine
 * that began. co_deadline_end: ETIMEDOUT if its time has passed, else 0. */
typedef struct co_deadline {
  uint64_t opaque[2];
} co_deadline_t;
int co_deadline_begin(co_deadline_t* state, uint64_t nanoseconds);
int co_deadline_end(co_deadline_t* state);

/* Ends its waits, the one that is going on and all later ones, with ECANCELED. It is for the coroutine to return then. Once is enough,
 * and there is no way back. ESRCH. */
int co_cancel(co_t co);

/* What a wait of the caller would end with now: ECANCELED, ETIMEDOUT, or 0. A loop that never waits asks here. */
int co_canceled(void);

/* Calls fn(arg), in which neither ends a wait: for what must be finished. Returns what fn returns. */
int co_shield(int (*fn)(void*), void* arg);

/* ---- Scopes
 *
 * A scope returns only when its children have. The first child that fails cancels the others, and its error is the scope's. */
typedef struct co_scope {
  uint64_t opaque[6];
} co_scope_t;
int co_scope_init(co_scope_t* scope);
/* fn returns 0, or an errno value: it has failed; so has one that is ended by pthread_cancel. As co_spawn, and ECANCELED: the scope has
 * been cancelled, or a child has failed. */
int co_scope_spawn(co_scope_t* scope, int (*fn)(void*), void* arg, const co_attr_t* attr);
/* Cancels its children, and those that are still to come. */
int co_scope_cancel(co_scope_t* scope);
/* Waits for all children: 0, or the error of the first that failed. A caller that is cancelled or passes a deadline meanwhile cancels
 * the children, waits for them all the same, and gets that error. Afterwards the scope may be used again. */
int co_scope_wait(co_scope_t* scope);

/* ---- Sharing. pthread's and the standard library's locks work as well, across coroutines and threads alike. These are smaller,
 * their waits end as said above, and all zeroes is their initial state. */

typedef struct co_mutex {
  uint32_t opaque;
} co_mutex_t;
#define CO_MUTEX_INIT \
  { 0 }
int co_mutex_lock(co_mutex_t* mutex);    /* ECANCELED, ETIMEDOUT: it is not held then */
int co_mutex_trylock(co_mutex_t* mutex); /* EBUSY */
int co_mutex_unlock(co_mutex_t* mutex);  /* EPERM: it is not locked */

/* A wait may return without a signal: look at what you wait for again. */
typedef struct co_cond {
  uint32_t opaque;
} co_cond_t;
#define CO_COND_INIT \
  { 0 }
int co_cond_wait(co_cond_t* cond,
                 co_mutex_t* mutex); /* with an error too the mutex is held again; EPERM: it was not locked */
int co_cond_signal(co_cond_t* cond);
int co_cond_broadcast(co_cond_t* cond);

typedef struct co_sem {
  uint32_t opaque;
} co_sem_t;
#define CO_SEM_INIT(count) \
  { (count) }
int co_sem_wait(co_sem_t* sem);
int co_sem_trywait(co_sem_t* sem); /* EAGAIN */
int co_sem_post(co_sem_t* sem);    /* EOVERFLOW. Not from signal handlers; sem_post is for them */

/* Writers go before readers that come after them. */
typedef struct co_rwlock {
  uint32_t opaque[2];
} co_rwlock_t;
#define CO_RWLOCK_INIT \
  {                    \
    { 0, 0 }           \
  }
int co_rwlock_rdlock(co_rwlock_t* lock);
int co_rwlock_tryrdlock(co_rwlock_t* lock); /* EBUSY */
int co_rwlock_wrlock(co_rwlock_t* lock);
int co_rwlock_trywrlock(co_rwlock_t* lock); /* EBUSY */
int co_rwlock_unlock(co_rwlock_t* lock);    /* EPERM: nobody holds it */

typedef struct co_once_state {
  uint32_t opaque;
} co_once_t;
#define CO_ONCE_INIT \
  { 0 }
/* fn runs once, whoever comes first; the others wait until it has returned, whatever their deadlines. It has to return. Always 0. */
int co_once(co_once_t* once, void (*fn)(void));

/* Counts work that is going on. */
typedef struct co_wait_group {
  uint32_t opaque;
} co_wait_group_t;
#define CO_WAIT_GROUP_INIT \
  { 0 }
int co_wait_group_add(co_wait_group_t* group, int count); /* EINVAL: the count would be below 0; EOVERFLOW */
int co_wait_group_done(co_wait_group_t* group);           /* as add(group, -1) */
int co_wait_group_wait(co_wait_group_t* group);           /* until the count is 0 */

/* ---- Channels
 *
 * Values of one size, first in first out; so are those who wait, whoever they are. Closed, a channel takes no more; what it holds can
 * still be received. Of a null one: EINVAL. */
typedef struct co_chan co_chan_t;
#define CO_UNBOUNDED SIZE_MAX
/* Of `capacity` values: 0: a sender waits for its receiver; CO_UNBOUNDED: a sender never waits. ENOMEM, EINVAL. */
int co_chan_create(co_chan_t** out, size_t value_size, size_t capacity);
/* Nobody may be in it any more. Null: nothing. */
void co_chan_destroy(co_chan_t* chan);
int co_chan_send(co_chan_t* chan, const void* value);    /* EPIPE: closed. ENOMEM: unbounded, and there is none */
int co_chan_trysend(co_chan_t* chan, const void* value); /* EAGAIN: it would wait. EPIPE, ENOMEM */
int co_chan_recv(co_chan_t* chan, void* value);    /* EPIPE: closed and empty. With an error *value is undefined */
int co_chan_tryrecv(co_chan_t* chan, void* value); /* EAGAIN: it would wait. EPIPE */
int co_chan_close(co_chan_t* chan);                /* EPIPE: it is closed already */
size_t co_chan_length(co_chan_t* chan);            /* values in it; out of date at once */

/* Waits for the first of several things. */
enum { CO_SELECT_SEND = 1, CO_SELECT_RECV = 2, CO_SELECT_READ = 3, CO_SELECT_WRITE = 4, CO_SELECT_TIME = 5 };
typedef struct co_select_case {
  int kind;        /* CO_SELECT_… */
  int fd;          /* READ, WRITE: until a read or write would not wait */
  co_chan_t* chan; /* SEND, RECV; null: never */
  void* value;     /* SEND: what to send; RECV: where to */
  uint64_t time;   /* TIME: absolute */
  int error;       /* of the chosen one: 0, or EPIPE, EBADF */
} co_select_case_t;
/* *chosen is the case that has happened: its value was sent or received, its descriptor is ready, its time has come. Of several that
 * could happen at once any may be. EINVAL: a case of no kind. EPERM: READ or WRITE on what cannot be polled. ENOMEM. */
int co_select(co_select_case_t* cases, size_t count, size_t* chosen);
/* The same without waiting. EAGAIN: none could happen. */
int co_tryselect(co_select_case_t* cases, size_t count, size_t* chosen);

/* ---- Actors: a coroutine and its mailbox
 *
 * Bounded, and fair: each sender's messages stay in order, and senders take turns, so one that sends much does not keep others' messages
 * waiting behind its own. A mailbox that is full makes senders wait; `weft lint` names the ones that have been full long. Of a null one:
 * EINVAL. */
typedef struct co_mailbox co_mailbox_t;
/* EINVAL: no message has room, or a capacity of 0. ENOMEM. name: as a coroutine's, for the inspector; null: none. */
int co_mailbox_create(co_mailbox_t** out, size_t message_size, size_t capacity, const char* name);
void co_mailbox_destroy(co_mailbox_t* mailbox);
int co_mailbox_send(co_mailbox_t* mailbox, const void* message);    /* EPIPE: closed */
int co_mailbox_trysend(co_mailbox_t* mailbox, const void* message); /* EAGAIN: full. EPIPE */
int co_mailbox_recv(co_mailbox_t* mailbox, void* message);          /* EPIPE: closed and empty */
int co_mailbox_tryrecv(co_mailbox_t* mailbox, void* message);       /* EAGAIN: empty. EPIPE */
int co_mailbox_close(co_mailbox_t* mailbox);                        /* EPIPE: it is closed already */
typedef struct co_mailbox_stats {
  uint64_t received, refused; /* messages; trysend's EAGAIN */
  uint64_t waits;             /* sends that had to wait */
  uint64_t full_since;        /* 0: it is not full now */
  size_t length, highest, capacity;
} co_mailbox_stats_t;
int co_mailbox_get_stats(co_mailbox_t* mailbox, co_mailbox_stats_t* stats);

/* ---- Work that does not wait, and servers */

/* Calls fn(arg) on a kernel thread of its own for as long as it takes, while other coroutines go on: for long computations and for
 * calls that block past all hooks. At most as many at once as co_offload_limit says (64 to begin with); others wait for their turn.
 * fn sees the same thread_local variables, and may wait. In a thread it is just called. */
int co_offload(void* (*fn)(void*), void* arg, void** result);
int co_offload_limit(unsigned count); /* EINVAL: 0 */

/* Accepts connections from a listening socket and serves each in a coroutine of its own by handler(fd, arg), which closes fd. Returns
 * when the socket cannot accept any more: after shutdown(fd, SHUT_RD), EINVAL; when cancelled, ECANCELED; any other error of accept(2)
 * that does not go away. Connections that are aborted are passed over; without descriptors or memory for the next it waits until one
 * ends, 10 ms at a time. Coroutines that still serve go on. */
int co_listen_and_serve(int fd, void (*handler)(int fd, void* arg), void* arg);

#ifdef __cplusplus
}
#endif
#endif
