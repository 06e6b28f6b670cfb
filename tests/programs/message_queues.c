// SPDX-License-Identifier: Apache-2.0
// POSIX and System V message queues and System V semaphores: threads that wait inside these calls, beside others that
// go on.
#include "check.h"

#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

static sem_t about_to_wait;
static mqd_t queue;
static int v_queue, v_semaphores;

struct letter {
  long type;
  char text[16];
};

static void* receiver(void* argument) {
  char buffer[32];
  unsigned priority = 0;
  struct timespec limit = after_ms(CLOCK_REALTIME, 20000);
  sem_post(&about_to_wait);
  ssize_t got = as_long(argument) ? mq_timedreceive(queue, buffer, sizeof buffer, &priority, &limit)
                                  : mq_receive(queue, buffer, sizeof buffer, &priority);
  return as_pointer(got * 100 + (long)priority);
}

static void* sender(void* argument) {
  struct timespec limit = after_ms(CLOCK_REALTIME, 20000);
  sem_post(&about_to_wait);
  return as_pointer(as_long(argument) ? mq_timedsend(queue, "late", 4, 2, &limit) : mq_send(queue, "late", 4, 2));
}

static pthread_t waiting(thread_start start, long argument) {
  pthread_t thread = start_thread(start, as_pointer(argument));
  sem_wait(&about_to_wait);
  settle();
  return thread;
}

static void posix_queue(void) {
  char name[64], buffer[32];
  struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};
  snprintf(name, sizeof name, "/weft-test-%d", (int)getpid());
  queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  MUST(queue != (mqd_t)-1);
  mq_unlink(name);
  for (long timed = 0; timed < 2; timed++) {
    pthread_t thread = waiting(receiver, timed);
    SHOW(mq_send(queue, "hello", 5, 7));
    say("received %ld", as_long(join_thread(thread)));
    SHOW(mq_send(queue, "1", 1, 1));
    SHOW(mq_send(queue, "22", 2, 1));
    thread = waiting(sender, timed);
    SHOW(mq_receive(queue, buffer, sizeof buffer, NULL));
    say("sent %ld", as_long(join_thread(thread)));
    SHOW(mq_receive(queue, buffer, sizeof buffer, NULL));
    SHOW(mq_receive(queue, buffer, sizeof buffer, NULL));
  }
  struct timespec limit = after_ms(CLOCK_REALTIME, 30);
  SHOW(mq_timedreceive(queue, buffer, sizeof buffer, NULL, &limit));
  SHOW(mq_send(queue, "1", 1, 1));
  SHOW(mq_send(queue, "1", 1, 1));
  limit = after_ms(CLOCK_REALTIME, 30);
  SHOW(mq_timedsend(queue, "1", 1, 1, &limit));
  mq_close(queue);
}

static void* v_receiver(void* unused) {
  struct letter letter;
  sem_post(&about_to_wait);
  return as_pointer(msgrcv(v_queue, &letter, sizeof letter.text, 3, 0));
}

static void* v_sender(void* unused) {
  static struct {
    long type;
    char text[4000];
  } large = {3, {0}};
  long sent = 0;
  sem_post(&about_to_wait);
  for (int i = 0; i < 8; i++) sent += msgsnd(v_queue, &large, sizeof large.text, 0) == 0;
  return as_pointer(sent);
}

static void v_messages(void) {
  struct letter letter = {2, "second"};
  static struct {
    long type;
    char text[4000];
  } large;
  v_queue = msgget(IPC_PRIVATE, 0600 | IPC_CREAT);
  MUST(v_queue >= 0);
  SHOW(msgrcv(v_queue, &letter, sizeof letter.text, 0, IPC_NOWAIT));
  pthread_t thread = waiting(v_receiver, 0);
  SHOW(msgsnd(v_queue, &letter, 6, 0));
  letter.type = 3;
  SHOW(msgsnd(v_queue, &letter, 4, 0));
  say("msgrcv of type 3: %ld", as_long(join_thread(thread)));
  SHOW(msgrcv(v_queue, &letter, sizeof letter.text, 0, 0));
  // Twice as much as a queue holds.
  thread = waiting(v_sender, 0);
  long got = 0;
  for (int i = 0; i < 8; i++) got += msgrcv(v_queue, &large, sizeof large.text, 0, 0);
  say("msgsnd %ld, received %ld", as_long(join_thread(thread)), got);
  msgctl(v_queue, IPC_RMID, NULL);
}

static void* semaphore_waiter(void* argument) {
  struct sembuf down = {0, -1, 0};
  struct timespec limit = {20, 0};
  sem_post(&about_to_wait);
  return as_pointer(as_long(argument) ? semtimedop(v_semaphores, &down, 1, &limit) : semop(v_semaphores, &down, 1));
}

static void v_semaphore(void) {
  v_semaphores = semget(IPC_PRIVATE, 1, 0600 | IPC_CREAT);
  MUST(v_semaphores >= 0);
  struct sembuf up = {0, 2, 0}, down = {0, -1, IPC_NOWAIT};
  SHOW(semop(v_semaphores, &down, 1));
  pthread_t first = waiting(semaphore_waiter, 0), second = waiting(semaphore_waiter, 1);
  SHOW(semop(v_semaphores, &up, 1));
  say("semop %ld, semtimedop %ld", as_long(join_thread(first)), as_long(join_thread(second)));
  struct timespec limit = {0, 20000000};
  down.sem_flg = 0;
  SHOW(semtimedop(v_semaphores, &down, 1, &limit));
  semctl(v_semaphores, 0, IPC_RMID);
}

static void* all(void* unused) {
  posix_queue();
  v_messages();
  v_semaphore();
  return unused;
}

int main(void) {
  sem_init(&about_to_wait, 0, 0);
  in_thread(all, NULL);
  return finish();
}
