// SPDX-License-Identifier: Apache-2.0
// A client of PostgreSQL over libpq in blocking calls, a thread and a connection each. It knows nothing of weft.
//
// Usage: postgres_client THREADS ROUNDS PORT     every answer checked; the user is postgres, without password
#include <libpq-fe.h>

#include <cstdlib>
#include <memory>

#include "crowd.h"

namespace {

constexpr size_t kLarge = 300'000;  // of a value, more than a socket's buffer holds

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

PGconn* connect_to(const std::string& port) {
  PGconn* connection = PQconnectdb(("host=127.0.0.1 port=" + port + " user=postgres dbname=postgres").c_str());
  if (PQstatus(connection) == CONNECTION_OK) return connection;
  fprintf(stderr, "connecting: %s\n", PQerrorMessage(connection));
  PQfinish(connection);
  return nullptr;
}

// The first value, "done" where there is none, or the SQLSTATE of the error.
std::string said(const Result& result) {
  switch (PQresultStatus(result.get())) {
    case PGRES_TUPLES_OK:
      return PQntuples(result.get()) == 0 ? "none" : PQgetvalue(result.get(), 0, 0);
    case PGRES_COMMAND_OK:
      return "done";
    case PGRES_COPY_IN:
      return "copying in";
    case PGRES_COPY_OUT:
      return "copying out";
    default:
      return std::string("error ") +
             (PQresultErrorField(result.get(), PG_DIAG_SQLSTATE) ?: PQresultErrorMessage(result.get()));
  }
}

std::string ask(PGconn* connection, const std::string& query, std::initializer_list<std::string> parameters = {}) {
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  if (values.empty()) return said(Result(PQexec(connection, query.c_str()), PQclear));
  return said(Result(PQexecParams(connection, query.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                                  nullptr, nullptr, 0),
                     PQclear));
}

// Copies rows in and out again; whether what came back is what went in.
bool copies(PGconn* connection, int number, int round) {
  std::string sent, back;
  if (ask(connection, "COPY copied FROM STDIN") != "copying in") return false;
  for (int line = 0; line < 50; ++line) {
    std::string row =
        std::to_string(number) + "\t" + std::to_string(line) + "\t" + content(number, round + line, 200) + "\n";
    sent += row;
    if (PQputCopyData(connection, row.data(), static_cast<int>(row.size())) != 1) return false;
  }
  if (PQputCopyEnd(connection, nullptr) != 1) return false;
  while (PGresult* result = PQgetResult(connection)) PQclear(result);
  std::string mine = "FROM copied WHERE thread = " + std::to_string(number);
  if (ask(connection, "COPY (SELECT * " + mine + " ORDER BY line) TO STDOUT") != "copying out") return false;
  char* row = nullptr;
  for (int size; (size = PQgetCopyData(connection, &row, 0)) > 0; PQfreemem(row))
    back.append(row, static_cast<size_t>(size));
  while (PGresult* result = PQgetResult(connection)) PQclear(result);
  return back == sent && ask(connection, "DELETE " + mine) == "done";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: postgres_client THREADS ROUNDS PORT\n", stderr);
    return 2;
  }
  int threads = atoi(argv[1]), rounds = atoi(argv[2]);
  std::string port = argv[3];
  PGconn* setup = connect_to(port);
  if (setup == nullptr || ask(setup, "CREATE TABLE own (k TEXT PRIMARY KEY, v TEXT)") != "done" ||
      ask(setup, "CREATE TABLE copied (thread INT, line INT, v TEXT)") != "done" ||
      ask(setup, "CREATE TABLE shared (n INT)") != "done" || ask(setup, "INSERT INTO shared VALUES (0)") != "done") {
    return 1;
  }
  Crowd all(threads);
  int status = all.run([&](int number) {
    PGconn* connection = connect_to(port);
    all.judge(connection != nullptr, "connecting");
    all.meet();
    for (int round = 0; connection != nullptr && round < rounds; ++round) {
      auto expect = [&](const std::string& wanted, const std::string& query,
                        std::initializer_list<std::string> parameters = {}) {
        std::string got = ask(connection, query, parameters);
        all.judge(got == wanted, query + ": " + got.substr(0, 200) + ", not " + wanted.substr(0, 200));
      };
      std::string key = std::to_string(number) + "/" + std::to_string(round);
      std::string value = content(number, round, number % 10 == 0 ? kLarge : 500);
      expect("done", "INSERT INTO own VALUES ($1, $2)", {key, value});
      expect(value, "SELECT v FROM own WHERE k = $1", {key});
      expect("error 23505", "INSERT INTO own VALUES ($1, $2)", {key, ""});
      expect("error 42601", "SELEKT");
      expect("done", "BEGIN");
      expect("done", "DELETE FROM own WHERE k = $1", {key});
      expect("error 22012", "SELECT 1 / 0");
      expect("error 25P02", "SELECT 1");
      expect("done", "ROLLBACK");
      expect("1", "SELECT count(*) FROM own WHERE k = $1", {key});
      expect("done", "UPDATE shared SET n = n + 1");  // one row lock for all
      expect("", "SELECT pg_sleep(0.01)");
      expect("500500", "SELECT sum(g) FROM generate_series(1, 1000) g");
      all.judge(copies(connection, number, round), "COPY in and out: " + std::string(PQerrorMessage(connection)));
    }
    if (connection != nullptr) PQfinish(connection);
  });
  std::string total = std::to_string(threads * rounds);
  for (const char* query : {"SELECT n FROM shared", "SELECT count(*) FROM own"}) {
    std::string got = ask(setup, query);
    if (got != total) {
      fprintf(stderr, "%s: %s, not %s\n", query, got.c_str(), total.c_str());
      status = 1;
    }
  }
  PQfinish(setup);
  return status;
}
