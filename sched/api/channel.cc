// SPDX-License-Identifier: Apache-2.0
// Channels: a value goes to a receiver that waits, else into the ring, else its sender waits with it.
#include "sched/api/channel.h"

#include <cstdlib>
#include <cstring>

namespace weft {

namespace {

char* place(co_chan* chan, size_t index) {
  size_t at = chan->first + index;
  return chan->values + (at < chan->room ? at : at - chan->room) * chan->value_size;
}

// Most values are a word: a pointer, a number.
void copy_value(const co_chan* chan, void* to, const void* from) {
  if (chan->value_size == sizeof(uint64_t))
    memcpy(to, from, sizeof(uint64_t));
  else
    memcpy(to, from, chan->value_size);
}

void append(co_chan* chan, const void* value) {
  copy_value(chan, place(chan, chan->length), value);
  chan->length++;
}

constexpr size_t kFirstRoom = 16;

// Makes the ring of an unbounded channel longer. The memory is had outside the lock: an allocator may wait.
[[gnu::noinline]] int grow(Held& held, co_chan* chan) {
  size_t old_room = chan->room, new_room = old_room ? old_room * 2 : kFirstRoom, bytes;
  if (__builtin_mul_overflow(new_room, chan->value_size, &bytes)) return ENOMEM;
  char* longer = nullptr;
  char* unused = nullptr;
  held.without([&] { longer = (char*)malloc(bytes ? bytes : 1); });
  if (!longer) return ENOMEM;
  if (chan->room == old_room) {
    for (size_t i = 0; i < chan->length; i++) memcpy(longer + i * chan->value_size, place(chan, i), chan->value_size);
    unused = chan->values;
    chan->values = longer;
    chan->room = new_room;
    chan->first = 0;
  } else {
    unused = longer;
  }
  held.without([&] { free(unused); });
  return 0;
}

[[gnu::always_inline]] inline int try_send(Held& held, co_chan* chan, const void* value) {
  if (chan->closed) return EPIPE;
  if (HandoffWait* receiver = held.take(chan->receivers)) {
    copy_value(chan, receiver->value, value);
    held.finish(receiver, Outcome::done);
    return 0;
  }
  if (chan->length < chan->room) {
    append(chan, value);
    return 0;
  }
  return chan->capacity == CO_UNBOUNDED ? ENOMEM : EAGAIN;
}

[[gnu::always_inline]] inline int try_receive(Held& held, co_chan* chan, void* value) {
  if (chan->length) {
    copy_value(chan, value, place(chan, 0));
    chan->first = chan->first + 1 == chan->room ? 0 : chan->first + 1;
    chan->length--;
    if (HandoffWait* sender = held.take(chan->senders)) {
      append(chan, sender->value);
      held.finish(sender, Outcome::done);
    }
    return 0;
  }
  if (HandoffWait* sender = held.take(chan->senders)) {
    copy_value(chan, value, sender->value);
    held.finish(sender, Outcome::done);
    return 0;
  }
  return chan->closed ? EPIPE : EAGAIN;
}

int send(co_chan* chan, const void* value, bool waits) {
  if (!chan) return EINVAL;
  if (waits) take_turn();
  Held held(chan->lock);
  for (;;) {
    int error = try_send(held, chan, value);
    if (error == ENOMEM && !(error = grow(held, chan))) continue;
    if (error != EAGAIN || !waits) return error;
    HandoffWait wait = {.node = {}, .value = (void*)value};
    error = held.await(chan->senders, &wait, WaitKind::channel_send, chan);
    if (error != EAGAIN) return error;
  }
}

int receive(co_chan* chan, void* value, bool waits) {
  if (!chan) return EINVAL;
  if (waits) take_turn();
  Held held(chan->lock);
  for (;;) {
    int error = try_receive(held, chan, value);
    if (error != EAGAIN || !waits) return error;
    HandoffWait wait = {.node = {}, .value = value};
    error = held.await(chan->receivers, &wait, WaitKind::channel_receive, chan);
    if (error != EAGAIN) return error;
  }
}

}  // namespace

int channel_try_send(Held& held, co_chan* chan, const void* value) { return try_send(held, chan, value); }
int channel_try_receive(Held& held, co_chan* chan, void* value) { return try_receive(held, chan, value); }

}  // namespace weft

using namespace weft;

WEFT_API int co_chan_create(co_chan_t** out, size_t value_size, size_t capacity) {
  size_t room = capacity == CO_UNBOUNDED ? 0 : capacity, bytes;
  if (!out || __builtin_mul_overflow(room, value_size, &bytes)) return EINVAL;
  auto* chan = (co_chan*)calloc(1, sizeof(co_chan));
  char* values = room ? (char*)malloc(bytes ? bytes : 1) : nullptr;
  if (!chan || (room && !values)) {
    free(chan);
    free(values);
    return ENOMEM;
  }
  chan->value_size = value_size;
  chan->capacity = capacity;
  chan->room = room;
  chan->values = values;
  *out = chan;
  return 0;
}

WEFT_API void co_chan_destroy(co_chan_t* chan) {
  if (!chan) return;
  free(chan->values);
  free(chan);
}

WEFT_API int co_chan_send(co_chan_t* chan, const void* value) { return send(chan, value, true); }
WEFT_API int co_chan_trysend(co_chan_t* chan, const void* value) { return send(chan, value, false); }
WEFT_API int co_chan_recv(co_chan_t* chan, void* value) { return receive(chan, value, true); }
WEFT_API int co_chan_tryrecv(co_chan_t* chan, void* value) { return receive(chan, value, false); }

WEFT_API int co_chan_close(co_chan_t* chan) {
  if (!chan) return EINVAL;
  Held held(chan->lock);
  if (chan->closed) return EPIPE;
  chan->closed = true;
  held.finish_all(chan->senders);
  held.finish_all(chan->receivers);
  return 0;
}

WEFT_API size_t co_chan_length(co_chan_t* chan) {
  if (!chan) return 0;
  Held held(chan->lock);
  return chan->length;
}
