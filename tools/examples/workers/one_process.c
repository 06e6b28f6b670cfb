/* SPDX-License-Identifier: Apache-2.0 */
/* The workers of one process across CPUs: coroutines that compute are run by as many kernel threads as there are
 * CPUs in the affinity mask (WEFT_WORKERS sets another number), and go to whichever has nothing to do. Jobs come by
 * one channel and results go by another.
 *     one_process [LIMIT]      counts the primes below LIMIT */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/co.h>

enum { job_size = 2000, coroutines = 64, most_cpus = 1024 };

struct job {
  int from, to;
};
struct result {
  int primes, cpu;
};

static co_chan_t *jobs, *results;

static int is_prime(int number) {
  for (int divisor = 2; divisor * divisor <= number; divisor++)
    if (number % divisor == 0) return 0;
  return number > 1;
}

static void* work(void* unused) {
  struct job job;
  while (co_chan_recv(jobs, &job) == 0) {
    struct result result = {0, sched_getcpu()};
    for (int number = job.from; number < job.to; number++) result.primes += is_prime(number);
    co_chan_send(results, &result);
  }
  return NULL;
}

int main(int count, char** words) {
  int limit = count > 1 ? atoi(words[1]) : 2000000, left = 0, primes = 0, done[most_cpus] = {0};
  co_attr_t attributes = CO_ATTR_INIT;
  struct result result;
  attributes.name = "primes";
  attributes.detached = 1;
  if (co_chan_create(&jobs, sizeof(struct job), CO_UNBOUNDED) != 0 ||
      co_chan_create(&results, sizeof(struct result), coroutines) != 0)
    return 1;
  for (int from = 0; from < limit; from += job_size, left++) {
    struct job job = {from, from + job_size < limit ? from + job_size : limit};
    if (co_chan_send(jobs, &job) != 0) return 1;
  }
  co_chan_close(jobs);
  for (int i = 0; i < coroutines; i++)
    if (co_spawn(NULL, work, NULL, &attributes) != 0) return 1;
  for (; left > 0 && co_chan_recv(results, &result) == 0;
       left--) { /* main is a thread, and waits at the same channel */
    primes += result.primes;
    if (result.cpu >= 0 && result.cpu < most_cpus) done[result.cpu]++;
  }
  printf("%d primes below %d\n", primes, limit);
  for (int cpu = 0; cpu < most_cpus; cpu++)
    if (done[cpu] > 0) printf("cpu %d: %d jobs\n", cpu, done[cpu]);
  return 0;
}
