// SPDX-License-Identifier: Apache-2.0
// A client of MariaDB over libmariadb in blocking calls, a thread and a connection each. It knows nothing of weft.
//
// Usage: mariadb_client crowd THREADS ROUNDS PORT     queries, prepared statements, errors and time limits; every answer checked
//        mariadb_client transfers THREADS PORT FILE   transactions until the server is gone; FILE gets a line "THREAD NUMBER" for
//                                                     each transaction that the server has acknowledged
//        mariadb_client attempts FIRST THREADS ROUNDS PORT FILE   against a server some of whose system calls fail: prints how many
//                                                     answers were right, errors, wrong and late; FILE gets what was acknowledged
//        mariadb_client steady THREADS PORT           says "ready" when all are connected and answered; from a line of input on a query
//                                                     after the other, checked, until the input's end
//        mariadb_client kept PORT FILE                is all of that in the tables?
// The database "crowd" and the user "crowd" exist, the user without password.
#include <mariadb/errmsg.h>
#include <mariadb/mysql.h>
#include <mariadb/mysqld_error.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "crowd.h"

namespace {

constexpr int kAccounts = 1000;
constexpr size_t kLarge = 100'000;  // of a value, several packets' worth on loopback

MYSQL* connect_to(int port, unsigned read_seconds = 0) {
  MYSQL* connection = mysql_init(nullptr);
  if (read_seconds != 0) mysql_options(connection, MYSQL_OPT_READ_TIMEOUT, &read_seconds);
  if (mysql_real_connect(connection, "127.0.0.1", "crowd", nullptr, "crowd", static_cast<unsigned>(port), nullptr, 0)) {
    return connection;
  }
  fprintf(stderr, "connecting: %s\n", mysql_error(connection));
  mysql_close(connection);
  return nullptr;
}

// The first column of the first row, or the error in words.
std::string ask(MYSQL* connection, const std::string& query) {
  if (mysql_real_query(connection, query.data(), query.size()) != 0) {
    return "error " + std::to_string(mysql_errno(connection)) + " " + mysql_error(connection);
  }
  MYSQL_RES* result = mysql_store_result(connection);
  if (result == nullptr) return mysql_field_count(connection) == 0 ? "done" : mysql_error(connection);
  MYSQL_ROW row = mysql_fetch_row(result);
  std::string value = row == nullptr      ? "none"
                      : row[0] == nullptr ? "null"
                                          : std::string(row[0], mysql_fetch_lengths(result)[0]);
  mysql_free_result(result);
  return value;
}

bool fails_with(MYSQL* connection, const std::string& query, unsigned error) {
  ask(connection, query);
  return mysql_errno(connection) == error;
}

std::string insert_prepared(MYSQL* connection, const char* key, const std::string& value) {
  MYSQL_STMT* statement = mysql_stmt_init(connection);
  const char* text = "INSERT INTO own VALUES (?, ?)";
  MYSQL_BIND bind[2] = {};
  unsigned long sizes[2] = {strlen(key), value.size()};
  bind[0].buffer_type = bind[1].buffer_type = MYSQL_TYPE_STRING;
  bind[0].buffer = const_cast<char*>(key);
  bind[1].buffer = const_cast<char*>(value.data());
  for (int i = 0; i < 2; ++i) bind[i].length = &sizes[i];
  bool good = mysql_stmt_prepare(statement, text, strlen(text)) == 0 && mysql_stmt_bind_param(statement, bind) == 0 &&
              mysql_stmt_execute(statement) == 0;
  std::string said = good ? "done" : mysql_stmt_error(statement);
  mysql_stmt_close(statement);
  return said;
}

int crowd(int threads, int rounds, int port) {
  MYSQL* setup = connect_to(port);
  if (setup == nullptr ||
      ask(setup, "CREATE OR REPLACE TABLE own (k VARCHAR(20) PRIMARY KEY, v MEDIUMTEXT)") != "done" ||
      ask(setup, "CREATE OR REPLACE TABLE shared (n INT)") != "done" ||
      ask(setup, "INSERT INTO shared VALUES (0)") != "done") {
    return 1;
  }
  Crowd all(threads);
  int status = all.run([&](int number) {
    mysql_thread_init();
    MYSQL* connection = connect_to(port);
    all.judge(connection != nullptr, "connecting");
    all.meet();
    for (int round = 0; connection != nullptr && round < rounds; ++round) {
      auto expect = [&](const std::string& query, const std::string& wanted) {
        std::string got = ask(connection, query);
        all.judge(got == wanted, query.substr(0, 80) + ": " + got.substr(0, 200) + ", not " + wanted.substr(0, 200));
      };
      std::string key = std::to_string(number) + "/" + std::to_string(round);
      std::string value = content(number, round, number % 10 == 0 ? kLarge : 500);
      all.judge(insert_prepared(connection, key.c_str(), value) == "done", "a prepared INSERT");
      expect("SELECT v FROM own WHERE k = '" + key + "'", value);
      all.judge(fails_with(connection, "INSERT INTO own VALUES ('" + key + "', '')", ER_DUP_ENTRY), "a key twice");
      all.judge(fails_with(connection, "SELEKT", ER_PARSE_ERROR), "a word that is none");
      expect("BEGIN", "done");
      expect("DELETE FROM own WHERE k = '" + key + "'", "done");
      expect("ROLLBACK", "done");
      expect("SELECT COUNT(*) FROM own WHERE k = '" + key + "'", "1");
      expect("UPDATE shared SET n = n + 1", "done");  // one row lock for all
      expect("SELECT SUM(seq) FROM seq_1_to_1000", "500500");
    }
    if (connection != nullptr) mysql_close(connection);
    if (number % 20 == 0) {  // the server's answer comes too late
      connection = connect_to(port, 1);
      all.judge(connection != nullptr && fails_with(connection, "SELECT SLEEP(30)", CR_SERVER_LOST),
                "a limit on reading");
      if (connection != nullptr) mysql_close(connection);
    }
    mysql_thread_end();
  });
  std::string total = std::to_string(threads * rounds);
  for (const char* query : {"SELECT n FROM shared", "SELECT COUNT(*) FROM own"}) {
    std::string got = ask(setup, query);
    if (got != total) {
      fprintf(stderr, "%s: %s, not %s\n", query, got.c_str(), total.c_str());
      status = 1;
    }
  }
  mysql_close(setup);
  return status;
}

int transfers(int threads, int port, const char* path) {
  FILE* acknowledged = fopen(path, "w");
  if (acknowledged == nullptr) return 2;
  setvbuf(acknowledged, nullptr, _IOLBF, BUFSIZ);
  Crowd all(threads);
  return all.run([&](int number) {
    mysql_thread_init();
    MYSQL* connection = connect_to(port);
    bool goes_on = all.judge(connection != nullptr, "connecting");
    all.meet();
    for (int turn = 0; goes_on;) {
      int from = (number * 37 + turn * 101) % kAccounts, to = (from + 1 + turn % (kAccounts - 1)) % kAccounts;
      std::string low = std::to_string(from < to ? from : to), high = std::to_string(from < to ? to : from);
      // The lower account first, so that no two wait for each other.
      for (const std::string& query :
           {std::string("BEGIN"), "UPDATE accounts SET n = n - 1 WHERE id = " + low,
            "UPDATE accounts SET n = n + 1 WHERE id = " + high,
            "INSERT INTO transfers VALUES (" + std::to_string(number) + ", " + std::to_string(turn) + ")",
            std::string("COMMIT")}) {
        goes_on = goes_on && ask(connection, query) == "done";
      }
      if (goes_on) {
        fprintf(acknowledged, "%d %d\n", number, turn++);
      } else {
        unsigned error = mysql_errno(connection);
        all.judge(error == CR_SERVER_LOST || error == CR_SERVER_GONE_ERROR,
                  std::string("a transfer: ") + mysql_error(connection));
      }
    }
    if (connection != nullptr) mysql_close(connection);
    mysql_thread_end();
  });
}

constexpr unsigned kLateSeconds = 5;

struct Tally {
  std::atomic<long> right = 0, error = 0, wrong = 0, late = 0;
};

// A connection that is made anew when it has been lost, and judges what it is told. An error is an answer; other bytes are wrong.
class Attempt {
 public:
  Attempt(Tally& tally, int port) : tally_(tally), port_(port) {}
  ~Attempt() { close(); }

  void close() {
    if (connection_ != nullptr) mysql_close(connection_);
    connection_ = nullptr;
  }

  bool connect() {
    close();
    auto begin = std::chrono::steady_clock::now();
    connection_ = connect_to(port_, kLateSeconds);
    return judge(begin, connection_ == nullptr, true, "connecting", "");
  }

  bool expect(const std::string& query, const std::string& wanted) {
    if (connection_ == nullptr) return false;
    auto begin = std::chrono::steady_clock::now();
    std::string got = ask(connection_, query);
    unsigned error = mysql_errno(connection_);
    bool mangled = error == CR_MALFORMED_PACKET || error == ER_NET_PACKETS_OUT_OF_ORDER;
    return judge(begin, error != 0 && !mangled, got == wanted, query, got);
  }

  bool insert(const std::string& key, const std::string& value) {
    if (connection_ == nullptr) return false;
    auto begin = std::chrono::steady_clock::now();
    std::string said = insert_prepared(connection_, key.c_str(), value);
    return judge(begin, said != "done", true, "a prepared INSERT", said);
  }

 private:
  bool judge(std::chrono::steady_clock::time_point begin, bool error, bool right, const std::string& what,
             const std::string& got) {
    if (std::chrono::steady_clock::now() - begin >= std::chrono::seconds(kLateSeconds)) ++tally_.late;
    ++(error ? tally_.error : right ? tally_.right : tally_.wrong);
    if (error || !right) {
      fprintf(stderr, "%s: %s: %s\n", error ? "error" : "wrong", what.substr(0, 80).c_str(),
              got.substr(0, 200).c_str());
    }
    return !error && right;
  }

  Tally& tally_;
  int port_;
  MYSQL* connection_ = nullptr;
};

size_t size_of(int number) { return number % 4 == 0 ? 6000 : 500; }

void attempt(Tally& tally, int number, int rounds, int port, FILE* acknowledged) {
  Attempt server(tally, port);
  for (int round = 0; round < rounds; ++round) {
    // A new thread of the server for every other round, and after every error.
    if (round % 2 == 0 && !server.connect()) continue;
    std::string key = std::to_string(number) + "/" + std::to_string(round);
    std::string value = content(number, round, size_of(number));
    if (server.insert(key, value)) fprintf(acknowledged, "own %d %d\n", number, round);
    bool good = server.expect("SELECT v FROM own WHERE k = '" + key + "'", value) &&
                server.expect("SELECT SUM(seq) FROM seq_1_to_1000", "500500");
    int from = (number * 37 + round * 101) % kAccounts, to = (from + 1 + round) % kAccounts;
    std::string low = std::to_string(from < to ? from : to), high = std::to_string(from < to ? to : from);
    for (const std::string& query :
         {std::string("BEGIN"), "UPDATE accounts SET n = n - 1 WHERE id = " + low,
          "UPDATE accounts SET n = n + 1 WHERE id = " + high,
          "INSERT INTO transfers VALUES (" + std::to_string(number) + ", " + std::to_string(round) + ")",
          std::string("COMMIT")}) {
      good = good && server.expect(query, "done");
    }
    if (good) {
      fprintf(acknowledged, "transfers %d %d\n", number, round);
    } else {
      server.connect();
    }
  }
}

int attempts(int first, int threads, int rounds, int port, const char* path) {
  FILE* acknowledged = fopen(path, "a");
  if (acknowledged == nullptr) return 2;
  Tally tally;
  std::vector<std::thread> crowd;
  for (int number = first; number < first + threads; ++number) {
    crowd.emplace_back([&tally, number, rounds, port, acknowledged] {
      mysql_thread_init();
      attempt(tally, number, rounds, port, acknowledged);
      mysql_thread_end();
    });
  }
  for (std::thread& thread : crowd) thread.join();
  fclose(acknowledged);
  printf("right %ld error %ld wrong %ld late %ld\n", tally.right.load(), tally.error.load(), tally.wrong.load(),
         tally.late.load());
  return 0;
}

int steady(int threads, int port) {
  Crowd crowd(threads);
  std::atomic<bool> over{false};
  std::atomic<int> connected{0};
  std::barrier<> begun(threads + 1);
  std::thread gate([&] {
    for (int seen; (seen = connected) < threads;) connected.wait(seen);
    char byte;
    if (write(1, "ready\n", 6) != 6 || read(0, &byte, 1) != 1) over = true;
    begun.arrive_and_wait();
    while (read(0, &byte, 1) == 1) continue;
    over = true;
  });
  int status = crowd.run([&](int number) {
    mysql_thread_init();
    MYSQL* connection = connect_to(port);
    crowd.judge(connection != nullptr && ask(connection, "SELECT 1") == "1", "connecting");
    ++connected;
    connected.notify_all();
    begun.arrive_and_wait();
    for (int round = 0; connection != nullptr && !over; ++round) {
      std::string wanted = std::to_string(number) + "/" + std::to_string(round);
      std::string got =
          ask(connection, "SELECT CONCAT(" + std::to_string(number) + ", '/', " + std::to_string(round) + ")");
      crowd.judge(got == wanted, wanted + ": " + got);
    }
    mysql_close(connection);
    mysql_thread_end();
  });
  gate.join();
  return status;
}

int kept(int port, const char* path) {
  FILE* acknowledged = fopen(path, "r");
  MYSQL* connection = connect_to(port);
  if (acknowledged == nullptr || connection == nullptr) return 2;
  long lost = 0, found = 0;
  char table[16];
  for (int number, round; fscanf(acknowledged, "%15s %d %d", table, &number, &round) == 3;) {
    std::string one = std::to_string(number), two = std::to_string(round);
    bool good =
        strcmp(table, "own") == 0
            ? ask(connection, "SELECT v FROM own WHERE k = '" + one + "/" + two + "'") ==
                  content(number, round, size_of(number))
            : ask(connection, "SELECT COUNT(*) FROM transfers WHERE thread = " + one + " AND turn = " + two) == "1";
    ++(good ? found : lost);
    if (!good) fprintf(stderr, "lost: %s %d %d\n", table, number, round);
  }
  std::string sum = ask(connection, "SELECT SUM(n) FROM accounts");
  if (sum != "0") fprintf(stderr, "the sum of all accounts is %s\n", sum.c_str());
  mysql_close(connection);
  printf("found %ld lost %ld\n", found, lost);
  return lost == 0 && sum == "0" ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  mysql_library_init(0, nullptr, nullptr);
  if (argc == 5 && strcmp(argv[1], "crowd") == 0) return crowd(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
  if (argc == 5 && strcmp(argv[1], "transfers") == 0) return transfers(atoi(argv[2]), atoi(argv[3]), argv[4]);
  if (argc == 7 && strcmp(argv[1], "attempts") == 0) {
    return attempts(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), argv[6]);
  }
  if (argc == 4 && strcmp(argv[1], "steady") == 0) return steady(atoi(argv[2]), atoi(argv[3]));
  if (argc == 4 && strcmp(argv[1], "kept") == 0) return kept(atoi(argv[2]), argv[3]);
  fputs(
      "usage: mariadb_client crowd THREADS ROUNDS PORT | transfers THREADS PORT FILE\n"
      "       mariadb_client attempts FIRST THREADS ROUNDS PORT FILE | kept PORT FILE\n"
      "       mariadb_client steady THREADS PORT\n",
      stderr);
  return 2;
}
