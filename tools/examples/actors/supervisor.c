/* SPDX-License-Identifier: Apache-2.0 */
/* A supervisor and its children: one that fails is begun anew, and finds its mailbox as it left it; one that fails
 * too often is given up. A child is a coroutine, and fails by returning an error. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft/co.h>

struct child {
  const char* name;
  int (*run)(struct child* self); /* 0, or an errno value: it has failed */
  co_mailbox_t* mailbox;
  int failures;
};

enum { most_restarts = 3 };

struct report {
  struct child* child;
  int error;
};
static co_mailbox_t* reports; /* the supervisor's */

static void* run_child(void* argument) {
  struct report report = {.child = argument};
  report.error = report.child->run(report.child);
  co_mailbox_send(reports, &report);
  return NULL;
}

static int begin(struct child* child) {
  co_attr_t attributes = CO_ATTR_INIT;
  attributes.name = child->name;
  attributes.detached = 1;
  return co_spawn(NULL, run_child, child, &attributes);
}

/* Until every child has ended in good order or been given up. */
static void* supervise(void* count) {
  struct report report;
  for (int running = *(int*)count; running > 0 && co_mailbox_recv(reports, &report) == 0;) {
    struct child* child = report.child;
    if (report.error == 0) {
      printf("%s has ended\n", child->name);
      running--;
      continue;
    }
    printf("%s has failed: %s\n", child->name, strerror(report.error));
    if (child->failures++ == most_restarts || begin(child) != 0) {
      printf("%s is given up\n", child->name);
      running--;
    }
  }
  return NULL;
}

struct job {
  int dividend, divisor; /* 0 / 0: there are no more */
};

static int divide(struct child* self) {
  struct job job;
  while (co_mailbox_recv(self->mailbox, &job) == 0) {
    if (job.dividend == 0 && job.divisor == 0) return 0;
    if (job.divisor == 0) return EDOM;
    printf("%d / %d = %d\n", job.dividend, job.divisor, job.dividend / job.divisor);
  }
  return EPIPE;
}

static int fail_always(struct child* self) { return ENOENT; }

int main(void) {
  static const struct job jobs[] = {{6, 3}, {1, 0}, {8, 2}, {2, 0}, {9, 3}, {0, 0}};
  struct child children[] = {{"divider", divide, NULL, 0}, {"hopeless", fail_always, NULL, 0}};
  int count = sizeof children / sizeof *children;
  co_t supervisor;
  if (co_mailbox_create(&reports, sizeof(struct report), 16, "reports") != 0 ||
      co_mailbox_create(&children[0].mailbox, sizeof(struct job), 16, "divider") != 0 ||
      co_spawn(&supervisor, supervise, &count, NULL) != 0)
    return perror("supervisor"), 1;
  for (int i = 0; i < count; i++)
    if (begin(&children[i]) != 0) return 1;
  for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) co_mailbox_send(children[0].mailbox, &jobs[i]);
  co_join(supervisor, NULL);
  co_mailbox_destroy(children[0].mailbox);
  co_mailbox_destroy(reports);
  return 0;
}
