/* SPDX-License-Identifier: Apache-2.0 */
/* A server whose connections are scripts: one Lua state and one run of the script for each, reading and writing by
 * plain C functions that block. Nothing yields across the Lua/C boundary, for nothing has to.
 *     lua_server SCRIPT [PORT] [--threads]
 * --threads: the same behind one kernel thread for each connection. A program that links weft keeps its threads. */
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <weft/co.h>

#include "../sockets.h"

struct connection {
  int fd;
  size_t length; /* of what has been read and not yet been used */
  char bytes[1024];
};

static struct connection* connection_of(lua_State* lua) { return *(struct connection**)lua_getextraspace(lua); }

/* receive() -> a line without its end; nil: there are no more, or it is too long */
static int lua_receive(lua_State* lua) {
  struct connection* from = connection_of(lua);
  char* end;
  while ((end = memchr(from->bytes, '\n', from->length)) == NULL) {
    ssize_t got = read(from->fd, from->bytes + from->length, sizeof from->bytes - from->length);
    if (got <= 0) return lua_pushnil(lua), 1;
    from->length += (size_t)got;
  }
  size_t line = (size_t)(end - from->bytes);
  lua_pushlstring(lua, from->bytes, line);
  from->length -= line + 1;
  memmove(from->bytes, end + 1, from->length);
  return 1;
}

/* send(text): text and an end of line */
static int lua_send(lua_State* lua) {
  size_t length;
  luaL_checkstring(lua, 1);
  lua_settop(lua, 1);
  lua_pushliteral(lua, "\n");
  lua_concat(lua, 2);
  const char* text = lua_tolstring(lua, 1, &length);
  if (send(connection_of(lua)->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length) return luaL_error(lua, "gone");
  return 0;
}

static luaL_Buffer compiled;

static int keep(lua_State* lua, const void* bytes, size_t size, void* unused) {
  luaL_addlstring(&compiled, bytes, size);
  return 0;
}

static const char* script;
static size_t script_size;

/* Compiles the script once; each connection's state loads what came out. */
static void load_script(const char* path) {
  lua_State* lua = luaL_newstate(); /* stays: it owns the text */
  if (lua == NULL || luaL_loadfile(lua, path) != LUA_OK) {
    fprintf(stderr, "%s\n", lua ? lua_tostring(lua, -1) : "no memory");
    exit(1);
  }
  luaL_buffinit(lua, &compiled);
  lua_pushvalue(lua, 1);
  lua_dump(lua, keep, NULL, 0);
  lua_pop(lua, 1);
  luaL_pushresult(&compiled);
  script = lua_tolstring(lua, -1, &script_size);
}

static void converse(int fd, void* unused) {
  struct connection connection = {.fd = fd, .length = 0};
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  lua_State* lua = luaL_newstate();
  if (lua != NULL) {
    *(struct connection**)lua_getextraspace(lua) = &connection;
    luaL_openlibs(lua);
    lua_register(lua, "receive", lua_receive);
    lua_register(lua, "send", lua_send);
    if (luaL_loadbuffer(lua, script, script_size, "script") == LUA_OK) lua_pcall(lua, 0, 0, 0);
    lua_close(lua);
  }
  close(fd);
}

static void* converse_in_thread(void* fd) {
  converse((int)(intptr_t)fd, NULL);
  return NULL;
}

static void serve_by_threads(int listener) {
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  for (;;) {
    pthread_t thread;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0 && pthread_create(&thread, &detached, converse_in_thread, (void*)(intptr_t)fd) != 0) close(fd);
  }
}

int main(int count, char** words) {
  int threads = count > 2 && strcmp(words[count - 1], "--threads") == 0;
  if (count < 2) return fprintf(stderr, "usage: %s SCRIPT [PORT] [--threads]\n", words[0]), 2;
  load_script(words[1]);
  raise_descriptor_limit();
  int listener = listen_at((uint16_t)(count > 2 + threads ? atoi(words[2]) : 0));
  announce(listener);
  if (threads) serve_by_threads(listener);
  return co_listen_and_serve(listener, converse, NULL);
}
