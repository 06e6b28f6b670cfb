// SPDX-License-Identifier: Apache-2.0
// The table of signal(7): which waits a handler ends with EINTR, which go on under SA_RESTART, and which go on in any case.
//
// Every call waits in a thread of its own, all at once. A signal that comes before the wait ends nothing; so it is sent
// again to those whose wait has to end. Then what the others wait for happens.
#include "socket_pairs.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <threads.h>

enum object {
  kNothing,  // only a handler ends this wait
  kPipe,
  kFullPipe,
  kPair,
  kFullPair,
  kDatagrams,
  kListener,
  kFullListener,
  kTerminal,
  kFifo,
  kChild,
  kAnyChild,  // the only child that there is
  kHeldFile,
  kLockedFile,
  kQueue,
  kFullQueue,
  kMessages,
  kFullMessages,
  kSemaphores,
  kEvents,
  kTimer,
  kSignals,
  kInotify,
  kSemaphore,
  kWord,
  kMutex,
  kCondition,
  kThread,
  kPendingSignal
};

enum outcome { kRestarts, kEnds, kGoesOn };

struct waiter {
  const char* name;
  enum object object;
  enum outcome outcome;
  long (*call)(struct waiter*);
  int fd, other;  // the one it waits on, and the one that main uses
  pid_t child;
  char path[32];
  sem_t semaphore;
  int word;
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  pthread_t thread, joined;
  volatile int handled, done;
  int joined_already;
  long result;
  int error;
};

static __thread struct waiter* mine;
static sem_t progress;  // of any of them

static void handler(int number) {
  (void)number;
  mine->handled++;
  sem_post(&progress);
}
static void nothing(int number) { (void)number; }

static char byte_of[1] = {'x'};
static const struct timespec long_time = {60, 0};
static struct iovec one_byte(char* byte) { return (struct iovec){byte, 1}; }

static long read_one(struct waiter* w) {
  char bytes[512];
  return read(w->fd, bytes, sizeof bytes);
}
static long positive(long value) { return value > 0 ? 1 : value; }
static long read_any(struct waiter* w) { return positive(read_one(w)); }
static long readv_one(struct waiter* w) {
  char byte;
  struct iovec vector = one_byte(&byte);
  return readv(w->fd, &vector, 1);
}
static long write_one(struct waiter* w) { return write(w->fd, byte_of, 1); }
static long writev_one(struct waiter* w) {
  struct iovec vector = one_byte(byte_of);
  return writev(w->fd, &vector, 1);
}
static long fgetc_one(struct waiter* w) {
  FILE* stream = fdopen(dup(w->fd), "r");
  errno = 0;
  long result = fgetc(stream);
  int saved = errno;
  fclose(stream);
  errno = saved;
  return result;
}
static long splice_one(struct waiter* w) {
  int ends[2];
  MUST(pipe(ends) == 0);
  long result = splice(w->fd, NULL, ends[1], NULL, 1, 0);
  int saved = errno;
  close(ends[0]);
  close(ends[1]);
  errno = saved;
  return result;
}
static long tee_one(struct waiter* w) {
  int ends[2];
  MUST(pipe(ends) == 0);
  long result = tee(w->fd, ends[1], 1, 0);
  int saved = errno;
  close(ends[0]);
  close(ends[1]);
  errno = saved;
  return result;
}
static long vmsplice_one(struct waiter* w) {
  struct iovec vector = one_byte(byte_of);
  return vmsplice(w->fd, &vector, 1, 0);
}

static long recv_one(struct waiter* w) {
  char byte;
  return recv(w->fd, &byte, 1, 0);
}
static long recv_all(struct waiter* w) {
  char byte;
  return recv(w->fd, &byte, 1, MSG_WAITALL);
}
static long recvfrom_one(struct waiter* w) {
  char byte;
  struct sockaddr_storage from;
  socklen_t length = sizeof from;
  return recvfrom(w->fd, &byte, 1, 0, (struct sockaddr*)&from, &length);
}
static long recvmsg_one(struct waiter* w) {
  char byte;
  struct iovec vector = one_byte(&byte);
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  return recvmsg(w->fd, &message, 0);
}
static long recvmmsg_one(struct waiter* w) {
  char byte;
  struct iovec vector = one_byte(&byte);
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
  return recvmmsg(w->fd, &message, 1, 0, NULL);
}
static long send_one(struct waiter* w) { return send(w->fd, byte_of, 1, 0); }
static long sendto_one(struct waiter* w) { return sendto(w->fd, byte_of, 1, 0, NULL, 0); }
static long sendmsg_one(struct waiter* w) {
  struct iovec vector = one_byte(byte_of);
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
  return sendmsg(w->fd, &message, 0);
}
static long sendmmsg_one(struct waiter* w) {
  struct iovec vector = one_byte(byte_of);
  struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};
  return sendmmsg(w->fd, &message, 1, 0);
}
static long accepted(int fd) {
  if (fd >= 0) close(fd);
  return fd >= 0 ? 0 : fd;
}
static long accept_one(struct waiter* w) { return accepted(accept(w->fd, NULL, NULL)); }
static long accept4_one(struct waiter* w) { return accepted(accept4(w->fd, NULL, NULL, SOCK_CLOEXEC)); }

static socklen_t unix_name(struct waiter* w, struct sockaddr_un* address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  memcpy(address->sun_path, w->path, sizeof w->path);
  return sizeof *address;
}
static int connect_one_more(struct waiter* w, int type) {
  struct sockaddr_un address;
  socklen_t length = unix_name(w, &address);
  int fd = socket(AF_UNIX, SOCK_STREAM | type, 0);
  MUST(fd >= 0);
  if (connect(fd, (struct sockaddr*)&address, length) == 0) return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}
static long connect_one(struct waiter* w) { return accepted(connect_one_more(w, 0)); }

static void limit_time(int fd, int option) {
  struct timeval limit = {60, 0};
  MUST(setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit) == 0);
}
static long recv_limited(struct waiter* w) {
  limit_time(w->fd, SO_RCVTIMEO);
  return recv_one(w);
}
static long read_limited(struct waiter* w) {
  limit_time(w->fd, SO_RCVTIMEO);
  return read_one(w);
}
static long recvmmsg_limited(struct waiter* w) {
  limit_time(w->fd, SO_RCVTIMEO);
  return recvmmsg_one(w);
}
static long accept_limited(struct waiter* w) {
  limit_time(w->fd, SO_RCVTIMEO);
  return accept_one(w);
}
static long send_limited(struct waiter* w) {
  limit_time(w->fd, SO_SNDTIMEO);
  return send_one(w);
}
static long write_limited(struct waiter* w) {
  limit_time(w->fd, SO_SNDTIMEO);
  return write_one(w);
}
static long connect_limited(struct waiter* w) {
  struct sockaddr_un address;
  socklen_t length = unix_name(w, &address);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  limit_time(fd, SO_SNDTIMEO);
  long result = connect(fd, (struct sockaddr*)&address, length);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

static long open_fifo(struct waiter* w) { return accepted(open(w->path, O_RDONLY)); }

static long waitpid_it(struct waiter* w) { return positive(waitpid(w->child, NULL, 0)); }
static long wait_any(struct waiter* w) {
  (void)w;
  return positive(wait(NULL));
}
static long wait3_any(struct waiter* w) {
  struct rusage usage;
  (void)w;
  return positive(wait3(NULL, 0, &usage));
}
static long wait4_it(struct waiter* w) {
  struct rusage usage;
  return positive(wait4(w->child, NULL, 0, &usage));
}
static long waitid_it(struct waiter* w) {
  siginfo_t info;
  return waitid(P_PID, (id_t)w->child, &info, WEXITED);
}

static long flock_it(struct waiter* w) { return flock(w->fd, LOCK_EX); }
static long lock_by(struct waiter* w, int command) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(w->fd, command, &lock);
}
static long lock_record(struct waiter* w) { return lock_by(w, F_SETLKW); }
static long lock_description(struct waiter* w) { return lock_by(w, F_OFD_SETLKW); }
static long lockf_it(struct waiter* w) { return lockf(w->fd, F_LOCK, 0); }

static long mq_receive_one(struct waiter* w) {
  char byte[8];
  return mq_receive(w->fd, byte, sizeof byte, NULL);
}
static long mq_timedreceive_one(struct waiter* w) {
  char byte[8];
  struct timespec limit = after_ms(CLOCK_REALTIME, 60000);
  return mq_timedreceive(w->fd, byte, sizeof byte, NULL, &limit);
}
static long mq_send_one(struct waiter* w) { return mq_send(w->fd, byte_of, 1, 0); }
static long mq_timedsend_one(struct waiter* w) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 60000);
  return mq_timedsend(w->fd, byte_of, 1, 0, &limit);
}

struct message {
  long type;
  char text[64];
};
static long msgrcv_one(struct waiter* w) {
  struct message message;
  return msgrcv(w->fd, &message, sizeof message.text, 0, 0);
}
static long msgsnd_one(struct waiter* w) {
  struct message message = {1, "x"};
  return msgsnd(w->fd, &message, sizeof message.text, 0);
}
static long semop_one(struct waiter* w) {
  struct sembuf take = {0, -1, 0};
  return semop(w->fd, &take, 1);
}
static long semtimedop_one(struct waiter* w) {
  struct sembuf take = {0, -1, 0};
  return semtimedop(w->fd, &take, 1, &long_time);
}

static long futex_wait(struct waiter* w) { return syscall(SYS_futex, &w->word, FUTEX_WAIT_PRIVATE, 0, NULL); }
static long futex_wait_until(struct waiter* w) {
  struct timespec limit = after_ms(CLOCK_MONOTONIC, 60000);
  return syscall(SYS_futex, &w->word, FUTEX_WAIT_BITSET_PRIVATE, 0, &limit, NULL, FUTEX_BITSET_MATCH_ANY);
}
static long sem_wait_one(struct waiter* w) { return sem_wait(&w->semaphore); }
static long sem_timedwait_one(struct waiter* w) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 60000);
  return sem_timedwait(&w->semaphore, &limit);
}
static long sem_clockwait_one(struct waiter* w) {
  struct timespec limit = after_ms(CLOCK_MONOTONIC, 60000);
  return sem_clockwait(&w->semaphore, CLOCK_MONOTONIC, &limit);
}
static long mutex_lock(struct waiter* w) { return pthread_mutex_lock(&w->mutex); }
static long mutex_clocklock(struct waiter* w) {
  struct timespec limit = after_ms(CLOCK_MONOTONIC, 60000);
  return pthread_mutex_clocklock(&w->mutex, CLOCK_MONOTONIC, &limit);
}
// Without a loop on purpose: a wait that a handler ended would show.
static long cond_wait(struct waiter* w) {
  MUST(pthread_mutex_lock(&w->mutex) == 0);
  long error = pthread_cond_wait(&w->condition, &w->mutex);
  say("%s: word %d", w->name, w->word);
  MUST(pthread_mutex_unlock(&w->mutex) == 0);
  return error;
}
static long join_it(struct waiter* w) { return pthread_join(w->joined, NULL); }

static long pause_it(struct waiter* w) {
  (void)w;
  return pause();
}
static sigset_t only(int number) {
  sigset_t set;
  sigemptyset(&set);
  if (number) sigaddset(&set, number);
  return set;
}
static long sigsuspend_it(struct waiter* w) {
  sigset_t none = only(0);
  (void)w;
  return sigsuspend(&none);
}
static long sigwaitinfo_it(struct waiter* w) {
  sigset_t set = only(SIGUSR2);
  (void)w;
  return sigwaitinfo(&set, NULL);
}
static long sigtimedwait_it(struct waiter* w) {
  sigset_t set = only(SIGUSR2);
  (void)w;
  return sigtimedwait(&set, NULL, &long_time);
}
static long sigwait_it(struct waiter* w) {
  sigset_t set = only(SIGUSR2);
  int number;
  (void)w;
  return sigwait(&set, &number);
}

static long poll_it(struct waiter* w) {
  struct pollfd entry = {w->fd, POLLIN, 0};
  return poll(&entry, 1, -1);
}
static long poll_limited(struct waiter* w) {
  struct pollfd entry = {w->fd, POLLIN, 0};
  return poll(&entry, 1, 60000);
}
static long ppoll_it(struct waiter* w) {
  struct pollfd entry = {w->fd, POLLIN, 0};
  sigset_t none = only(0);
  return ppoll(&entry, 1, &long_time, &none);
}
static long select_it(struct waiter* w) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(w->fd, &set);
  return select(w->fd + 1, &set, NULL, NULL, NULL);
}
static long pselect_it(struct waiter* w) {
  fd_set set;
  sigset_t none = only(0);
  FD_ZERO(&set);
  FD_SET(w->fd, &set);
  return pselect(w->fd + 1, &set, NULL, NULL, &long_time, &none);
}
static long epoll_by(struct waiter* w, int with_mask) {
  struct epoll_event event = {EPOLLIN, {.fd = 0}};
  sigset_t none = only(0);
  int fd = epoll_create1(EPOLL_CLOEXEC);
  MUST(fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, w->fd, &event) == 0);
  errno = 0;
  long result = with_mask ? epoll_pwait(fd, &event, 1, 60000, &none) : epoll_wait(fd, &event, 1, -1);
  int saved = errno;
  close(fd);
  errno = saved;
  return result;
}
static long epoll_wait_it(struct waiter* w) { return epoll_by(w, 0); }
static long epoll_pwait_it(struct waiter* w) { return epoll_by(w, 1); }

static long nanosleep_it(struct waiter* w) {
  struct timespec left = {0, 0};
  (void)w;
  long result = nanosleep(&long_time, &left);
  int saved = errno;
  CHECK(left.tv_sec >= 20 && left.tv_sec < 60);
  errno = saved;
  return result;
}
static long clock_nanosleep_it(struct waiter* w) {
  struct timespec left = {0, 0};
  (void)w;
  long error = clock_nanosleep(CLOCK_MONOTONIC, 0, &long_time, &left);
  CHECK(left.tv_sec >= 20 && left.tv_sec < 60);
  return error;
}
static long clock_nanosleep_until(struct waiter* w) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 60000), left = {77, 0};
  (void)w;
  long error = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &limit, &left);
  CHECK(left.tv_sec == 77);
  return error;
}
static long usleep_it(struct waiter* w) {
  (void)w;
  return usleep(60000000);
}
static long sleep_it(struct waiter* w) {
  (void)w;
  unsigned left = sleep(60);
  return left >= 20 && left <= 60;
}
static long thrd_sleep_it(struct waiter* w) {
  (void)w;
  return thrd_sleep(&long_time, NULL);
}

static const struct {
  const char* name;
  enum object object;
  enum outcome outcome;
  long (*call)(struct waiter*);
} waiters[] = {
    {"read of a pipe", kPipe, kRestarts, read_one},
    {"readv of a pipe", kPipe, kRestarts, readv_one},
    {"fgetc of a pipe", kPipe, kRestarts, fgetc_one},
    {"splice from a pipe", kPipe, kRestarts, splice_one},
    {"tee from a pipe", kPipe, kRestarts, tee_one},
    {"write to a pipe", kFullPipe, kRestarts, write_one},
    {"writev to a pipe", kFullPipe, kRestarts, writev_one},
    {"vmsplice to a pipe", kFullPipe, kRestarts, vmsplice_one},
    {"read of a socket", kPair, kRestarts, read_one},
    {"readv of a socket", kPair, kRestarts, readv_one},
    {"write to a socket", kFullPair, kRestarts, write_one},
    {"writev to a socket", kFullPair, kRestarts, writev_one},
    {"read of a terminal", kTerminal, kRestarts, read_one},
    {"read of events", kEvents, kRestarts, read_one},
    {"read of a timer", kTimer, kRestarts, read_one},
    {"read of signals", kSignals, kRestarts, read_any},
    {"read of inotify", kInotify, kRestarts, read_any},
    {"open of a FIFO", kFifo, kRestarts, open_fifo},
    {"waitpid", kChild, kRestarts, waitpid_it},
    {"wait4", kChild, kRestarts, wait4_it},
    {"waitid", kChild, kRestarts, waitid_it},
    {"wait", kAnyChild, kRestarts, wait_any},
    {"wait3", kAnyChild, kRestarts, wait3_any},
    {"accept", kListener, kRestarts, accept_one},
    {"accept4", kListener, kRestarts, accept4_one},
    {"connect", kFullListener, kRestarts, connect_one},
    {"recv", kPair, kRestarts, recv_one},
    {"recv MSG_WAITALL", kPair, kRestarts, recv_all},
    {"recvfrom", kDatagrams, kRestarts, recvfrom_one},
    {"recvmsg", kPair, kRestarts, recvmsg_one},
    {"recvmmsg", kDatagrams, kRestarts, recvmmsg_one},
    {"send", kFullPair, kRestarts, send_one},
    {"sendto", kFullPair, kRestarts, sendto_one},
    {"sendmsg", kFullPair, kRestarts, sendmsg_one},
    {"sendmmsg", kFullPair, kRestarts, sendmmsg_one},
    {"flock", kHeldFile, kRestarts, flock_it},
    {"F_SETLKW", kLockedFile, kRestarts, lock_record},
    {"F_OFD_SETLKW", kLockedFile, kRestarts, lock_description},
    {"lockf", kLockedFile, kRestarts, lockf_it},
    {"mq_receive", kQueue, kRestarts, mq_receive_one},
    {"mq_timedreceive", kQueue, kRestarts, mq_timedreceive_one},
    {"mq_send", kFullQueue, kRestarts, mq_send_one},
    {"mq_timedsend", kFullQueue, kRestarts, mq_timedsend_one},
    {"futex", kWord, kRestarts, futex_wait},
    {"futex until", kWord, kEnds, futex_wait_until},
    {"sem_wait", kSemaphore, kRestarts, sem_wait_one},
    {"sem_timedwait", kSemaphore, kEnds, sem_timedwait_one},
    {"sem_clockwait", kSemaphore, kEnds, sem_clockwait_one},
    {"pthread_mutex_lock", kMutex, kGoesOn, mutex_lock},
    {"pthread_mutex_clocklock", kMutex, kGoesOn, mutex_clocklock},
    {"pthread_cond_wait", kCondition, kGoesOn, cond_wait},
    {"pthread_join", kThread, kGoesOn, join_it},
    {"sigwait", kPendingSignal, kGoesOn, sigwait_it},
    {"recv with a limit", kPair, kEnds, recv_limited},
    {"read with a limit", kPair, kEnds, read_limited},
    {"recvmmsg with a limit", kDatagrams, kEnds, recvmmsg_limited},
    {"accept with a limit", kListener, kEnds, accept_limited},
    {"send with a limit", kFullPair, kEnds, send_limited},
    {"write with a limit", kFullPair, kEnds, write_limited},
    {"connect with a limit", kFullListener, kEnds, connect_limited},
    {"pause", kNothing, kEnds, pause_it},
    {"sigsuspend", kNothing, kEnds, sigsuspend_it},
    {"sigwaitinfo", kPendingSignal, kEnds, sigwaitinfo_it},
    {"sigtimedwait", kPendingSignal, kEnds, sigtimedwait_it},
    {"epoll_wait", kPipe, kEnds, epoll_wait_it},
    {"epoll_pwait", kPipe, kEnds, epoll_pwait_it},
    {"poll", kPipe, kEnds, poll_it},
    {"poll with a limit", kPipe, kEnds, poll_limited},
    {"ppoll", kPipe, kEnds, ppoll_it},
    {"select", kPipe, kEnds, select_it},
    {"pselect", kPipe, kEnds, pselect_it},
    {"msgrcv", kMessages, kEnds, msgrcv_one},
    {"msgsnd", kFullMessages, kEnds, msgsnd_one},
    {"semop", kSemaphores, kEnds, semop_one},
    {"semtimedop", kSemaphores, kEnds, semtimedop_one},
    {"nanosleep", kNothing, kEnds, nanosleep_it},
    {"clock_nanosleep", kNothing, kEnds, clock_nanosleep_it},
    {"clock_nanosleep until", kNothing, kEnds, clock_nanosleep_until},
    {"usleep", kNothing, kEnds, usleep_it},
    {"sleep", kNothing, kEnds, sleep_it},
    {"thrd_sleep", kNothing, kEnds, thrd_sleep_it},
};
enum { kCount = sizeof waiters / sizeof waiters[0] };

static void set_nonblocking(int fd, int on) {
  int flags = fcntl(fd, F_GETFL);
  MUST(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) == 0);
}

static void fill(int fd) {
  char block[4096] = {0};
  set_nonblocking(fd, 1);
  while (write(fd, block, sizeof block) > 0) {
  }
  while (write(fd, block, 1) > 0) {
  }
  MUST(errno == EAGAIN);
  set_nonblocking(fd, 0);
}

static void drain(int fd) {
  char block[4096];
  set_nonblocking(fd, 1);
  while (read(fd, block, sizeof block) > 0) {
  }
}

static void* waits_for_semaphore(void* argument) {
  struct waiter* w = argument;
  while (sem_wait(&w->semaphore) == -1) MUST(errno == EINTR);
  return NULL;
}

static void prepare(struct waiter* w, int number) {
  int ends[2] = {-1, -1};
  struct itimerspec never = {{0, 0}, {1000, 0}};
  struct mq_attr attribute = {.mq_maxmsg = 1, .mq_msgsize = 8};
  struct message message = {1, ""};
  struct sockaddr_un address;
  socklen_t length;
  sigset_t set = only(SIGHUP);
  sem_init(&w->semaphore, 0, 0);
  pthread_mutex_init(&w->mutex, NULL);
  pthread_cond_init(&w->condition, NULL);
  snprintf(w->path, sizeof w->path, "/restarted.%d.%d", (int)getpid(), number);
  w->fd = w->other = -1;
  switch (w->object) {
    case kNothing:
    case kPendingSignal:
    case kSemaphore:
    case kWord:
    case kCondition:
      break;
    case kPipe:
    case kFullPipe:
      MUST(pipe(ends) == 0);
      w->fd = ends[w->object == kFullPipe];
      w->other = ends[w->object == kPipe];
      if (w->object == kFullPipe) fill(w->fd);
      break;
    case kPair:
    case kFullPair:
    case kDatagrams:
      unix_pair(w->object == kDatagrams ? SOCK_DGRAM : SOCK_STREAM, ends);
      w->fd = ends[0];
      w->other = ends[1];
      if (w->object == kFullPair) fill(w->fd);
      break;
    case kListener:
      w->fd = tcp_listener(1);
      break;
    case kFullListener:
      w->path[0] = 0;
      length = unix_name(w, &address);
      w->other = socket(AF_UNIX, SOCK_STREAM, 0);
      MUST(bind(w->other, (struct sockaddr*)&address, length) == 0 && listen(w->other, 0) == 0);
      while (connect_one_more(w, SOCK_NONBLOCK) >= 0) {
      }
      MUST(errno == EAGAIN);
      break;
    case kTerminal:
      MUST(openpty(&w->other, &w->fd, NULL, NULL, NULL) == 0);
      break;
    case kFifo:
      snprintf(w->path, sizeof w->path, "fifo.%d", number);
      MUST(mkfifo(w->path, 0600) == 0);
      break;
    case kChild:
    case kAnyChild:
      w->child = fork();
      MUST(w->child >= 0);
      while (w->child == 0) pause();
      break;
    case kHeldFile:
    case kLockedFile:
      snprintf(w->path, sizeof w->path, "file.%d", number);
      w->fd = open(w->path, O_RDWR | O_CREAT, 0600);
      w->other = open(w->path, O_RDWR);
      MUST(w->fd >= 0 && w->other >= 0);
      if (w->object == kHeldFile) {
        MUST(flock(w->other, LOCK_EX) == 0);
      } else {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        MUST(fcntl(w->other, F_OFD_SETLK, &lock) == 0);
      }
      unlink(w->path);
      break;
    case kQueue:
    case kFullQueue:
      w->fd = mq_open(w->path, O_RDWR | O_CREAT | O_EXCL, 0600, &attribute);
      MUST(w->fd >= 0 && mq_unlink(w->path) == 0);
      if (w->object == kFullQueue) MUST(mq_send(w->fd, byte_of, 1, 0) == 0);
      break;
    case kMessages:
    case kFullMessages:
      w->fd = msgget(IPC_PRIVATE, 0600);
      MUST(w->fd >= 0);
      if (w->object == kFullMessages)
        while (msgsnd(w->fd, &message, sizeof message.text, IPC_NOWAIT) == 0) {
        }
      break;
    case kSemaphores:
      w->fd = semget(IPC_PRIVATE, 1, 0600);
      MUST(w->fd >= 0);
      break;
    case kEvents:
      w->fd = eventfd(0, EFD_CLOEXEC);
      break;
    case kTimer:
      w->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
      MUST(timerfd_settime(w->fd, 0, &never, NULL) == 0);
      break;
    case kSignals:
      w->fd = signalfd(-1, &set, SFD_CLOEXEC);
      break;
    case kInotify:
      snprintf(w->path, sizeof w->path, "seen.%d", number);
      w->other = creat(w->path, 0600);
      w->fd = inotify_init1(IN_CLOEXEC);
      MUST(w->other >= 0 && inotify_add_watch(w->fd, w->path, IN_MODIFY) >= 0);
      break;
    case kMutex:
      MUST(pthread_mutex_lock(&w->mutex) == 0);
      break;
    case kThread:
      w->joined = start_thread(waits_for_semaphore, w);
      break;
  }
}

// What the wait is for.
static void satisfy(struct waiter* w) {
  struct itimerspec soon = {{0, 0}, {0, 1}};
  struct message message;
  struct sembuf give = {0, 1, 0};
  struct flock lock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  int fd;
  switch (w->object) {
    case kNothing:
      MUST(w->done);
      break;
    case kPipe:
    case kPair:
    case kDatagrams:
    case kInotify:
      MUST(write(w->other, byte_of, 1) == 1);
      break;
    case kFullPipe:
    case kFullPair:
      drain(w->other);
      break;
    case kListener:
      tcp_client(w->fd);
      break;
    case kFullListener:
      accept(w->other, NULL, NULL);
      break;
    case kTerminal:
      MUST(write(w->other, "\n", 1) == 1);
      break;
    case kFifo:
      while (!w->done && (fd = open(w->path, O_WRONLY | O_NONBLOCK)) == -1) usleep(1000);
      unlink(w->path);
      break;
    case kChild:
    case kAnyChild:
      MUST(kill(w->child, SIGKILL) == 0);
      break;
    case kHeldFile:
      MUST(flock(w->other, LOCK_UN) == 0);
      break;
    case kLockedFile:
      MUST(fcntl(w->other, F_OFD_SETLK, &lock) == 0);
      break;
    case kQueue:
      MUST(mq_send(w->fd, byte_of, 1, 0) == 0);
      break;
    case kFullQueue: {
      char text[8];
      MUST(mq_receive(w->fd, text, sizeof text, NULL) == 1);
      break;
    }
    case kMessages:
      message.type = 1;
      MUST(msgsnd(w->fd, &message, 1, 0) == 0);
      break;
    case kFullMessages:
      MUST(msgrcv(w->fd, &message, sizeof message.text, 0, 0) >= 0);
      break;
    case kSemaphores:
      MUST(semop(w->fd, &give, 1) == 0);
      break;
    case kEvents:
      MUST(eventfd_write(w->fd, 1) == 0);
      break;
    case kTimer:
      MUST(timerfd_settime(w->fd, 0, &soon, NULL) == 0);
      break;
    case kSemaphore:
    case kThread:
      MUST(sem_post(&w->semaphore) == 0);
      break;
    case kWord:
      w->word = 1;
      syscall(SYS_futex, &w->word, FUTEX_WAKE_PRIVATE, 1);
      break;
    case kMutex:
      MUST(pthread_mutex_unlock(&w->mutex) == 0);
      break;
    case kCondition:
      MUST(pthread_mutex_lock(&w->mutex) == 0);
      w->word = 1;
      MUST(pthread_cond_signal(&w->condition) == 0);
      MUST(pthread_mutex_unlock(&w->mutex) == 0);
      break;
    case kSignals:
      MUST(kill(getpid(), SIGHUP) == 0);
      break;
    case kPendingSignal:
      MUST(pthread_kill(w->thread, SIGUSR2) == 0);
      break;
  }
}

static void clean_up(struct waiter* w) {
  if (w->object == kMessages || w->object == kFullMessages) {
    msgctl(w->fd, IPC_RMID, NULL);
  } else if (w->object == kSemaphores) {
    semctl(w->fd, 0, IPC_RMID);
  } else {
    if (w->fd >= 0) close(w->fd);
    if (w->other >= 0) close(w->other);
  }
  if (w->object == kFifo || w->object == kInotify) unlink(w->path);
  if (w->child > 0 && w->result == -1) {
    kill(w->child, SIGKILL);
    while (waitpid(w->child, NULL, 0) == -1) MUST(errno == EINTR);
  }
  if (w->joined && w->result != 0) pthread_join(w->joined, NULL);
}

static void* waits(void* argument) {
  struct waiter* w = argument;
  mine = w;
  sem_post(&progress);
  errno = 0;
  w->result = w->call(w);
  w->error = errno;
  w->done = 1;
  sem_post(&progress);
  return NULL;
}

static void hit(struct waiter* w) {
  int before = w->handled;
  struct timespec limit = after_ms(CLOCK_REALTIME, 10000);
  MUST(pthread_kill(w->thread, SIGUSR1) == 0);
  while (w->handled == before && !w->done && sem_timedwait(&progress, &limit) == 0) {
  }
  if (!CHECK(w->handled > before || w->done)) say("no handler during %s", w->name);
}

static void walk(int first, int count, int flags) {
  static struct waiter running[kCount];
  sem_init(&progress, 0, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags;
  MUST(sigaction(SIGUSR1, &action, NULL) == 0);
  for (int i = 0; i < count; i++) {
    running[i] = (struct waiter){.name = waiters[first + i].name,
                                 .object = waiters[first + i].object,
                                 .outcome = waiters[first + i].outcome,
                                 .call = waiters[first + i].call};
    prepare(&running[i], i);
  }
  for (int i = 0; i < count; i++) running[i].thread = start_thread(waits, &running[i]);
  for (int i = 0; i < count; i++) sem_wait(&progress);
  settle();
  for (int round = 0, left = 1; round < 3 || (left > 0 && round < 100); round++) {
    left = 0;
    for (int i = 0; i < count; i++) {
      struct waiter* w = &running[i];
      int ends = w->outcome == kEnds || (w->outcome == kRestarts && !(flags & SA_RESTART));
      if (w->done || (round >= 3 && !ends)) continue;
      hit(w);
      left += ends && !w->done;
    }
    settle();
  }
  for (int i = 0; i < count; i++) {
    struct waiter* w = &running[i];
    if (!w->done) satisfy(w);
    join_thread(w->thread);
    CHECK(w->handled > 0);
    say("%s: %ld %s", w->name, w->result, w->result == -1 ? name_of_errno(w->error) : "");
    clean_up(w);
  }
}

int main(void) {
  sigset_t set = only(SIGUSR2);
  sigaddset(&set, SIGHUP);
  MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
  signal(SIGUSR2, nothing);
  signal(SIGHUP, nothing);
  for (int restarting = 0; restarting < 2; restarting++) {
    int flags = restarting ? SA_RESTART : 0, first = 0;
    say("-- %s", restarting ? "SA_RESTART" : "no flag");
    // A call that waits for any child would take the children of the others: it comes alone.
    while (first < kCount) {
      int count = waiters[first].object == kAnyChild;
      if (count == 0)
        while (first + count < kCount && waiters[first + count].object != kAnyChild) count++;
      walk(first, count, flags);
      first += count;
    }
  }
  return finish();
}
