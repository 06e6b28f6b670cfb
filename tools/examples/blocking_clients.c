/* SPDX-License-Identifier: Apache-2.0 */
/* Client libraries that block, as they are, side by side in coroutines: libmariadb, libpq, hiredis and libcurl. Each
 * coroutine connects, waits until all have, asks for something that the server takes its time for, and looks at what
 * it got.
 *     blocking_clients COROUTINES_EACH SECONDS [mariadb=PORT] [postgres=PORT] [redis=PORT] [http=PORT] */
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <mysql.h>
#include <stdatomic.h>
#include <weft/co.h>

#include "sockets.h"

static double seconds; /* that each server is asked to take */
static co_wait_group_t connected = CO_WAIT_GROUP_INIT;
static atomic_int in_flight, most_in_flight;

static void begin_query(void) {
  co_wait_group_done(&connected);
  co_wait_group_wait(&connected);
  int now = ++in_flight, most = most_in_flight;
  while (now > most && !atomic_compare_exchange_weak(&most_in_flight, &most, now)) {
  }
}

static void end_query(void) { in_flight--; }

/* Each gives 1 if the answer was right, and tells begin_query of itself in every case. */

static int ask_mariadb(int port, int number) {
  char query[100], right[20];
  MYSQL* connection = mysql_init(NULL);
  int good = connection != NULL &&
             mysql_real_connect(connection, "127.0.0.1", "root", NULL, "mysql", (unsigned)port, NULL, 0) != NULL;
  begin_query();
  snprintf(query, sizeof query, "SELECT %d + SLEEP(%.3f)", number, seconds);
  good = good && mysql_query(connection, query) == 0;
  MYSQL_RES* result = good ? mysql_store_result(connection) : NULL;
  end_query();
  MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
  snprintf(right, sizeof right, "%d", number);
  good = row != NULL && row[0] != NULL && strcmp(row[0], right) == 0;
  if (!good && connection != NULL) fprintf(stderr, "mariadb: %s\n", mysql_error(connection));
  if (result != NULL) mysql_free_result(result);
  if (connection != NULL) mysql_close(connection);
  mysql_thread_end();
  return good;
}

static int ask_postgres(int port, int number) {
  char where[100], query[100], right[20];
  snprintf(where, sizeof where, "host=127.0.0.1 port=%d user=postgres dbname=postgres", port);
  PGconn* connection = PQconnectdb(where);
  begin_query();
  snprintf(query, sizeof query, "SELECT %d FROM pg_sleep(%.3f)", number, seconds);
  PGresult* result = PQexec(connection, query);
  end_query();
  snprintf(right, sizeof right, "%d", number);
  int good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
             strcmp(PQgetvalue(result, 0, 0), right) == 0;
  if (!good) fprintf(stderr, "postgres: %s\n", PQerrorMessage(connection));
  PQclear(result);
  PQfinish(connection);
  return good;
}

static int ask_redis(int port, int number) {
  redisContext* connection = redisConnect("127.0.0.1", port);
  begin_query();
  int good = connection != NULL && connection->err == 0;
  /* Nobody pushes: it answers nil when its time is over. */
  redisReply* nothing = good ? redisCommand(connection, "BLPOP nothing:%d %f", number, seconds) : NULL;
  end_query();
  redisReply* echo = good ? redisCommand(connection, "ECHO %d", number) : NULL;
  good = nothing != NULL && nothing->type == REDIS_REPLY_NIL && echo != NULL && echo->type == REDIS_REPLY_STRING &&
         atoi(echo->str) == number;
  if (!good && connection != NULL) fprintf(stderr, "redis: %s\n", connection->errstr);
  if (nothing != NULL) freeReplyObject(nothing);
  if (echo != NULL) freeReplyObject(echo);
  if (connection != NULL) redisFree(connection);
  return good;
}

static size_t count_bytes(char* bytes, size_t one, size_t size, void* total) {
  *(size_t*)total += size;
  return size;
}

/* /slow is a page that the server takes its time to send. */
static int ask_http(int port, int number) {
  char url[64];
  size_t bytes = 0;
  long status = 0;
  CURL* request = curl_easy_init();
  begin_query();
  snprintf(url, sizeof url, "http://127.0.0.1:%d/slow?%d", port, number);
  curl_easy_setopt(request, CURLOPT_URL, url);
  curl_easy_setopt(request, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(request, CURLOPT_WRITEFUNCTION, count_bytes);
  curl_easy_setopt(request, CURLOPT_WRITEDATA, &bytes);
  CURLcode code = curl_easy_perform(request);
  end_query();
  curl_easy_getinfo(request, CURLINFO_RESPONSE_CODE, &status);
  int good = code == CURLE_OK && status == 200 && bytes > 0;
  if (!good) fprintf(stderr, "http: %s, status %ld\n", curl_easy_strerror(code), status);
  curl_easy_cleanup(request);
  return good;
}

static struct kind {
  const char* name;
  int (*ask)(int port, int number);
  int port;
  atomic_int right;
} kinds[] = {{"mariadb", ask_mariadb, 0, 0},
             {"postgres", ask_postgres, 0, 0},
             {"redis", ask_redis, 0, 0},
             {"http", ask_http, 0, 0}};
enum { kind_count = sizeof kinds / sizeof *kinds };

struct client {
  struct kind* kind;
  int number;
};

static int run_client(void* argument) {
  struct client* client = argument;
  client->kind->right += client->kind->ask(client->kind->port, client->number);
  return 0;
}

int main(int count, char** words) {
  int each = count > 3 ? atoi(words[1]) : 0, all = 0;
  seconds = count > 3 ? atof(words[2]) : 0;
  for (int word = 3; word < count; word++)
    for (int i = 0; i < kind_count; i++) {
      size_t length = strlen(kinds[i].name);
      if (strncmp(words[word], kinds[i].name, length) != 0 || words[word][length] != '=') continue;
      kinds[i].port = atoi(words[word] + length + 1);
      all += each;
    }
  if (all == 0)
    return fprintf(stderr,
                   "usage: %s COROUTINES_EACH SECONDS [mariadb=PORT] [postgres=PORT] [redis=PORT] [http=PORT]\n",
                   words[0]),
           2;
  raise_descriptor_limit();
  mysql_library_init(0, NULL, NULL);
  curl_global_init(CURL_GLOBAL_DEFAULT);

  co_scope_t scope;
  struct client *clients = calloc((size_t)all, sizeof *clients), *next = clients;
  check(co_scope_init(&scope), "co_scope_init");
  check(co_wait_group_add(&connected, all), "co_wait_group_add");
  uint64_t begun = co_now();
  for (int i = 0; i < kind_count; i++)
    for (int number = 0; kinds[i].port != 0 && number < each; number++, next++) {
      co_attr_t attributes = CO_ATTR_INIT;
      attributes.name = kinds[i].name;
      *next = (struct client){&kinds[i], number};
      check(co_scope_spawn(&scope, run_client, next, &attributes), "co_scope_spawn");
    }
  check(co_scope_wait(&scope), "co_scope_wait");

  int right = 0;
  for (int i = 0; i < kind_count; i++) {
    if (kinds[i].port == 0) continue;
    printf("%s: %d of %d answers right\n", kinds[i].name, kinds[i].right, each);
    right += kinds[i].right;
  }
  printf("%d queries of %.1f s each, at most %d in flight at once\n", all, seconds, most_in_flight);
  fprintf(stderr, "%.2f s in all\n", (double)(co_now() - begun) / 1e9);
  free(clients);
  curl_global_cleanup();
  mysql_library_end();
  return right != all;
}
