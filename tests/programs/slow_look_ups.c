// SPDX-License-Identifier: Apache-2.0
// A thread asks for files on a slow file system, again and again, and each time that answers only when another thread, ready all the
// while, has had its turn. The file system is a process that this one starts (FUSE); without FUSE there are just the turns.
#include "check.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { kTurns = 300, kRoot = FUSE_ROOT_ID, kFirstFile = 2 };

static int fuse;
static int turns[2];  // a pipe: a byte for each turn that was had

static void answer(const struct fuse_in_header* to, int error, const void* data, size_t size) {
  char message[sizeof(struct fuse_out_header) + 256];
  struct fuse_out_header header = {(unsigned)(sizeof header + size), -error, to->unique};
  memcpy(message, &header, sizeof header);
  memcpy(message + sizeof header, data, size);
  if (write(fuse, message, header.len) < 0 && errno != ENOENT) _exit(1);
}

static struct fuse_attr attributes(uint64_t node) {
  struct fuse_attr is = {.ino = node, .nlink = 1, .blksize = 4096};
  is.mode = node == kRoot ? S_IFDIR | 0755 : S_IFREG | 0644;
  is.size = node;
  return is;
}

static void serve(const struct fuse_in_header* asked) {
  const char* body = (const char*)(asked + 1);
  char turn;
  switch (asked->opcode) {
    case FUSE_INIT: {
      struct fuse_init_out is = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
      answer(asked, 0, &is, sizeof is);
      break;
    }
    case FUSE_LOOKUP: {  // the slow one; what is found stays in memory
      if (read(turns[0], &turn, 1) != 1) _exit(0);
      struct fuse_entry_out is = {.nodeid = kFirstFile + strtoul(body, NULL, 10), .entry_valid = 1000, .attr_valid = 1000};
      is.attr = attributes(is.nodeid);
      answer(asked, 0, &is, sizeof is);
      break;
    }
    case FUSE_GETATTR: {
      struct fuse_attr_out is = {.attr_valid = 1000, .attr = attributes(asked->nodeid)};
      answer(asked, 0, &is, sizeof is);
      break;
    }
    case FUSE_OPEN: {
      struct fuse_open_out is = {.fh = 1};
      answer(asked, 0, &is, sizeof is);
      break;
    }
    case FUSE_RELEASE: answer(asked, 0, "", 0); break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET: break;
    default: answer(asked, ENOSYS, "", 0);
  }
}

// Until the other process has gone, whatever became of it.
static void file_system(const char* directory) {
  static char message[1 << 16] __attribute__((aligned(8)));
  struct pollfd fds[2] = {{.fd = fuse, .events = POLLIN}, {.fd = turns[0], .events = 0}};
  while (poll(fds, 2, -1) > 0 && !(fds[1].revents & POLLHUP) && !(fds[0].revents & POLLERR))
    if (read(fuse, message, sizeof message) > 0) serve((const struct fuse_in_header*)message);
  umount2(directory, MNT_DETACH);
  _exit(0);
}

static pid_t start_file_system(void) {
  char options[100];
  MUST(mkdir("slow", 0700) == 0 && pipe(turns) == 0);
  fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
  if (fuse < 0 || mount("slow", "slow", "fuse", 0, options) != 0) return -1;
  char* directory = realpath("slow", NULL);
  pid_t server = fork();
  MUST(server >= 0);
  if (server == 0) {
    close(turns[1]);
    file_system(directory);
  }
  close(fuse);
  free(directory);
  return server;
}

static sem_t asked;
static int answers;

static void* takes_turns(void* unused) {
  for (int turn = 0; turn < kTurns; turn++) {
    sem_wait(&asked);
    CHECK(write(turns[1], "t", 1) == 1);
  }
  return unused;
}

static void* asks(void* unused) {
  char path[32];
  struct stat status;
  for (int turn = 0; turn < kTurns; turn++) {
    snprintf(path, sizeof path, "slow/%d", turn);
    sem_post(&asked);
    if (!answers) continue;
    if (turn % 3) {
      int fd = open(path, turn % 3 == 1 ? O_RDONLY : O_RDWR | O_CREAT, 0600);
      CHECK(fd >= 0 && fstat(fd, &status) == 0 && close(fd) == 0);
    } else {
      CHECK(stat(path, &status) == 0);
    }
    CHECK(status.st_size == kFirstFile + turn);
  }
  return unused;
}

int main(void) {
  pid_t server = start_file_system();
  answers = server > 0;
  sem_init(&asked, 0, 0);
  pthread_t other = start_thread(takes_turns, NULL);
  in_thread(asks, NULL);
  join_thread(other);
  if (server > 0) {
    MUST(umount2("slow", MNT_DETACH) == 0);
    close(turns[1]);
    CHECK(waitpid(server, NULL, 0) == server);
  }
  return finish();
}
