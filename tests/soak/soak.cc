// SPDX-License-Identifier: Apache-2.0
// A program under mixed load for as long as it is told: connections that come and go, clients killed in the midst of an exchange,
// forks, signals, cancellations, timers, locks, joins, and threads made and ended by the thousand. Knows nothing of weft.
//
//   load      threads that repeat one kind of work in rounds; between rounds they wait while `quiet` is wanted
//   quiet     no round is under way, every client is gone and every connection's thread has ended: then it is measured what the
//             process holds, first after the warm-up and again at the end
//   left      threads that wait for ever and are still there when main ends
//
// It prints what it measured and did; ../soak/run.py judges that. It fails by itself where an answer was wrong.
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <arpa/inet.h>
#include <atomic>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;

namespace {

constexpr int kClients = 6, kConnections = 8, kLeft = 10, kBatch = 50;

std::atomic<long> wrong, created, cancelled, cleaned, signalled, forks, killed, served, exchanged, timed_out;
std::atomic<int> connections, rounds_going;
std::atomic<bool> quiet, over;
pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
int port;

#define EXPECT(condition)                                                                                \
  do {                                                                                                   \
    if (!(condition)) {                                                                                  \
      fprintf(stderr, "line %d: not so: %s (errno %s)\n", __LINE__, #condition, strerrorname_np(errno)); \
      wrong++;                                                                                           \
    }                                                                                                    \
  } while (0)
#define MUST(condition)                                                                                   \
  do {                                                                                                    \
    if (!(condition)) {                                                                                   \
      fprintf(stderr, "line %d: gave up: %s (errno %s)\n", __LINE__, #condition, strerrorname_np(errno)); \
      _exit(121);                                                                                         \
    }                                                                                                     \
  } while (0)

// Each thread of the load has numbers of its own.
struct Random {
  uint64_t state;
  unsigned below(unsigned bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % bound;
  }
};

timespec in_microseconds(clockid_t clock, long microseconds) {
  timespec at;
  clock_gettime(clock, &at);
  at.tv_sec += microseconds / 1000000;
  at.tv_nsec += microseconds % 1000000 * 1000;
  if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
  return at;
}

void rest(long microseconds) {
  timespec time = {0, microseconds * 1000};
  nanosleep(&time, nullptr);
}

pthread_t start(void* (*function)(void*), void* argument, bool detached = false) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 << 10);
  if (detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  MUST(pthread_create(&thread, &attributes, function, argument) == 0);
  pthread_attr_destroy(&attributes);
  created++;
  return thread;
}

// ---- the server, and the clients: processes of their own

void* serve(void* argument) {
  int fd = (int)(intptr_t)argument;
  char buffer[4096];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got <= 0) break;  // a killed client's connection ends by a reset
    ssize_t put = send(fd, buffer, (size_t)got, MSG_NOSIGNAL);
    if (put < 0) break;
    EXPECT(put == got);
    exchanged++;
  }
  close(fd);
  served++;
  connections--;
  return nullptr;
}

void* accept_all(void* argument) {
  int listener = (int)(intptr_t)argument;
  for (;;) {
    int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) {
      EXPECT(errno == EINTR || errno == ECONNABORTED);
      continue;
    }
    connections++;
    start(serve, (void*)(intptr_t)fd, true);
  }
}

// In a process that gets killed, or ends with 0 where every byte came back right.
int client(int to, unsigned seed) {
  Random random = {seed * 7919u + 1};
  for (;;) {
    int fds[kConnections];
    for (int& fd : fds) {
      sockaddr_in address = {};
      address.sin_family = AF_INET;
      address.sin_port = htons((uint16_t)to);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (fd < 0 || connect(fd, (sockaddr*)&address, sizeof address)) return 3;
    }
    for (int i = 0; i < 40; i++) {
      int fd = fds[random.below(kConnections)];
      unsigned char out[2000], back[2000];
      unsigned size = 1 + random.below(sizeof out);
      for (unsigned k = 0; k < size; k++) out[k] = (unsigned char)random.below(256);
      if (send(fd, out, size, MSG_NOSIGNAL) != (ssize_t)size) return 4;
      if (recv(fd, back, size, MSG_WAITALL) != (ssize_t)size) return 5;
      if (memcmp(out, back, size)) return 6;
    }
    for (int fd : fds) {
      linger at_once = {1, 0};
      if (random.below(3) == 0) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      close(fd);
    }
    if (random.below(4) == 0) return 0;
  }
}

// ---- rounds of load

void batch_of_threads(Random& random) {
  auto nothing = [](void* argument) -> void* { return argument; };
  auto yields = [](void* argument) -> void* {
    sched_yield();
    return argument;
  };
  auto posts = [](void* argument) -> void* {
    sem_post((sem_t*)argument);
    return nullptr;
  };
  pthread_t threads[kBatch];
  for (int i = 0; i < kBatch; i++) threads[i] = start(random.below(2) ? +nothing : +yields, (void*)(intptr_t)i);
  for (int i = 0; i < kBatch; i++) {
    void* result;
    timespec until = in_microseconds(CLOCK_REALTIME, 60000000);
    int error = random.below(2) ? pthread_join(threads[i], &result) : pthread_timedjoin_np(threads[i], &result, &until);
    EXPECT(error == 0 && (intptr_t)result == i);
  }
  sem_t ended;
  sem_init(&ended, 0, 0);
  for (int i = 0; i < kBatch; i++) start(posts, &ended, true);
  for (int i = 0; i < kBatch; i++)
    while (sem_wait(&ended)) EXPECT(errno == EINTR);
  sem_destroy(&ended);
}

void locks(Random& random) {
  struct Shared {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
    pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
    pthread_barrier_t barrier;
    int turn = 0, total = 0, written = 0;
  } shared;
  constexpr int kPlayers = 4, kTurns = 20;
  pthread_barrier_init(&shared.barrier, nullptr, kPlayers);
  struct Player {
    Shared* shared;
    int number;
  } players[kPlayers];
  auto plays = [](void* argument) -> void* {
    auto* player = (Player*)argument;
    Shared* s = player->shared;
    pthread_barrier_wait(&s->barrier);
    for (int i = 0; i < kTurns; i++) {
      pthread_mutex_lock(&s->mutex);
      while (s->turn != player->number) pthread_cond_wait(&s->changed, &s->mutex);
      s->turn = (s->turn + 1) % kPlayers;
      s->total++;
      pthread_cond_broadcast(&s->changed);
      pthread_mutex_unlock(&s->mutex);
      if (i % 4 == player->number) {
        pthread_rwlock_wrlock(&s->rwlock);
        s->written++;
        pthread_rwlock_unlock(&s->rwlock);
      } else {
        pthread_rwlock_rdlock(&s->rwlock);
        EXPECT(s->written >= 0);
        pthread_rwlock_unlock(&s->rwlock);
      }
    }
    return nullptr;
  };
  pthread_t threads[kPlayers];
  for (int i = 0; i < kPlayers; i++) {
    players[i] = {&shared, i};
    threads[i] = start(plays, &players[i]);
  }
  for (pthread_t thread : threads) EXPECT(pthread_join(thread, nullptr) == 0);
  EXPECT(shared.total == kPlayers * kTurns && shared.written == kTurns);
  pthread_barrier_destroy(&shared.barrier);
  (void)random;
}

void timers(Random& random) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  sem_t empty;
  sem_init(&empty, 0, 0);
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < 5; i++) {
    timespec until = in_microseconds(CLOCK_REALTIME, random.below(2000));
    int error = pthread_cond_timedwait(&never, &mutex, &until);
    EXPECT(error == ETIMEDOUT || error == 0);
    until = in_microseconds(CLOCK_REALTIME, random.below(2000));
    EXPECT(sem_timedwait(&empty, &until) == -1 && (errno == ETIMEDOUT || errno == EINTR));
    rest(random.below(2000));
    int ends[2];
    MUST(pipe2(ends, O_CLOEXEC) == 0);
    pollfd look = {ends[0], POLLIN, 0};
    int found = poll(&look, 1, 1);
    EXPECT(found == 0 || (found < 0 && errno == EINTR));
    close(ends[0]);
    close(ends[1]);
    timed_out++;
  }
  pthread_mutex_unlock(&mutex);
  sem_destroy(&empty);
}

void cancellations(Random& random) {
  struct Subject {
    int kind;
    int ends[2];
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
  } subject;
  subject.kind = (int)random.below(4);
  MUST(pipe2(subject.ends, O_CLOEXEC) == 0);
  auto waits = [](void* argument) -> void* {
    auto* s = (Subject*)argument;
    pthread_cleanup_push([](void*) { cleaned++; }, nullptr);
    char byte;
    if (s->kind == 0) (void)!read(s->ends[0], &byte, 1);
    if (s->kind == 1) rest(900000);
    if (s->kind == 2) {
      pthread_mutex_lock(&s->mutex);
      pthread_cleanup_push([](void* mutex) { pthread_mutex_unlock((pthread_mutex_t*)mutex); }, &s->mutex);
      for (;;) pthread_cond_wait(&s->never, &s->mutex);
      pthread_cleanup_pop(1);
    }
    for (;;) pause();
    pthread_cleanup_pop(0);
    return nullptr;
  };
  pthread_t thread = start(waits, &subject);
  if (random.below(2)) rest(random.below(300));
  EXPECT(pthread_cancel(thread) == 0);
  void* result = nullptr;
  EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  cancelled++;
  // One that is cancelled before its first step has pushed no handler.
  close(subject.ends[0]);
  close(subject.ends[1]);
}

std::atomic<long> handled;
void handler(int) { handled++; }

void signals(Random& random) {
  struct Subject {
    std::atomic<bool> ready{false}, enough{false};
  } subject;
  auto naps = [](void* argument) -> void* {
    auto* s = (Subject*)argument;
    s->ready = true;
    while (!s->enough) rest(100);
    return nullptr;
  };
  pthread_t thread = start(naps, &subject);
  while (!subject.ready) sched_yield();
  long before = handled;
  int sent = 1 + (int)random.below(5);
  for (int i = 0; i < sent; i++) {
    EXPECT(pthread_kill(thread, random.below(2) ? SIGUSR1 : SIGUSR2) == 0);
    if (random.below(2)) rest(random.below(200));
  }
  while (handled == before) sched_yield();
  subject.enough = true;
  EXPECT(pthread_join(thread, nullptr) == 0);
  signalled += sent;
}

void fork_round(Random& random) {
  if (random.below(4) == 0) {
    char name[] = "true";
    char* argv[] = {name, nullptr};
    pid_t pid;
    MUST(posix_spawn(&pid, "/bin/true", nullptr, nullptr, argv, environ) == 0);
    int status = -1;
    while (waitpid(pid, &status, 0) < 0) MUST(errno == EINTR);
    EXPECT(status == 0);
    forks++;
    return;
  }
  pid_t pid = fork();
  MUST(pid >= 0);
  if (pid == 0) {
    // What a child may do that has threads of its own.
    pthread_t thread;
    void* result = nullptr;
    auto answers = [](void* argument) -> void* {
      rest(100);
      return argument;
    };
    if (pthread_create(&thread, nullptr, answers, (void*)7)) _exit(2);
    if (pthread_join(thread, &result) || result != (void*)7) _exit(3);
    _exit(0);
  }
  int status = -1;
  while (waitpid(pid, &status, 0) < 0) MUST(errno == EINTR);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  forks++;
}

void clients(Random& random) {
  char number[16], seed[16], role[] = "client";
  pid_t pids[kClients];
  char self[PATH_MAX] = {};
  MUST(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  snprintf(number, sizeof number, "%d", port);
  for (pid_t& pid : pids) {
    snprintf(seed, sizeof seed, "%u", random.below(1u << 30));
    char* argv[] = {self, role, number, seed, nullptr};
    MUST(posix_spawn(&pid, self, nullptr, nullptr, argv, environ) == 0);
  }
  for (pid_t pid : pids) {
    if (random.below(2)) {
      rest(random.below(20000));
      kill(pid, SIGKILL);
      killed++;
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0) MUST(errno == EINTR);
    EXPECT((WIFEXITED(status) && WEXITSTATUS(status) == 0) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  }
}

// ---- rounds and quiet

struct Load {
  void (*round)(Random&);
  int threads;
};
constexpr Load kLoads[] = {{batch_of_threads, 2}, {locks, 2},      {timers, 6}, {cancellations, 3},
                           {signals, 2},          {fork_round, 1}, {clients, 2}};

void* loop(void* argument) {
  auto* load = (const Load*)argument;
  static std::atomic<uint64_t> number{1};
  Random random = {number++ * 1000003};
  while (!over) {
    pthread_mutex_lock(&gate);
    while (quiet && !over) pthread_cond_wait(&gate_changed, &gate);
    rounds_going++;
    pthread_mutex_unlock(&gate);
    if (!over) load->round(random);
    rounds_going--;
  }
  return nullptr;
}

int entries(const char* path) {
  DIR* directory = opendir(path);
  MUST(directory);
  int count = -1;  // its own descriptor, where it is counted
  while (dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

int mappings() {
  FILE* file = fopen("/proc/self/maps", "r");
  MUST(file);
  int lines = 0;
  for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
  fclose(file);
  return lines;
}

long resident_kb() {
  FILE* file = fopen("/proc/self/status", "r");
  MUST(file);
  char line[256];
  long kb = -1;
  while (fgets(line, sizeof line, file)) (void)!sscanf(line, "VmRSS: %ld", &kb);
  fclose(file);
  return kb;
}

void measure(const char* when) {
  pthread_mutex_lock(&gate);
  quiet = true;
  pthread_mutex_unlock(&gate);
  while (rounds_going || connections) rest(10000);
  // Memory that nobody needs any more is given back by and by: the least of some seconds counts.
  long least = LONG_MAX;
  for (int i = 0; i < 40; i++) {
    rest(100000);
    long now = resident_kb();
    if (now < least) least = now;
  }
  printf("%s descriptors %d mappings %d resident_kb %ld tasks %d\n", when, entries("/proc/self/fd"), mappings(), least,
         entries("/proc/self/task") + 1);
  fflush(stdout);
  if (over) return;
  pthread_mutex_lock(&gate);
  quiet = false;
  pthread_cond_broadcast(&gate_changed);
  pthread_mutex_unlock(&gate);
}

void listen_on_some_port() {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  MUST(listener >= 0 && bind(listener, (sockaddr*)&address, sizeof address) == 0 && listen(listener, 200) == 0);
  MUST(getsockname(listener, (sockaddr*)&address, &length) == 0);
  port = ntohs(address.sin_port);
  start(accept_all, (void*)(intptr_t)listener, true);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && !strcmp(argv[1], "client")) return client(atoi(argv[2]), (unsigned)atoi(argv[3]));
  if (argc != 2 || atoi(argv[1]) < 8) {
    fprintf(stderr, "usage: soak SECONDS (8 or more)\n");
    return 2;
  }
  long seconds = atoi(argv[1]);
  struct sigaction action = {};
  action.sa_handler = handler;
  sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR2, &action, nullptr);
  listen_on_some_port();
  static pthread_mutex_t locked_for_ever = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&locked_for_ever);
  for (int i = 1; i < kLeft; i++)  // the one that accepts is the tenth
    start(
        [](void* mutex) -> void* {
          pthread_mutex_lock((pthread_mutex_t*)mutex);
          return nullptr;
        },
        &locked_for_ever, true);
  pthread_t loads[32];
  int load_count = 0;
  for (const Load& load : kLoads)
    for (int i = 0; i < load.threads; i++) loads[load_count++] = start(loop, (void*)&load);
  rest(0);
  timespec warm = {seconds / 4, 0}, end = {seconds - seconds / 4, 0};
  nanosleep(&warm, nullptr);
  measure("warm");
  nanosleep(&end, nullptr);
  over = true;
  measure("end");
  pthread_mutex_lock(&gate);
  pthread_cond_broadcast(&gate_changed);
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < load_count; i++) EXPECT(pthread_join(loads[i], nullptr) == 0);
  EXPECT(cleaned <= cancelled && cancelled > 0);
  printf(
      "did created %ld cancelled %ld cleaned %ld signalled %ld handled %ld forks %ld killed %ld served %ld exchanged "
      "%ld "
      "timed_out %ld left %d wrong %ld\n",
      created.load(), cancelled.load(), cleaned.load(), signalled.load(), handled.load(), forks.load(), killed.load(),
      served.load(), exchanged.load(), timed_out.load(), kLeft, wrong.load());
  return wrong ? 1 : 0;
}
