// SPDX-License-Identifier: Apache-2.0
// Every function that POSIX or glibc makes a cancellation point, and some that are none, in a thread each time:
//   pending   the cancellation is there before the call, which could end at once: does it act, and what has the call done?
//   waits     it comes while the call waits
//   disabled  it is there and cancellation is disabled: the call goes on as ever, and the next point after enabling acts
// Cleanup handlers run, and those of a condition variable hold its mutex. Which calls act is what the run natively says.
#include "socket_pairs.h"

#include <aio.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pty.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <threads.h>

enum mode { kPending, kWaits, kDisabled, kModes };
static const char* const mode_names[] = {"pending", "waits", "disabled"};
static enum mode mode;

static sem_t armed, end_of_threads;
static int cleaned;
static pid_t child;

// What a call needed and a cancellation leaves behind.
static int opened[16], opened_count;
static int opens(int fd) {
  MUST(fd >= 0 && opened_count < 16);
  return opened[opened_count++] = fd;
}

static void arm(void) {
  if (mode != kDisabled) pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  if (mode == kWaits) sem_post(&armed);
}
static long disarm(long value) {
  int error = errno;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  errno = error;
  return value;
}
#define CANCEL_AT(call) (errno = 0, arm(), disarm((long)(call)))

static char bytes[8];
static char block[1 << 20];
static struct iovec part = {bytes, 1}, large_part = {block, sizeof block};

// Descriptors to wait on: the one to read has a byte unless the call is to wait, the one to write is full if it is.
static int readable(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  opens(ends[1]);
  if (mode != kWaits) MUST(write(ends[1], "x", 1) == 1);
  return opens(ends[0]);
}
static int writable(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  opens(ends[0]);
  if (mode == kWaits) {
    MUST(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], block, 4096) > 0) {
    }
    MUST(fcntl(ends[1], F_SETFL, 0) == 0);
  }
  return opens(ends[1]);
}
static int receiving(void) {
  int ends[2];
  unix_pair(SOCK_STREAM, ends);
  opens(ends[1]);
  if (mode != kWaits) MUST(write(ends[1], "x", 1) == 1);
  return opens(ends[0]);
}
static int sending(void) {
  int ends[2];
  unix_pair(SOCK_STREAM, ends);
  opens(ends[1]);
  while (mode == kWaits && send(ends[0], block, 4096, MSG_DONTWAIT) > 0) {
  }
  return opens(ends[0]);
}
static int file(void) { return opens(open("file", O_RDWR)); }
static struct timespec length(void) {
  struct timespec result = {mode == kWaits ? 3600 : 0, 1};
  return result;
}
static struct timespec limit(clockid_t clock) { return after_ms(clock, mode == kWaits ? 3600000 : -1000); }

// Descriptors and files are made before the call is armed: as arguments of the call itself they would be made in it.
#define WITH(type, name, value, call) \
  __extension__({                     \
    type name = (value);              \
    CANCEL_AT(call);                  \
  })
#define READING(call) WITH(int, fd, readable(), call)
#define WRITING(call) WITH(int, fd, writable(), call)
#define RECEIVING(call) WITH(int, fd, receiving(), call)
#define SENDING(call) WITH(int, fd, sending(), call)
#define IN_FILE(call) WITH(int, fd, file(), call)

static long c_read(void) { return READING(read(fd, bytes, 1)); }
static long c_readv(void) { return READING(readv(fd, &part, 1)); }
static long c_preadv2(void) { return READING(preadv2(fd, &part, 1, -1, 0)); }
static long c_pread(void) { return IN_FILE(pread(fd, bytes, 1, 0)); }
static long c_preadv(void) { return IN_FILE(preadv(fd, &part, 1, 0)); }
static long c_write(void) { return WRITING(write(fd, block, mode == kWaits ? sizeof block : 1)); }
static long c_writev(void) { return WRITING(writev(fd, mode == kWaits ? &large_part : &part, 1)); }
static long c_pwritev2(void) { return WRITING(pwritev2(fd, &part, 1, -1, 0)); }
static long c_pwrite(void) { return IN_FILE(pwrite(fd, bytes, 1, 0)); }
static long c_pwritev(void) { return IN_FILE(pwritev(fd, &part, 1, 0)); }
static long c_recv(void) { return RECEIVING(recv(fd, bytes, 1, 0)); }
static long c_recvfrom(void) { return RECEIVING(recvfrom(fd, bytes, 1, 0, NULL, NULL)); }
static struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
static struct mmsghdr messages = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
static long c_recvmsg(void) { return RECEIVING(recvmsg(fd, &message, 0)); }
static long c_recvmmsg(void) { return RECEIVING(recvmmsg(fd, &messages, 1, 0, NULL)); }
static long c_send(void) { return SENDING(send(fd, bytes, 1, 0)); }
static long c_sendto(void) { return SENDING(sendto(fd, bytes, 1, 0, NULL, 0)); }
static long c_sendmsg(void) { return SENDING(sendmsg(fd, &message, 0)); }
static long c_sendmmsg(void) { return SENDING(sendmmsg(fd, &messages, 1, 0)); }
static long c_nothing_to_read(void) { return READING(read(fd, bytes, 0)); }
static long c_nothing_to_write(void) { return WRITING(write(fd, bytes, 0)); }
static long c_read_of_none(void) { return CANCEL_AT(read(-1, bytes, 1)); }

static int acceptable(void) {
  int listener = opens(tcp_listener(4));
  if (mode != kWaits) {
    opens(tcp_client(listener));
    struct pollfd one = {listener, POLLIN, 0};
    MUST(poll(&one, 1, -1) == 1);
  }
  return listener;
}
static long opened_is(long fd) { return fd < 0 ? -1 : (opens((int)fd), 1); }
static long c_accept(void) { return opened_is(WITH(int, fd, acceptable(), accept(fd, NULL, NULL))); }
static long c_accept4(void) { return opened_is(WITH(int, fd, acceptable(), accept4(fd, NULL, NULL, SOCK_CLOEXEC))); }
static long c_connect(void) {
  struct sockaddr_in address = address_of(opens(tcp_listener(1)));
  return WITH(int, fd, opens(socket(AF_INET, SOCK_STREAM, 0)), connect(fd, (struct sockaddr*)&address, sizeof address));
}
static long c_connect_unix(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int listener = opens(socket(AF_UNIX, SOCK_STREAM, 0));
  MUST(bind(listener, (struct sockaddr*)&address, sizeof address.sun_family) == 0 && listen(listener, 0) == 0);
  socklen_t size = sizeof address;
  MUST(getsockname(listener, (struct sockaddr*)&address, &size) == 0);
  if (mode == kWaits) MUST(connect(opens(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr*)&address, size) == 0);
  return WITH(int, fd, opens(socket(AF_UNIX, SOCK_STREAM, 0)), connect(fd, (struct sockaddr*)&address, size));
}

static long c_poll(void) {
  return WITH(struct pollfd, one, ((struct pollfd){readable(), POLLIN, 0}), poll(&one, 1, -1));
}
static long c_poll_none(void) { return CANCEL_AT(poll(NULL, 0, mode == kWaits ? -1 : 0)); }
static long c_ppoll(void) {
  return WITH(struct pollfd, one, ((struct pollfd){readable(), POLLIN, 0}), ppoll(&one, 1, NULL, NULL));
}
static fd_set* set_of(int fd) {
  static fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  return &set;
}
static long c_select(void) { return WITH(fd_set*, set, set_of(readable()), select(FD_SETSIZE, set, NULL, NULL, NULL)); }
static long c_pselect(void) {
  return WITH(fd_set*, set, set_of(readable()), pselect(FD_SETSIZE, set, NULL, NULL, NULL, NULL));
}
static struct epoll_event event = {.events = EPOLLIN};
static int watching(void) {
  int watcher = opens(epoll_create1(0));
  MUST(epoll_ctl(watcher, EPOLL_CTL_ADD, readable(), &event) == 0);
  return watcher;
}
static long c_epoll_wait(void) { return WITH(int, fd, watching(), epoll_wait(fd, &event, 1, -1)); }
static long c_epoll_pwait(void) { return WITH(int, fd, watching(), epoll_pwait(fd, &event, 1, -1, NULL)); }
static long c_epoll_pwait2(void) { return WITH(int, fd, watching(), epoll_pwait2(fd, &event, 1, NULL, NULL)); }

#define TIMED(call) WITH(struct timespec, time, length(), call)
static long c_nanosleep(void) { return TIMED(nanosleep(&time, NULL)); }
static long c_clock_nanosleep(void) { return TIMED(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL)); }
static long c_clock_nanosleep_until(void) {
  return WITH(struct timespec, time, limit(CLOCK_REALTIME),
              clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, NULL));
}
static long c_sleep(void) { return CANCEL_AT(sleep(mode == kWaits ? 3600 : 0)); }
static long c_usleep(void) { return CANCEL_AT(usleep(mode == kWaits ? 999999999 : 0)); }
static long c_thrd_sleep(void) { return TIMED(thrd_sleep(&time, NULL)); }
static long c_pause(void) { return CANCEL_AT(pause()); }

static sigset_t some, none;
static const sigset_t* pending_signal(void) {
  MUST(pthread_sigmask(SIG_BLOCK, &some, NULL) == 0);
  if (mode != kWaits) MUST(pthread_kill(pthread_self(), SIGUSR1) == 0);
  return &some;
}
static void handler(int signal) { (void)signal; }
static int taken;
static long c_sigsuspend(void) {
  pending_signal();
  return CANCEL_AT(sigsuspend(&none));
}
static long c_sigpause(void) {
  pending_signal();
  return CANCEL_AT(sigpause(SIGUSR1));
}
static long c_sigwait(void) { return WITH(const sigset_t*, set, pending_signal(), sigwait(set, &taken)); }
static long c_sigwaitinfo(void) { return WITH(const sigset_t*, set, pending_signal(), sigwaitinfo(set, NULL)); }
static long c_sigtimedwait(void) {
  struct timespec time = {3600, 0};
  return WITH(const sigset_t*, set, pending_signal(), sigtimedwait(set, NULL, &time));
}

static sem_t* counted(void) {
  static sem_t semaphore;
  MUST(sem_init(&semaphore, 0, mode == kWaits ? 0 : 1) == 0);
  return &semaphore;
}
static struct timespec hour;
static long c_sem_wait(void) { return WITH(sem_t*, semaphore, counted(), sem_wait(semaphore)); }
static long c_sem_timedwait(void) { return WITH(sem_t*, semaphore, counted(), sem_timedwait(semaphore, &hour)); }
static long c_sem_clockwait(void) {
  return WITH(sem_t*, semaphore, counted(), sem_clockwait(semaphore, CLOCK_REALTIME, &hour));
}
static long c_sem_trywait(void) { return WITH(sem_t*, semaphore, counted(), sem_trywait(semaphore)); }

static pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static void unlock(void* unused) {
  (void)unused;
  CHECK(pthread_mutex_unlock(&mutex) == 0);
}
#define LOCKED(call)                       \
  __extension__({                          \
    long locked_result;                    \
    MUST(pthread_mutex_lock(&mutex) == 0); \
    pthread_cleanup_push(unlock, NULL);    \
    locked_result = CANCEL_AT(call);       \
    pthread_cleanup_pop(1);                \
    locked_result;                         \
  })
static long c_cond_wait(void) { return LOCKED(pthread_cond_wait(&condition, &mutex)); }
static long c_cond_timedwait(void) {
  struct timespec time = limit(CLOCK_REALTIME);
  return LOCKED(pthread_cond_timedwait(&condition, &mutex, &time));
}
static long c_cond_clockwait(void) {
  struct timespec time = limit(CLOCK_MONOTONIC);
  return LOCKED(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &time));
}
static mtx_t plain;
static cnd_t plain_condition;
static void unlock_plain(void* unused) {
  (void)unused;
  CHECK(mtx_unlock(&plain) == thrd_success);
}
static long c_cnd_wait(void) {
  long result;
  MUST(mtx_lock(&plain) == thrd_success);
  pthread_cleanup_push(unlock_plain, NULL);
  result = CANCEL_AT(cnd_wait(&plain_condition, &plain));
  pthread_cleanup_pop(1);
  return result;
}
static long c_cnd_timedwait(void) {
  long result;
  struct timespec time = limit(CLOCK_REALTIME);
  MUST(mtx_lock(&plain) == thrd_success);
  pthread_cleanup_push(unlock_plain, NULL);
  result = CANCEL_AT(cnd_timedwait(&plain_condition, &plain, &time));
  pthread_cleanup_pop(1);
  return result;
}

// A thread to join: one that has ended wholly, unless the call is to wait.
static pthread_t other;
static pid_t number_of_other;
static int has_other;
static void* ends(void* unused) {
  __atomic_store_n(&number_of_other, gettid(), __ATOMIC_RELEASE);
  while (mode == kWaits && sem_wait(&end_of_threads) != 0) {
  }
  return unused;
}
static pthread_t ending(void) {
  number_of_other = 0;
  other = start_thread(ends, NULL);
  has_other = 1;
  pid_t number;
  while ((number = __atomic_load_n(&number_of_other, __ATOMIC_ACQUIRE)) == 0) sched_yield();
  while (mode != kWaits && tgkill(getpid(), number, 0) == 0) sched_yield();
  return other;
}
static long joins(long error) {
  if (error == 0) has_other = 0;
  return error;
}
static long c_join(void) { return joins(WITH(pthread_t, thread, ending(), pthread_join(thread, NULL))); }
static long c_timedjoin(void) {
  return joins(WITH(pthread_t, thread, ending(), pthread_timedjoin_np(thread, NULL, &hour)));
}
static long c_clockjoin(void) {
  return joins(WITH(pthread_t, thread, ending(), pthread_clockjoin_np(thread, NULL, CLOCK_REALTIME, &hour)));
}
static long c_tryjoin(void) { return joins(WITH(pthread_t, thread, ending(), pthread_tryjoin_np(thread, NULL))); }
static long c_thrd_join(void) { return joins(WITH(pthread_t, thread, ending(), thrd_join(thread, NULL))); }
static long c_testcancel(void) { return CANCEL_AT((pthread_testcancel(), 0)); }

static pid_t forked(void) {
  MUST((child = fork()) >= 0);
  if (child == 0) {
    if (mode != kWaits) _exit(3);
    for (;;) pause();
  }
  siginfo_t what;
  if (mode != kWaits) MUST(waitid(P_PID, (id_t)child, &what, WEXITED | WNOWAIT) == 0);
  return child;
}
static long waited_is(long pid) {
  if (pid > 0) child = 0;
  return pid > 0 ? 1 : pid;
}
static long c_wait(void) {
  forked();
  return waited_is(CANCEL_AT(wait(NULL)));
}
static long c_wait3(void) {
  forked();
  return waited_is(CANCEL_AT(wait3(NULL, 0, NULL)));
}
static long c_wait4(void) { return waited_is(WITH(pid_t, pid, forked(), wait4(pid, NULL, 0, NULL))); }
static long c_waitpid(void) { return waited_is(WITH(pid_t, pid, forked(), waitpid(pid, NULL, 0))); }
static long c_waitid(void) {
  siginfo_t what;
  return WITH(pid_t, pid, forked(), waitid(P_PID, (id_t)pid, &what, WEXITED));
}
static long c_system(void) { return CANCEL_AT(system(mode == kWaits ? "exec sleep 3600" : "exit 3")); }
static FILE* stream;
static long c_pclose(void) {
  MUST((stream = popen("exit 3", "r")) != NULL);
  long result = CANCEL_AT(pclose(stream));
  stream = NULL;
  return result;
}

static long c_open(void) { return opened_is(CANCEL_AT(open(mode == kWaits ? "fifo" : "file", O_RDONLY))); }
static long c_openat(void) {
  return opened_is(CANCEL_AT(openat(AT_FDCWD, mode == kWaits ? "fifo" : "file", O_RDONLY)));
}
static long c_creat(void) { return opened_is(CANCEL_AT(creat(mode == kWaits ? "fifo" : "created", 0600))); }
// What is closed is said by what becomes of the number afterwards.
static int closing = -1;
static long c_close(void) {
  closing = dup(file());
  return WITH(int, fd, closing, close(fd));
}
static int lockable(void) {
  struct flock whole = {.l_type = F_WRLCK};
  if (mode == kWaits) MUST(fcntl(file(), F_OFD_SETLK, &whole) == 0);
  return file();
}
static struct flock writing = {.l_type = F_WRLCK};
static long c_setlkw(void) { return WITH(int, fd, lockable(), fcntl(fd, F_SETLKW, &writing)); }
static long c_ofd_setlkw(void) { return WITH(int, fd, lockable(), fcntl(fd, F_OFD_SETLKW, &writing)); }
static long c_setlk(void) { return WITH(int, fd, lockable(), fcntl(fd, F_SETLK, &writing)); }
static long c_getfl(void) { return IN_FILE(fcntl(fd, F_GETFD)); }
static long c_lockf(void) { return WITH(int, fd, lockable(), lockf(fd, F_LOCK, 0)); }
static long c_flock(void) { return IN_FILE(flock(fd, LOCK_EX)); }
static long c_fsync(void) { return IN_FILE(fsync(fd)); }
static long c_fdatasync(void) { return IN_FILE(fdatasync(fd)); }
static long c_sync_file_range(void) { return IN_FILE(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)); }
static long c_fallocate(void) { return IN_FILE(fallocate(fd, 0, 0, 1)); }
static long c_posix_fallocate(void) { return IN_FILE(posix_fallocate(fd, 0, 1)); }
static char* mapped(void) {
  char* map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file(), 0);
  MUST(map != MAP_FAILED);
  return map;
}
static long c_msync(void) { return WITH(char*, map, mapped(), msync(map, 4096, MS_SYNC)); }
static long c_getrandom(void) { return CANCEL_AT(getrandom(bytes, 1, 0)); }
static int terminal(void) {
  int master, slave;
  MUST(openpty(&master, &slave, NULL, NULL, NULL) == 0);
  opens(master);
  return opens(slave);
}
static long c_tcdrain(void) { return WITH(int, fd, terminal(), tcdrain(fd)); }

static long c_splice(void) {
  int to = opens(open("/dev/null", O_WRONLY));
  return READING(splice(fd, NULL, to, NULL, 1, 0));
}
static long c_tee(void) {
  int ends[2];
  MUST(pipe(ends) == 0);
  opens(ends[0]);
  opens(ends[1]);
  return READING(tee(fd, ends[1], 1, 0));
}
static long c_vmsplice(void) { return WRITING(vmsplice(fd, &part, 1, 0)); }
static long c_sendfile(void) {
  int from = file();
  off_t start = 0;
  return SENDING(sendfile(fd, from, &start, 1));
}
static long c_copy_file_range(void) {
  int from = file();
  off_t start = 0;
  return WITH(int, fd, opens(open("created", O_RDWR | O_CREAT, 0600)), copy_file_range(from, &start, fd, NULL, 1, 0));
}

static char queue_name[32];
static mqd_t queue_of(int count) {
  struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = sizeof bytes};
  mqd_t queue = mq_open(queue_name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  MUST(queue >= 0 && mq_unlink(queue_name) == 0);
  if (count) MUST(mq_send(queue, bytes, 1, 0) == 0);
  return opens(queue);
}
#define RECEIVES_FROM_QUEUE(call) WITH(mqd_t, queue, queue_of(mode != kWaits), call)
#define SENDS_TO_QUEUE(call) WITH(mqd_t, queue, queue_of(mode == kWaits), call)
static long c_mq_receive(void) { return RECEIVES_FROM_QUEUE(mq_receive(queue, bytes, sizeof bytes, NULL)); }
static long c_mq_timedreceive(void) {
  return RECEIVES_FROM_QUEUE(mq_timedreceive(queue, bytes, sizeof bytes, NULL, &hour));
}
static long c_mq_send(void) { return SENDS_TO_QUEUE(mq_send(queue, bytes, 1, 0)); }
static long c_mq_timedsend(void) { return SENDS_TO_QUEUE(mq_timedsend(queue, bytes, 1, 0, &hour)); }

static int old_queue = -1;
static struct {
  long type;
  char text[1 << 12];
} old_message = {1, ""};
static int old_queue_of(int full) {
  MUST((old_queue = msgget(IPC_PRIVATE, 0600)) >= 0);
  while (full && msgsnd(old_queue, &old_message, sizeof old_message.text, IPC_NOWAIT) == 0) {
  }
  if (!full && mode != kWaits) MUST(msgsnd(old_queue, &old_message, 1, 0) == 0);
  return old_queue;
}
static long c_msgrcv(void) { return WITH(int, queue, old_queue_of(0), msgrcv(queue, &old_message, 1, 0, 0)); }
static long c_msgsnd(void) {
  return WITH(int, queue, old_queue_of(mode == kWaits), msgsnd(queue, &old_message, sizeof old_message.text, 0));
}

// The request of a cancelled thread goes on, so what it reads stays.
static const struct aiocb* requested(void) {
  static struct aiocb requests[kModes];
  struct aiocb* request = &requests[mode];
  request->aio_fildes = readable();
  request->aio_buf = bytes;
  request->aio_nbytes = 1;
  request->aio_sigevent.sigev_notify = SIGEV_NONE;
  // One that is left stays, and its thread may come to read only now: the numbers must not be those of the next one's pipe.
  if (mode == kWaits) opened_count -= 2;
  MUST(aio_read(request) == 0);
  while (mode != kWaits && aio_error(request) == EINPROGRESS) sched_yield();
  return request;
}
static const struct aiocb* request_list[1];
static long c_aio_suspend(void) {
  request_list[0] = requested();
  return CANCEL_AT(aio_suspend(request_list, 1, NULL));
}

static FILE* stream_on(int fd, const char* how) {
  MUST((stream = fdopen(dup(fd), how)) != NULL);
  return stream;
}
static long c_fgetc(void) { return WITH(FILE*, file, stream_on(readable(), "r"), fgetc(file)); }
static long c_fflush(void) {
  stream_on(writable(), "w");
  fputc('x', stream);
  return CANCEL_AT(fflush(stream));
}
static long c_fputs_unbuffered(void) {
  stream_on(writable(), "w");
  setvbuf(stream, NULL, _IONBF, 0);
  return CANCEL_AT(fputs("x", stream));
}
static long c_fopen(void) {
  long opened_one = CANCEL_AT(stream = fopen("file", "r"));
  return opened_one != 0;
}
static long c_fclose(void) {
  stream_on(writable(), "w");
  FILE* closed = stream;
  stream = NULL;
  return CANCEL_AT(fclose(closed));
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long c_mutex_lock(void) {
  long result = CANCEL_AT(pthread_mutex_lock(&mutex));
  MUST(pthread_mutex_unlock(&mutex) == 0);
  return result;
}
static long c_rwlock_rdlock(void) {
  long result = CANCEL_AT(pthread_rwlock_rdlock(&rwlock));
  MUST(pthread_rwlock_unlock(&rwlock) == 0);
  return result;
}
static long c_barrier_wait(void) {
  pthread_barrier_t barrier;
  MUST(pthread_barrier_init(&barrier, NULL, 1) == 0);
  return CANCEL_AT(pthread_barrier_wait(&barrier));
}
static long c_sem_post(void) { return WITH(sem_t*, semaphore, counted(), sem_post(semaphore)); }
static long c_cond_signal(void) { return CANCEL_AT(pthread_cond_signal(&condition)); }
static long c_kill(void) { return CANCEL_AT(pthread_kill(pthread_self(), 0)); }
static long c_yield(void) { return CANCEL_AT(sched_yield()); }
static long c_dup(void) {
  int fd = file();
  return opened_is(CANCEL_AT(dup(fd)));
}
static long c_getaddrinfo(void) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found = NULL;
  long result = CANCEL_AT(getaddrinfo("127.0.0.1", NULL, &hints, &found));
  freeaddrinfo(found);
  return result;
}

enum { kCanWait = 1, kNeverReady = 2 };
static const struct {
  const char* name;
  long (*call)(void);
  int kinds;
} points[] = {
#define POINT(name) \
  { #name, c_##name, 0 }
#define WAIT(name) \
  { #name, c_##name, kCanWait }
#define ONLY_WAIT(name) \
  { #name, c_##name, kCanWait | kNeverReady }
    WAIT(accept),
    WAIT(accept4),
    POINT(connect),
    WAIT(connect_unix),
    WAIT(read),
    WAIT(readv),
    WAIT(preadv2),
    POINT(pread),
    POINT(preadv),
    WAIT(write),
    WAIT(writev),
    WAIT(pwritev2),
    POINT(pwrite),
    POINT(pwritev),
    WAIT(recv),
    WAIT(recvfrom),
    WAIT(recvmsg),
    WAIT(recvmmsg),
    WAIT(send),
    WAIT(sendto),
    WAIT(sendmsg),
    WAIT(sendmmsg),
    POINT(nothing_to_read),
    POINT(nothing_to_write),
    POINT(read_of_none),
    WAIT(poll),
    WAIT(poll_none),
    WAIT(ppoll),
    WAIT(select),
    WAIT(pselect),
    WAIT(epoll_wait),
    WAIT(epoll_pwait),
    WAIT(epoll_pwait2),
    WAIT(nanosleep),
    WAIT(clock_nanosleep),
    WAIT(clock_nanosleep_until),
    WAIT(sleep),
    WAIT(usleep),
    WAIT(thrd_sleep),
    ONLY_WAIT(pause),
    WAIT(sigsuspend),
    WAIT(sigpause),
    WAIT(sigwait),
    WAIT(sigwaitinfo),
    WAIT(sigtimedwait),
    WAIT(sem_wait),
    WAIT(sem_timedwait),
    WAIT(sem_clockwait),
    POINT(sem_trywait),
    ONLY_WAIT(cond_wait),
    WAIT(cond_timedwait),
    WAIT(cond_clockwait),
    ONLY_WAIT(cnd_wait),
    WAIT(cnd_timedwait),
    WAIT(join),
    WAIT(timedjoin),
    WAIT(clockjoin),
    POINT(tryjoin),
    WAIT(thrd_join),
    POINT(testcancel),
    WAIT(wait),
    WAIT(wait3),
    WAIT(wait4),
    WAIT(waitpid),
    WAIT(waitid),
    WAIT(system),
    POINT(pclose),
    WAIT(open),
    WAIT(openat),
    WAIT(creat),
    POINT(close),
    WAIT(setlkw),
    WAIT(ofd_setlkw),
    POINT(setlk),
    POINT(getfl),
    WAIT(lockf),
    POINT(flock),
    POINT(fsync),
    POINT(fdatasync),
    POINT(sync_file_range),
    POINT(fallocate),
    POINT(posix_fallocate),
    POINT(msync),
    POINT(getrandom),
    POINT(tcdrain),
    WAIT(splice),
    WAIT(tee),
    WAIT(vmsplice),
    POINT(sendfile),
    POINT(copy_file_range),
    WAIT(mq_receive),
    WAIT(mq_timedreceive),
    WAIT(mq_send),
    WAIT(mq_timedsend),
    WAIT(msgrcv),
    WAIT(msgsnd),
    WAIT(aio_suspend),
    WAIT(fgetc),
    WAIT(fflush),
    WAIT(fputs_unbuffered),
    POINT(fopen),
    POINT(fclose),
    POINT(mutex_lock),
    POINT(rwlock_rdlock),
    POINT(barrier_wait),
    POINT(sem_post),
    POINT(cond_signal),
    POINT(kill),
    POINT(yield),
    POINT(dup),
    POINT(getaddrinfo),
};

static long came_back, error_of_call;
static int returned;

static void clean(void* unused) {
  (void)unused;
  cleaned++;
}

static void* calls(void* argument) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
  if (mode != kWaits) MUST(pthread_cancel(pthread_self()) == 0);
  pthread_cleanup_push(clean, NULL);
  came_back = points[as_long(argument)].call();
  error_of_call = came_back == -1 ? errno : 0;
  returned = 1;
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
  pthread_testcancel();
  pthread_cleanup_pop(0);
  return NULL;
}

static void call_it(int which) {
  cleaned = returned = 0;
  pthread_t thread = start_thread(calls, as_pointer(which));
  if (mode == kWaits) {
    while (sem_wait(&armed) != 0) {
    }
    struct timespec nap = {0, 4000000};
    nanosleep(&nap, NULL);
    MUST(pthread_cancel(thread) == 0);
  }
  void* result = join_thread(thread);
  if (returned)
    say("%s %s: came back with %ld %s, cancelled %d, handlers %d", points[which].name, mode_names[mode], came_back,
        name_of_errno((int)error_of_call), result == PTHREAD_CANCELED, cleaned);
  else
    say("%s %s: cancelled %d, handlers %d", points[which].name, mode_names[mode], result == PTHREAD_CANCELED, cleaned);
  if (closing >= 0) {
    say("still open: %d", fcntl(closing, F_GETFD) >= 0);
    close(closing);
    closing = -1;
  }
  if (has_other) {
    sem_post(&end_of_threads);
    join_thread(other);
    has_other = 0;
  }
  if (child > 0) {
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) == child) {
    }
    child = 0;
  }
  CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  if (old_queue >= 0) MUST(msgctl(old_queue, IPC_RMID, NULL) == 0);
  old_queue = -1;
  while (opened_count > 0) close(opened[--opened_count]);
  CHECK(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
}

int main(void) {
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  struct sigaction action = {.sa_handler = handler};
  MUST(fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0 && mkfifo("fifo", 0600) == 0);
  // A stream that a cancelled thread leaves is flushed when the process ends.
  MUST(sigaction(SIGUSR1, &action, NULL) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  MUST(sigemptyset(&none) == 0 && sigemptyset(&some) == 0 && sigaddset(&some, SIGUSR1) == 0);
  MUST(sem_init(&armed, 0, 0) == 0 && sem_init(&end_of_threads, 0, 0) == 0);
  MUST(mtx_init(&plain, mtx_plain) == thrd_success && cnd_init(&plain_condition) == thrd_success);
  snprintf(queue_name, sizeof queue_name, "/cancel.%d", getpid());
  hour = after_ms(CLOCK_REALTIME, 3600000);
  for (int which = 0; which < (int)(sizeof points / sizeof *points); which++)
    for (mode = 0; mode < kModes; mode++)
      if (mode == kPending || (mode == kWaits && points[which].kinds & kCanWait) ||
          (mode == kDisabled && !(points[which].kinds & kNeverReady)))
        call_it(which);
  return finish();
}
