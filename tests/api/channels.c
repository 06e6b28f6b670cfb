// SPDX-License-Identifier: Apache-2.0
// Channels and select: results, errors, the ends of their waits, order, and all kinds of callers.
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static co_chan_t* make(size_t capacity) {
  co_chan_t* chan = NULL;
  MUST(co_chan_create(&chan, sizeof(long), capacity) == 0);
  return chan;
}
static int send_value(co_chan_t* chan, long value) { return co_chan_send(chan, &value); }
static int trysend_value(co_chan_t* chan, long value) { return co_chan_trysend(chan, &value); }
// The value, or the error as a negative number.
static long receive(co_chan_t* chan) {
  long value = 0;
  int error = co_chan_recv(chan, &value);
  return error ? -error : value;
}
static long tryreceive(co_chan_t* chan) {
  long value = 0;
  int error = co_chan_tryrecv(chan, &value);
  return error ? -error : value;
}

static void results(void) {
  co_chan_t* chan = NULL;
  EQUAL(co_chan_create(NULL, 8, 1), EINVAL);
  EQUAL(co_chan_create(&chan, SIZE_MAX, 4), EINVAL);
  EQUAL(co_chan_create(&chan, (size_t)1 << 60, 1), ENOMEM);
  co_chan_destroy(NULL);
  EQUAL(send_value(NULL, 1), EINVAL);
  EQUAL(tryreceive(NULL), -EINVAL);
  EQUAL(co_chan_close(NULL), EINVAL);
  EQUAL(co_chan_length(NULL), 0);

  chan = make(2);
  EQUAL(tryreceive(chan), -EAGAIN);
  EQUAL(send_value(chan, 1), 0);
  EQUAL(trysend_value(chan, 2), 0);
  EQUAL(trysend_value(chan, 3), EAGAIN);
  EQUAL(co_chan_length(chan), 2);
  EQUAL(receive(chan), 1);
  EQUAL(send_value(chan, 3), 0);
  EQUAL(co_chan_close(chan), 0);
  EQUAL(co_chan_close(chan), EPIPE);
  EQUAL(send_value(chan, 4), EPIPE);
  EQUAL(trysend_value(chan, 4), EPIPE);
  EQUAL(receive(chan), 2);
  EQUAL(tryreceive(chan), 3);
  EQUAL(receive(chan), -EPIPE);
  EQUAL(tryreceive(chan), -EPIPE);
  EQUAL(co_chan_length(chan), 0);
  co_chan_destroy(chan);

  chan = make(0);
  EQUAL(trysend_value(chan, 1), EAGAIN);
  EQUAL(tryreceive(chan), -EAGAIN);
  EQUAL(co_chan_close(chan), 0);
  EQUAL(receive(chan), -EPIPE);
  EQUAL(send_value(chan, 1), EPIPE);
  co_chan_destroy(chan);

  chan = make(CO_UNBOUNDED);
  for (long i = 1; i <= 1000; i++) EQUAL(i % 2 ? send_value(chan, i) : trysend_value(chan, i), 0);
  for (long i = 1; i <= 500; i++) EQUAL(receive(chan), i);
  for (long i = 1001; i <= 3000; i++) EQUAL(send_value(chan, i), 0);
  EQUAL(co_chan_close(chan), 0);
  for (long i = 501; i <= 3000; i++) EQUAL(receive(chan), i);
  EQUAL(receive(chan), -EPIPE);
  co_chan_destroy(chan);

  // Values of no size: a count.
  MUST(co_chan_create(&chan, 0, 3) == 0);
  char nothing = 7;
  EQUAL(co_chan_send(chan, &nothing), 0);
  EQUAL(co_chan_recv(chan, &nothing), 0);
  EQUAL(nothing, 7);
  co_chan_destroy(chan);
}

static void* send_one(void* chan) { return (void*)(intptr_t)send_value(chan, 5); }
static void* receive_one(void* chan) { return (void*)(intptr_t)receive(chan); }
static int limited_send(void* chan) { return send_value(chan, 5); }
static int limited_receive(void* chan) { return (int)receive(chan); }

// Waits that nobody meets end, and leave nothing behind.
static void waits_end(void) {
  co_chan_t* chan = make(0);
  for (int early = 0; early < 2; early++) {
    co_t sends = begin(send_one, chan);
    if (!early) settle();
    EQUAL(co_cancel(sends), 0);
    EQUAL((intptr_t)end(sends), ECANCELED);
    EQUAL(tryreceive(chan), -EAGAIN);
    co_t receives = begin(receive_one, chan);
    if (!early) settle();
    EQUAL(co_cancel(receives), 0);
    EQUAL((intptr_t)end(receives), -ECANCELED);
    EQUAL(trysend_value(chan, 1), EAGAIN);
  }
  if (co_self()) {
    EQUAL(co_with_deadline(kMillisecond, limited_send, chan), ETIMEDOUT);
    EQUAL(co_with_deadline(kMillisecond, limited_receive, chan), -ETIMEDOUT);
  }
  co_t waits[6];
  for (int i = 0; i < 6; i++) waits[i] = begin(receive_one, chan);
  settle();
  EQUAL(co_chan_close(chan), 0);
  for (int i = 0; i < 6; i++) EQUAL((intptr_t)end(waits[i]), -EPIPE);
  co_chan_destroy(chan);
  chan = make(1);
  EQUAL(send_value(chan, 1), 0);
  for (int i = 0; i < 6; i++) waits[i] = begin(send_one, chan);
  settle();
  EQUAL(co_chan_close(chan), 0);
  for (int i = 0; i < 6; i++) EQUAL((intptr_t)end(waits[i]), EPIPE);
  EQUAL(receive(chan), 1);
  EQUAL(receive(chan), -EPIPE);
  co_chan_destroy(chan);
}

// Between all kinds, in order.
enum { kMany = 2000 };
static void* send_many(void* chan) {
  for (long i = 1; i <= kMany; i++) EQUAL(send_value(chan, i), 0);
  return NULL;
}
static void* send_many_pinned(void* chan) {
  pin_me();
  return send_many(chan);
}
static void in_order(void) {
  for (size_t capacity = 0; capacity < 9; capacity += 4) {
    co_chan_t* chan = make(capacity);
    pthread_t thread;
    for (int kind = 0; kind < 3; kind++) {
      co_t sends = 0;
      if (kind == 0) MUST(pthread_create(&thread, NULL, send_many, chan) == 0);
      if (kind) sends = begin(kind == 1 ? send_many : send_many_pinned, chan);
      for (long i = 1; i <= kMany; i++) EQUAL(receive(chan), i);
      if (kind == 0) MUST(pthread_join(thread, NULL) == 0);
      if (kind) end(sends);
    }
    co_chan_destroy(chan);
  }
}

static co_select_case_t sending(co_chan_t* chan, long* value) {
  return (co_select_case_t){.kind = CO_SELECT_SEND, .chan = chan, .value = value};
}
static co_select_case_t receiving(co_chan_t* chan, long* value) {
  return (co_select_case_t){.kind = CO_SELECT_RECV, .chan = chan, .value = value};
}
static co_select_case_t readable(int fd) { return (co_select_case_t){.kind = CO_SELECT_READ, .fd = fd}; }
static co_select_case_t writable(int fd) { return (co_select_case_t){.kind = CO_SELECT_WRITE, .fd = fd}; }
static co_select_case_t time_at(uint64_t time) { return (co_select_case_t){.kind = CO_SELECT_TIME, .time = time}; }

static void selects(void) {
  long out = 7, in = 0;
  size_t chosen = 99;
  int ends_of_pipe[2];
  MUST(pipe(ends_of_pipe) == 0);
  co_chan_t *chan = make(1), *other = make(0);
  co_select_case_t wrong = {.kind = 9};
  EQUAL(co_select(&wrong, 1, &chosen), EINVAL);
  EQUAL(co_tryselect(&wrong, 1, &chosen), EINVAL);
  EQUAL(co_tryselect(NULL, 0, &chosen), EAGAIN);

  co_select_case_t cases[] = {receiving(chan, &in), receiving(NULL, &in), sending(other, &out),
                              readable(ends_of_pipe[0]), time_at(UINT64_MAX)};
  EQUAL(co_tryselect(cases, 5, &chosen), EAGAIN);
  EQUAL(send_value(chan, 4), 0);
  EQUAL(co_tryselect(cases, 5, &chosen), 0);
  EQUAL(chosen, 0);
  EQUAL(in, 4);
  EQUAL(cases[0].error, 0);

  MUST(write(ends_of_pipe[1], "x", 1) == 1);
  EQUAL(co_select(cases, 5, &chosen), 0);
  EQUAL(chosen, 3);
  EQUAL(cases[3].error, 0);
  MUST(read(ends_of_pipe[0], &in, 1) == 1);

  co_t receives = begin(receive_one, other);
  EQUAL(co_select(cases, 5, &chosen), 0);
  EQUAL(chosen, 2);
  EQUAL((intptr_t)end(receives), 7);

  cases[4] = time_at(co_now() + kMillisecond);
  EQUAL(co_select(cases, 5, &chosen), 0);
  EQUAL(chosen, 4);
  EQUAL(co_tryselect(cases, 5, &chosen), 0);
  EQUAL(chosen, 4);
  cases[4] = time_at(UINT64_MAX);

  co_select_case_t write_case = writable(ends_of_pipe[1]);
  EQUAL(co_select(&write_case, 1, &chosen), 0);
  EQUAL(chosen, 0);

  EQUAL(co_chan_close(other), 0);
  EQUAL(co_select(cases, 5, &chosen), 0);
  EQUAL(chosen, 2);
  EQUAL(cases[2].error, EPIPE);
  cases[2] = receiving(other, &in);
  EQUAL(co_tryselect(cases, 5, &chosen), 0);
  EQUAL(chosen, 2);
  EQUAL(cases[2].error, EPIPE);

  co_select_case_t closed = readable(-1);
  EQUAL(co_select(&closed, 1, &chosen), 0);
  EQUAL(closed.error, EBADF);
  closed = readable(100000);
  EQUAL(co_select(&closed, 1, &chosen), 0);
  EQUAL(closed.error, EBADF);

  // More cases than there is room on the stack for.
  co_select_case_t many[100];
  for (int i = 0; i < 100; i++) many[i] = receiving(chan, &in);
  EQUAL(send_value(chan, 6), 0);
  EQUAL(co_select(many, 100, &chosen), 0);
  EQUAL(in, 6);
  for (int i = 0; i < 100; i++) many[i] = i % 2 ? receiving(chan, &in) : readable(ends_of_pipe[0]);
  co_t sends = begin(send_one, chan);
  EQUAL(co_select(many, 100, &chosen), 0);
  EQUAL(chosen % 2, 1);
  EQUAL(in, 5);
  end(sends);
  EQUAL(co_chan_length(chan), 0);

  close(ends_of_pipe[0]);
  close(ends_of_pipe[1]);
  co_chan_destroy(chan);
  co_chan_destroy(other);
}

// Of those that are ready none is passed over for ever.
static void select_takes_turns(void) {
  long in;
  size_t chosen;
  int seen[2] = {0, 0};
  co_chan_t* chan[2] = {make(CO_UNBOUNDED), make(CO_UNBOUNDED)};
  for (int i = 0; i < 100; i++) {
    EQUAL(send_value(chan[0], i), 0);
    EQUAL(send_value(chan[1], i), 0);
  }
  co_select_case_t cases[] = {receiving(chan[0], &in), receiving(chan[1], &in)};
  for (int i = 0; i < 100; i++) {
    EQUAL(co_select(cases, 2, &chosen), 0);
    seen[chosen]++;
  }
  CHECK(seen[0] > 10 && seen[1] > 10);
  co_chan_destroy(chan[0]);
  co_chan_destroy(chan[1]);
}

static void* select_both_ways(void* chan) {
  long out = 3, in = 0;
  size_t chosen = 9;
  co_select_case_t cases[] = {sending(chan, &out), receiving(chan, &in)};
  int error = co_select(cases, 2, &chosen);
  if (!error && chosen == 1) EQUAL(in, 3);
  return (void*)(intptr_t)(error ? -error : (int)chosen);
}
static int select_both_limited(void* chan) { return (int)(intptr_t)select_both_ways(chan); }
// Both directions of one channel: it does not meet itself, nor spin because it sees itself waiting.
static void select_both(void) {
  co_chan_t* chan = make(0);
  co_t one = begin(select_both_ways, chan), other = begin(select_both_ways, chan);
  EQUAL((intptr_t)end(one) + (intptr_t)end(other), 1);
  one = begin(select_both_ways, chan);
  settle();
  EQUAL(co_cancel(one), 0);
  EQUAL((intptr_t)end(one), -ECANCELED);
  if (co_self()) EQUAL(co_with_deadline(kMillisecond, select_both_limited, chan), -ETIMEDOUT);
  co_chan_destroy(chan);
}

static void* select_unready(void* chan) {
  long in;
  size_t chosen;
  int ends_of_pipe[2];
  MUST(pipe(ends_of_pipe) == 0);
  co_select_case_t cases[] = {receiving(chan, &in), readable(ends_of_pipe[0]), time_at(co_now() + kLong)};
  int error = co_select(cases, 3, &chosen);
  close(ends_of_pipe[0]);
  close(ends_of_pipe[1]);
  return (void*)(intptr_t)error;
}
static int select_unready_limited(void* chan) { return (int)(intptr_t)select_unready(chan); }
static void* select_unready_pinned(void* chan) {
  pin_me();
  return select_unready(chan);
}
static void select_ends(void) {
  co_chan_t* chan = make(0);
  for (int pinned = 0; pinned < 2; pinned++)
    for (int early = 0; early < 2; early++) {
      co_t waits = begin(pinned ? select_unready_pinned : select_unready, chan);
      if (!early) settle();
      EQUAL(co_cancel(waits), 0);
      EQUAL((intptr_t)end(waits), ECANCELED);
    }
  if (co_self()) EQUAL(co_with_deadline(kMillisecond, select_unready_limited, chan), ETIMEDOUT);
  EQUAL(trysend_value(chan, 1), EAGAIN);
  co_chan_destroy(chan);
}

static void select_files(void) {
  size_t chosen;
  int fd = open("/proc/self/exe", O_RDONLY);
  MUST(fd >= 0);
  // Always ready to poll(2).
  co_select_case_t one = readable(fd);
  EQUAL(co_select(&one, 1, &chosen), 0);
  close(fd);
}

int main(void) {
  anywhere(results);
  anywhere(waits_end);
  anywhere(in_order);
  anywhere(selects);
  anywhere(select_takes_turns);
  anywhere(select_both);
  anywhere(select_ends);
  anywhere(select_files);
  return finish();
}
