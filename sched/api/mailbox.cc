// SPDX-License-Identifier: Apache-2.0
// Mailboxes: bounded, and fair between senders. Room for all messages and for a queue of each sender is had when one is made.
#include "sched/api/mailbox.h"

#include <cstdlib>
#include <cstring>

#include "sched/clock.h"
#include "sched/sys.h"

namespace weft {

co_mailbox* mailboxes;

namespace {

Lock list_lock;  // guards the list of all

constexpr uint64_t kThreadSender = 1ull << 63;

uint64_t sender_of_caller() {
  if (const Coroutine* self = caller()) return handle_of(self);
  return kThreadSender | (uint64_t)sys::gettid();
}

// A sender's queue; an unused one joins the ring behind the one that has had its turn, so it is its turn last.
SenderQueue* queue_of(co_mailbox* mailbox, uint64_t sender) {
  SenderQueue* turn = mailbox->turn;
  for (SenderQueue* queue = turn; queue; queue = queue->next == turn ? nullptr : queue->next)
    if (queue->sender == sender) return queue;
  SenderQueue* fresh = mailbox->unused;
  mailbox->unused = fresh->next;
  fresh->sender = sender;
  fresh->head = fresh->tail = nullptr;
  if (!turn) {
    fresh->next = fresh;
  } else {
    fresh->next = turn->next;
    turn->next = fresh;
  }
  mailbox->turn = fresh;
  return fresh;
}

void append(co_mailbox* mailbox, uint64_t sender, const void* bytes) {
  Message* message = mailbox->blank;
  mailbox->blank = message->next;
  memcpy(message + 1, bytes, mailbox->message_size);
  message->next = nullptr;
  SenderQueue* queue = queue_of(mailbox, sender);
  (queue->tail ? queue->tail->next : queue->head) = message;
  queue->tail = message;
  mailbox->length++;
  if (mailbox->length > mailbox->highest) mailbox->highest = mailbox->length;
  if (mailbox->length == mailbox->capacity) mailbox->full_since = now_ns();
}

void take_next(co_mailbox* mailbox, void* bytes) {
  SenderQueue* before = mailbox->turn;
  SenderQueue* queue = before->next;
  Message* message = queue->head;
  memcpy(bytes, message + 1, mailbox->message_size);
  queue->head = message->next;
  message->next = mailbox->blank;
  mailbox->blank = message;
  if (queue->head) {
    mailbox->turn = queue;
  } else {
    before->next = queue->next;
    mailbox->turn = queue == before ? nullptr : before;
    queue->next = mailbox->unused;
    mailbox->unused = queue;
  }
  mailbox->length--;
  mailbox->received++;
  mailbox->full_since = 0;
}

struct SenderWait : HandoffWait {
  uint64_t sender;
};

int try_send(Held& held, co_mailbox* mailbox, const void* bytes) {
  if (mailbox->closed) return EPIPE;
  if (HandoffWait* receiver = held.take(mailbox->receivers)) {
    memcpy(receiver->value, bytes, mailbox->message_size);
    mailbox->received++;
    held.finish(receiver, Outcome::done);
    return 0;
  }
  if (mailbox->length == mailbox->capacity) return EAGAIN;
  append(mailbox, sender_of_caller(), bytes);
  return 0;
}

int try_receive(Held& held, co_mailbox* mailbox, void* bytes) {
  if (!mailbox->length) return mailbox->closed ? EPIPE : EAGAIN;
  const uint64_t full_since = mailbox->full_since;
  take_next(mailbox, bytes);
  if (HandoffWait* sender = held.take(mailbox->senders)) {
    append(mailbox, ((SenderWait*)sender)->sender, sender->value);
    mailbox->full_since = full_since;  // nobody else could have sent meanwhile
    held.finish(sender, Outcome::done);
  }
  return 0;
}

int send(co_mailbox* mailbox, const void* bytes, bool waits) {
  if (!mailbox) return EINVAL;
  if (waits) take_turn();
  Held held(mailbox->lock);
  bool counted = false;
  for (;;) {
    int error = try_send(held, mailbox, bytes);
    if (error != EAGAIN) return error;
    if (!waits) {
      mailbox->refused++;
      return EAGAIN;
    }
    if (!counted) mailbox->waits++;
    counted = true;
    SenderWait wait = {{.node = {}, .value = (void*)bytes}, sender_of_caller()};
    error = held.await(mailbox->senders, &wait, WaitKind::mailbox_send, mailbox);
    if (error != EAGAIN) return error;
  }
}

int receive(co_mailbox* mailbox, void* bytes, bool waits) {
  if (!mailbox) return EINVAL;
  if (waits) take_turn();
  Held held(mailbox->lock);
  for (;;) {
    int error = try_receive(held, mailbox, bytes);
    if (error != EAGAIN || !waits) return error;
    HandoffWait wait = {.node = {}, .value = bytes};
    error = held.await(mailbox->receivers, &wait, WaitKind::mailbox_receive, mailbox);
    if (error != EAGAIN) return error;
  }
}

}  // namespace

void mailboxes_reset() { list_lock.reset(); }

}  // namespace weft

using namespace weft;

WEFT_API int co_mailbox_create(co_mailbox_t** out, size_t message_size, size_t capacity, const char* name) {
  constexpr size_t kAligned = alignof(Message);
  size_t each, bytes;
  if (!out || !capacity || __builtin_add_overflow(message_size, sizeof(Message) + kAligned - 1, &each)) return EINVAL;
  each = each / kAligned * kAligned;
  if (__builtin_mul_overflow(capacity, each + sizeof(SenderQueue), &bytes) ||
      __builtin_add_overflow(bytes, sizeof(co_mailbox), &bytes))
    return EINVAL;
  auto* mailbox = (co_mailbox*)calloc(1, bytes);
  if (!mailbox) return ENOMEM;
  mailbox->message_size = message_size;
  mailbox->capacity = capacity;
  if (name) memcpy(mailbox->name, name, strnlen(name, sizeof mailbox->name - 1));
  char* at = (char*)(mailbox + 1);
  for (size_t i = 0; i < capacity; i++, at += sizeof(SenderQueue)) {
    auto* queue = (SenderQueue*)at;
    queue->next = mailbox->unused;
    mailbox->unused = queue;
  }
  for (size_t i = 0; i < capacity; i++, at += each) {
    auto* message = (Message*)at;
    message->next = mailbox->blank;
    mailbox->blank = message;
  }
  Held held(list_lock);
  mailbox->next = mailboxes;
  if (mailboxes) mailboxes->previous = mailbox;
  mailboxes = mailbox;
  *out = mailbox;
  return 0;
}

WEFT_API void co_mailbox_destroy(co_mailbox_t* mailbox) {
  if (!mailbox) return;
  {
    Held held(list_lock);
    (mailbox->previous ? mailbox->previous->next : mailboxes) = mailbox->next;
    if (mailbox->next) mailbox->next->previous = mailbox->previous;
  }
  free(mailbox);
}

WEFT_API int co_mailbox_send(co_mailbox_t* mailbox, const void* message) { return send(mailbox, message, true); }
WEFT_API int co_mailbox_trysend(co_mailbox_t* mailbox, const void* message) { return send(mailbox, message, false); }
WEFT_API int co_mailbox_recv(co_mailbox_t* mailbox, void* message) { return receive(mailbox, message, true); }
WEFT_API int co_mailbox_tryrecv(co_mailbox_t* mailbox, void* message) { return receive(mailbox, message, false); }

WEFT_API int co_mailbox_close(co_mailbox_t* mailbox) {
  if (!mailbox) return EINVAL;
  Held held(mailbox->lock);
  if (mailbox->closed) return EPIPE;
  mailbox->closed = true;
  held.finish_all(mailbox->senders);
  held.finish_all(mailbox->receivers);
  return 0;
}

WEFT_API int co_mailbox_get_stats(co_mailbox_t* mailbox, co_mailbox_stats_t* stats) {
  if (!mailbox) return EINVAL;
  Held held(mailbox->lock);
  *stats = {.received = mailbox->received,
            .refused = mailbox->refused,
            .waits = mailbox->waits,
            .full_since = mailbox->full_since,
            .length = mailbox->length,
            .highest = mailbox->highest,
            .capacity = mailbox->capacity};
  return 0;
}
