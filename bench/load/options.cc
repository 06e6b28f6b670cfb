// SPDX-License-Identifier: Apache-2.0
// The load generator's command line: a protocol word, then long options.
#include "options.h"

#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace weft::load {
namespace {

const char kUsage[] =
    "usage: weft_load echo|http|fixed --port N [options]\n"
    "  --connections N   --seconds S   --warm S      --requests N   --size BYTES (echo)\n"
    "  --request FILE    --body FILE   (http, fixed)       --close        --tls   --tunnel HOST:PORT\n"
    "  --opening N       --timeout S   --gate        --server-pid N --reset --many-sources\n"
    "  --rate R (open loop: R requests a second are due, whatever the server does; not with --requests, --close)\n";

bool read_file(const char* path, std::string* out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fprintf(stderr, "weft_load: cannot read %s: %s\n", path, strerror(errno));
    return false;
  }
  out->assign(std::istreambuf_iterator<char>(file), {});
  return true;
}

enum Long {
  port,
  connections,
  seconds,
  warm,
  rate,
  requests,
  size,
  request,
  body,
  close_each,
  tls,
  tunnel,
  opening,
  timeout,
  gate,
  server_pid,
  reset,
  many_sources
};

const option kLong[] = {{"port", required_argument, nullptr, port},
                        {"connections", required_argument, nullptr, connections},
                        {"seconds", required_argument, nullptr, seconds},
                        {"warm", required_argument, nullptr, warm},
                        {"rate", required_argument, nullptr, rate},
                        {"requests", required_argument, nullptr, requests},
                        {"size", required_argument, nullptr, size},
                        {"request", required_argument, nullptr, request},
                        {"body", required_argument, nullptr, body},
                        {"close", no_argument, nullptr, close_each},
                        {"tls", no_argument, nullptr, tls},
                        {"tunnel", required_argument, nullptr, tunnel},
                        {"opening", required_argument, nullptr, opening},
                        {"timeout", required_argument, nullptr, timeout},
                        {"gate", no_argument, nullptr, gate},
                        {"server-pid", required_argument, nullptr, server_pid},
                        {"reset", no_argument, nullptr, reset},
                        {"many-sources", no_argument, nullptr, many_sources},
                        {nullptr, 0, nullptr, 0}};

bool apply(int which, const char* value, Options* o) {
  switch (which) {
    case port:
      o->port = static_cast<uint16_t>(atoi(value));
      return true;
    case connections:
      o->connections = atoi(value);
      return true;
    case seconds:
      o->seconds = atof(value);
      return true;
    case warm:
      o->warm = atof(value);
      return true;
    case rate:
      o->rate = atof(value);
      return o->rate > 0;
    case requests:
      o->requests = strtoull(value, nullptr, 10);
      return true;
    case size:
      o->size = atoi(value);
      return true;
    case request:
      return read_file(value, &o->request);
    case body:
      return read_file(value, &o->body);
    case close_each:
      o->keep = false;
      return true;
    case tls:
      o->tls = true;
      return true;
    case tunnel:
      o->tunnel = value;
      return true;
    case opening:
      o->opening = atoi(value);
      return true;
    case timeout:
      o->timeout = atof(value);
      return true;
    case gate:
      o->gate = true;
      return true;
    case server_pid:
      o->server_pid = atoi(value);
      return true;
    case reset:
      o->reset = true;
      return true;
    case many_sources:
      o->many_sources = true;
      return true;
    default:
      return false;
  }
}

}  // namespace

bool parse_options(int argc, char** argv, Options* options) {
  bool good = argc >= 2;
  if (good && strcmp(argv[1], "http") == 0) {
    options->protocol = Options::Protocol::http;
  } else if (good && strcmp(argv[1], "fixed") == 0) {
    options->protocol = Options::Protocol::fixed;
  } else if (good && strcmp(argv[1], "echo") != 0) {
    good = false;
  }
  for (int which; good && (which = getopt_long(argc - 1, argv + 1, "+", kLong, nullptr)) != -1;) {
    good = apply(which, optarg, options);
  }
  good = good && optind == argc - 1 && options->port != 0 && options->connections > 0 && options->size > 0 &&
         options->opening > 0 && (options->protocol == Options::Protocol::echo || !options->request.empty()) &&
         (options->rate == 0 || (options->keep && options->requests == 0));
  if (!good) fputs(kUsage, stderr);
  return good;
}

}  // namespace weft::load
