/* SPDX-License-Identifier: Apache-2.0 */
/* A chat room over TCP, of actors. The room owns who is in it and is told by messages; nothing is shared, so nothing
 * is locked. Each member has a mailbox of its own and a coroutine that writes what comes there: who reads slowly
 * misses lines and is told so, and holds up nobody.
 *     chat [PORT], then for each member: nc 127.0.0.1 PORT; the first line is the name */
#include <weft/co.h>

#include "../sockets.h"

enum { line_size = 256, member_room = 64, room_room = 1024 };

struct line {
  char text[line_size];
};

struct member {
  co_mailbox_t* mailbox; /* struct line: what is to be written */
  char name[32];
  int missed;          /* the room's: lines since the mailbox was full */
  struct member* next; /* the room's */
};

struct message {
  enum { join, say, leave } what;
  struct member* who;
  struct line line;
};

static co_mailbox_t* room; /* struct message */

static void tell(struct member* member, const struct line* line) {
  struct line gap;
  if (member->missed > 0) {
    snprintf(gap.text, sizeof gap.text, "* you have missed %d lines\n", member->missed);
    if (co_mailbox_trysend(member->mailbox, &gap) == 0) member->missed = 0;
  }
  if (member->missed > 0 || co_mailbox_trysend(member->mailbox, line) != 0) member->missed++;
}

static void* run_room(void* unused) {
  struct member* members = NULL;
  struct message message;
  struct line line;
  while (co_mailbox_recv(room, &message) == 0) {
    struct member *who = message.who, **place = &members;
    if (message.what == join) {
      who->next = members;
      members = who;
    }
    if (message.what == say)
      snprintf(line.text, sizeof line.text, "%s: %.200s\n", who->name, message.line.text);
    else
      snprintf(line.text, sizeof line.text, "* %s has %s\n", who->name, message.what == join ? "come" : "left");
    for (struct member* member = members; member != NULL; member = member->next)
      if (message.what != say || member != who) tell(member, &line);
    if (message.what != leave) continue;
    while (*place != who) place = &(*place)->next;
    *place = who->next;
    co_mailbox_close(who->mailbox); /* the last we do with it: its owner has waited for that */
  }
  return NULL;
}

struct connection {
  FILE* stream;
  struct member* member;
};

static void* write_lines(void* argument) {
  struct connection* connection = argument;
  struct line line;
  int fd = fileno(connection->stream);
  while (co_mailbox_recv(connection->member->mailbox, &line) == 0)
    if (send(fd, line.text, strlen(line.text), MSG_NOSIGNAL) < 0) break;
  return NULL;
}

/* Reads a line without its end; 0: there is none. */
static int read_line(FILE* from, char* text, size_t size) {
  if (fgets(text, (int)size, from) == NULL) return 0;
  text[strcspn(text, "\r\n")] = 0;
  return 1;
}

static void serve(int fd, void* unused) {
  struct member member = {.missed = 0};
  struct connection connection = {fdopen(fd, "r"), &member};
  struct message message = {.what = join, .who = &member};
  co_t writer;
  if (connection.stream == NULL) {
    close(fd);
    return;
  }
  if (read_line(connection.stream, member.name, sizeof member.name) &&
      co_mailbox_create(&member.mailbox, sizeof(struct line), member_room, member.name) == 0) {
    if (co_spawn(&writer, write_lines, &connection, NULL) == 0) {
      co_mailbox_send(room, &message);
      message.what = say;
      while (read_line(connection.stream, message.line.text, sizeof message.line.text)) co_mailbox_send(room, &message);
      message.what = leave;
      co_mailbox_send(room, &message);
      co_join(writer, NULL);
    }
    co_mailbox_destroy(member.mailbox);
  }
  fclose(connection.stream);
}

int main(int count, char** words) {
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.name = "room";
  attributes.detached = 1;
  raise_descriptor_limit();
  int listener = listen_at((uint16_t)(count > 1 ? atoi(words[1]) : 0));
  check(co_mailbox_create(&room, sizeof(struct message), room_room, "room"), "co_mailbox_create");
  check(co_spawn(NULL, run_room, NULL, &attributes), "co_spawn");
  announce(listener);
  return co_listen_and_serve(listener, serve, NULL);
}
