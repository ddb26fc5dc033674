/* SPDX-License-Identifier: GPL-2.0-or-later */

/* host: scans are cheap and never wait for a driver (they read attributes without locks, see snapshot.h), so whoever
 * suspects a change asks for one; a worker that does not come back holds up nothing but the scans of its own key. */

#include "host.h"

#include "dbus/names.h"
#include "hooks.h"
#include "util/log.h"
#include "worker/protocol.h"

/* How long until the first retry, and how often that is doubled. */
#define RETRY_USEC (1000000ULL)
#define RETRIES_MAX 5U

/* A look that was taken in. */
struct Look {
        char *key;
        char **addresses; /* NULL: all */
        uint64_t began;
        LIST_FIELDS(Look, looks);
};

struct Scan {
        Host *host;
        char *key;
        uint64_t began;
        char **addresses;
        bool again;
        char **addresses_again;
        ReaderQuery *query;
        LIST_FIELDS(Scan, scans);
};

static Scan *scan_free(Scan *s) {
        if (!s)
                return NULL;
        if (s->host)
                LIST_REMOVE(scans, s->host->scans, s);
        reader_query_free(s->query);
        free(s->key);
        strv_free(s->addresses);
        strv_free(s->addresses_again);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(Scan *, scan_free);

struct ScanWaiter {
        Host *host;
        char *key;
        uint64_t after; /* the number of the last look that does not count */
        scan_handler_t handler;
        void *userdata;
        LIST_FIELDS(ScanWaiter, scan_waiters);
};

ScanWaiter *scan_waiter_free(ScanWaiter *w) {
        if (!w)
                return NULL;
        if (w->host)
                LIST_REMOVE(scan_waiters, w->host->scan_waiters, w);
        free(w->key);
        free(w);
        return NULL;
}

static ScanWaiter *find_waiter(Host *h, const char *key, uint64_t began) {
        LIST_FOREACH(scan_waiters, w, h->scan_waiters)
                if (streq(w->key, key) && w->after < began)
                        return w;
        return NULL;
}

/* A handler may free other waiters, so the list is looked at afresh each time. */
static void answer_waiters(Host *h, const char *key, uint64_t began) {
        ScanWaiter *w;

        while ((w = find_waiter(h, key, began))) {
                LIST_REMOVE(scan_waiters, h->scan_waiters, w);
                w->host = NULL;
                w->handler(w->userdata);
                scan_waiter_free(w);
        }
}

static int copy_strv(char *const *from, char ***to) {
        _cleanup_strv_free_ char **copy = NULL;

        for (; from && *from; from++) {
                int r = strv_extend(&copy, *from);

                if (r < 0)
                        return r;
        }
        strv_free(*to);
        *to = TAKE_PTR(copy);
        return 0;
}

uint64_t host_look_begins(Host *h) {
        return ++h->looks;
}

static int note_look(Host *h, uint64_t began, const char *key, char *const *addresses) {
        Look *l = NULL;

        LIST_FOREACH(looks, i, h->taken)
                if (streq(i->key, key))
                        l = i;
        if (!l) {
                l = calloc(1, sizeof(Look));
                if (!l)
                        return -ENOMEM;
                l->key = strdup(key);
                if (!l->key) {
                        free(l);
                        return -ENOMEM;
                }
                LIST_APPEND(looks, h->taken, l);
        }
        if (l->began > began)
                return 0;
        l->began = began;
        return copy_strv(addresses, &l->addresses);
}

/* The functions of which a later look has told already. 1: that is all of them. */
static int known_better(const Host *h, uint64_t began, char ***ret) {
        _cleanup_strv_free_ char **keep = NULL;
        int r;

        LIST_FOREACH(looks, l, h->taken) {
                if (l->began < began)
                        continue;
                if (!l->addresses)
                        return 1;
                for (char **a = l->addresses; *a; a++) {
                        r = strv_contains(keep, *a) ? 0 : strv_extend(&keep, *a);
                        if (r < 0)
                                return r;
                }
        }
        *ret = TAKE_PTR(keep);
        return 0;
}

int host_take_snapshot(Host *h, uint64_t began, const char *key, const char *text, size_t size,
                       char *const *addresses) {
        _cleanup_(snapshot_freep) Snapshot *fresh = NULL;
        _cleanup_strv_free_ char **keep = NULL;
        int r;

        r = snapshot_read(text, size, &fresh);
        if (r < 0)
                return r;
        r = known_better(h, began, &keep);
        if (r != 0)
                return r < 0 ? r : 0;
        r = snapshot_merge(h->snapshot, fresh, addresses, keep);
        if (r >= 0)
                r = note_look(h, began, key, addresses);
        if (r < 0)
                return r;
        if (!addresses)
                h->scanned = true;
        h->listener.scanned(addresses, h->listener.userdata);
        return 0;
}

int host_new_worker(Host *h, unsigned job, const char *gpu, worker_handler_t handler, void *userdata, Worker **ret) {
        WorkerSetup setup = {
                .program = h->worker_program,
                .run_dir = h->run_dir,
                .job = job,
                .gpu = gpu,
        };

        return worker_new(h->event, &setup, handler, userdata, ret);
}

/* The event that a scan was asked for does not come again, so what it would have seen would never be known. */
static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        Host *h = ASSERT_PTR(userdata);

        h->retry = sd_event_source_disable_unref(h->retry);
        (void) host_scan(h, "", NULL);
        return 0;
}

static void scan_failed(Host *h) {
        uint64_t usec = RETRY_USEC << MIN(h->retries, RETRIES_MAX);

        if (h->retry)
                return;
        h->retries++;
        if (sd_event_add_time_relative(h->event, &h->retry, CLOCK_MONOTONIC, usec, 0, on_retry, h) < 0)
                (void) log_oom();
}

static void on_answer(const WorkerAnswer *answer, void *userdata) {
        _cleanup_strv_free_ char **addresses = NULL;
        _cleanup_free_ char *key = NULL;
        Scan *s = userdata;
        Host *h = s->host;
        uint64_t began = s->began;
        bool again;
        int r = 0;

        s->query = NULL;
        if (answer->error < 0)
                log_warning_errno(answer->error, "Failed to read the state of %s (%s), keeping what was known: %m",
                                  isempty(s->key) ? "the PCI functions" : s->key, answer->text);
        else {
                r = host_take_snapshot(h, s->began, s->key, answer->data, answer->size, *s->key ? s->addresses : NULL);
                if (r < 0)
                        log_error_errno(r, "The worker's snapshot is not readable, ignoring it: %m");
        }
        if (answer->error < 0 || r < 0)
                scan_failed(h);
        else if (!*s->key)
                h->retries = 0;
        again = s->again;
        key = TAKE_PTR(s->key);
        addresses = TAKE_PTR(s->addresses_again);
        scan_free(s);
        if (again && host_scan(h, key, addresses) < 0)
                began = UINT64_MAX;
        answer_waiters(h, key, began);
}

static Scan *find_scan(Host *h, const char *key) {
        LIST_FOREACH(scans, s, h->scans)
                if (s->key && streq(s->key, key))
                        return s;
        return NULL;
}

int host_scan(Host *h, const char *key, char *const *addresses) {
        _cleanup_(scan_freep) Scan *s = NULL;
        Scan *running = find_scan(h, key);
        Step step = { .verb = VERB_SNAPSHOT, .target = (char *) "-" };
        int r;

        if (running) {
                running->again = true;
                return copy_strv(addresses, &running->addresses_again);
        }

        s = calloc(1, sizeof(Scan));
        if (!s)
                return -ENOMEM;
        s->key = strdup(key);
        if (!s->key)
                return -ENOMEM;
        r = copy_strv(addresses, &s->addresses);
        if (r < 0)
                return r;
        step.arguments = s->addresses;
        s->began = host_look_begins(h);
        r = reader_ask(h->readers, &step, on_answer, s, &s->query);
        if (r < 0) {
                scan_failed(h);
                return log_warning_errno(r, "Failed to ask a worker for the state of %s, trying again soon: %m",
                                         *key ? key : "the PCI functions");
        }
        s->host = h;
        LIST_APPEND(scans, h->scans, s);
        TAKE_PTR(s);
        return 0;
}

int host_scan_wait(Host *h, const char *key, char *const *addresses, scan_handler_t handler, void *userdata,
                   ScanWaiter **ret) {
        _cleanup_(scan_waiter_freep) ScanWaiter *w = calloc(1, sizeof(ScanWaiter));
        int r;

        if (!w)
                return -ENOMEM;
        *w = (ScanWaiter) { .after = h->looks, .handler = handler, .userdata = userdata };
        w->key = strdup(key);
        if (!w->key)
                return -ENOMEM;
        r = host_scan(h, key, addresses);
        if (r < 0)
                return r;
        w->host = h;
        LIST_APPEND(scan_waiters, h->scan_waiters, w);
        *ret = TAKE_PTR(w);
        return 0;
}

static void on_config_warning(const char *file, unsigned line, const char *message, void *userdata) {
        log_warning("%s:%u: %s", file, line, message);
}

int host_load_config(Host *h) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        r = config_load("", on_config_warning, NULL, &config);
        if (r < 0)
                return r;
        config_free(h->config);
        h->config = TAKE_PTR(config);
        return 0;
}

static void on_hook_warning(const char *message, void *userdata) {
        char ***warnings = ASSERT_PTR(userdata);

        if (strv_extend(warnings, message) < 0)
                (void) log_oom();
}

char *const *host_find_hooks(Host *h) {
        _cleanup_strv_free_ char **before = TAKE_PTR(h->hook_warnings);
        char **hooks;

        if (hooks_find("", 0, on_hook_warning, &h->hook_warnings, &hooks) < 0) {
                /* Rather the former ones than none. */
                (void) log_oom();
                return h->hooks;
        }
        for (char **w = h->hook_warnings; w && *w; w++)
                if (!strv_contains(before, *w))
                        log_warning("%s", *w);
        strv_free(h->hooks);
        h->hooks = hooks;
        return h->hooks;
}

/* A file that cannot be used is left alone: it may be of a later version. */
static int load_defaults(Host *h) {
        int r;

        r = defaults_load(h->state_dir, &h->defaults);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                log_error_errno(r, "Failed to read %s/defaults, leaving it as it is: %m", h->state_dir);
        h->off = defaults_are_off();
        return 0;
}

int host_new(sd_event *event, const char *run_dir, const char *worker_program, Host **ret) {
        _cleanup_(host_freep) Host *h = calloc(1, sizeof(Host));
        int r;

        if (!h)
                return -ENOMEM;
        h->event = sd_event_ref(event);
        h->run_dir = strdup(run_dir);
        h->state_dir = strdup(GPUPT_STATE_DIR);
        h->worker_program = strdup(worker_program);
        h->snapshot = snapshot_new();
        if (!h->run_dir || !h->state_dir || !h->worker_program || !h->snapshot)
                return -ENOMEM;
        r = reader_pool_new(event, h->worker_program, h->run_dir, &h->readers);
        if (r < 0)
                return r;
        r = quirk_db_new(&h->quirks);
        if (r >= 0)
                r = ladder_memory_new(h->state_dir, &h->ladder_memory);
        if (r >= 0)
                r = load_defaults(h);
        if (r >= 0)
                r = kernel_log_new(secure_getenv(ENV_JOURNAL_DIR), &h->kernel_log);
        if (r >= 0)
                r = host_load_config(h);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(h);
        return 0;
}

Host *host_free(Host *h) {
        if (!h)
                return NULL;
        sd_event_source_disable_unref(h->retry);
        while (h->scans)
                scan_free(h->scans);
        while (h->taken) {
                Look *l = h->taken;

                LIST_REMOVE(looks, h->taken, l);
                free(l->key);
                strv_free(l->addresses);
                free(l);
        }
        reader_pool_free(h->readers);
        snapshot_free(h->snapshot);
        config_free(h->config);
        strv_free(h->hooks);
        strv_free(h->hook_warnings);
        quirk_db_free(h->quirks);
        ladder_memory_free(h->ladder_memory);
        defaults_free(h->defaults);
        kernel_log_free(h->kernel_log);
        free(h->run_dir);
        free(h->state_dir);
        free(h->worker_program);
        sd_event_unref(h->event);
        free(h);
        return NULL;
}
