// SPDX-License-Identifier: Apache-2.0
// A client of redis over hiredis in blocking calls, a thread and a connection each. It knows nothing of weft.
//
// Usage: redis_client THREADS ROUNDS PORT     every answer checked. The threads are a ring: in each round everyone waits in the
//                                             server for a word that its neighbour puts there.
#include <hiredis/hiredis.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>

#include "crowd.h"

namespace {

constexpr size_t kLarge = 1'000'000;  // of a value, more than a socket's buffer holds

redisContext* connect_to(int port) {
  redisContext* context = redisConnect("127.0.0.1", port);
  if (context != nullptr && context->err == 0) return context;
  fprintf(stderr, "connecting: %s\n", context ? context->errstr : "no memory");
  if (context != nullptr) redisFree(context);
  return nullptr;
}

std::string said(redisContext* context, const redisReply* reply) {
  if (reply == nullptr) return std::string("broken: ") + context->errstr;
  switch (reply->type) {
    case REDIS_REPLY_INTEGER:
      return std::to_string(reply->integer);
    case REDIS_REPLY_NIL:
      return "nil";
    case REDIS_REPLY_ARRAY:
      return said(context, reply->element[reply->elements - 1]);
    default:
      return std::string(reply->str, reply->len);
  }
}

std::string ask(redisContext* context, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  auto* reply = static_cast<redisReply*>(redisvCommand(context, format, arguments));
  va_end(arguments);
  std::string text = said(context, reply);
  if (reply != nullptr) freeReplyObject(reply);
  return text;
}

// A hundred questions in one go, then their answers.
bool in_a_row(redisContext* context, int number, int round) {
  bool good = true;
  for (int i = 0; i < 100; ++i) redisAppendCommand(context, "INCRBY row:%d:%d 3", number, round);
  for (int i = 0; i < 100; ++i) {
    void* reply = nullptr;
    good = redisGetReply(context, &reply) == REDIS_OK &&
           said(context, static_cast<redisReply*>(reply)) == std::to_string(3 * (i + 1)) && good;
    if (reply != nullptr) freeReplyObject(reply);
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: redis_client THREADS ROUNDS PORT\n", stderr);
    return 2;
  }
  int threads = atoi(argv[1]), rounds = atoi(argv[2]), port = atoi(argv[3]);
  Crowd all(threads);
  int status = all.run([&](int number) {
    redisContext* context = connect_to(port);
    all.judge(context != nullptr, "connecting");
    all.meet();
    for (int round = 0; context != nullptr && round < rounds; ++round) {
      auto expect = [&](const std::string& got, const std::string& wanted) {
        all.judge(got == wanted, got.substr(0, 200) + ", not " + wanted.substr(0, 200));
      };
      std::string value = content(number, round, number % 20 == 0 ? kLarge : 500);
      expect(ask(context, "SET own:%d %b", number, value.data(), value.size()), "OK");
      expect(ask(context, "GET own:%d", number), value);
      expect(ask(context, "GET nothing:%d", number), "nil");
      expect(ask(context, "HSET own:%d a b", number),
             "WRONGTYPE Operation against a key holding the wrong kind of value");
      all.judge(in_a_row(context, number, round), "a hundred in a row");
      ask(context, "INCR shared");
      // The even ones put first and take then, the odd ones the other way, so that half of them wait.
      int next = (number + 1) % threads;
      auto put = [&] {
        all.judge(atoi(ask(context, "RPUSH ring:%d word%d", next, round).c_str()) > 0, "a word for the neighbour");
      };
      if (number % 2 == 0) put();
      expect(ask(context, "BLPOP ring:%d 60", number), "word" + std::to_string(round));
      if (number % 2 != 0) put();
    }
    if (context != nullptr) {
      // A limit on waiting: the answer comes too late, and the context says so.
      timeval limit = {0, 50'000};
      redisSetTimeout(context, limit);
      std::string late = ask(context, "BLPOP never:%d 0", number);
      all.judge(context->err == REDIS_ERR_IO && errno == EAGAIN, "a limit on waiting: " + late);
      redisFree(context);
    }
  });
  redisContext* context = connect_to(port);
  std::string total = context ? ask(context, "GET shared") : "";
  if (total != std::to_string(threads * rounds)) {
    fprintf(stderr, "%s increments\n", total.c_str());
    status = 1;
  }
  if (context != nullptr) redisFree(context);
  return status;
}
