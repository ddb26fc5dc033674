/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "manager-defaults.h"

#include "exec-client.h"
#include "unit-client.h"
#include "util/log.h"
#include "worker/protocol.h"

#define RULES_UNIT "gpuptd-exec-0-rules.service"
#define INITRAMFS_UNIT "gpuptd-exec-0-initramfs.service"
#define RULES_LIMIT_USEC (20 * 1000000ULL)
#define INITRAMFS_LIMIT_USEC (600 * 1000000ULL)

struct DefaultWaiter {
        Manager *manager;
        char *gpu;
        DefaultWish before; /* to be put back; gpu NULL: nothing was said */
        bool fallback;      /* as it was, too */
        default_handler_t handler;
        void *userdata;
        LIST_FIELDS(DefaultWaiter, waiters);
};

/* ---- what is to be reserved ---- */

/* A card that is not there now is not forgotten for that: what was reserved of its slot stays. */
static int keep_reserves(const Defaults *old, const char *gpu, Defaults *d) {
        size_t n = strlen(gpu) - 1; /* less the function's number */
        int r = 0;

        for (size_t i = 0; i < old->n_reserves && r >= 0; i++)
                if (strncmp(old->reserves[i].function, gpu, n) == 0)
                        r = defaults_reserve(d, old->reserves[i].function, old->reserves[i].ids,
                                             old->reserves[i].driver, old->reserves[i].bridges);
        return r;
}

static int reserve_function(const Gpu *g, const Function *f, Defaults *d) {
        const char *wanted = f == gpu_display(g) && g->config ? g->config->vfio_driver : NULL;
        _cleanup_free_ char *driver = plan_vfio_driver(f, wanted), *ids = function_identity(f);

        return driver && ids ? defaults_reserve(d, f->address, ids, driver, f->bridges) : -ENOMEM;
}

static int reserve_gpu(const Gpu *g, Defaults *d) {
        int r = 0;

        if (!gpu_display(g))
                return keep_reserves(g->host->defaults, g->address, d);
        for (char **a = g->functions; *a && r >= 0; a++) {
                const Function *f = snapshot_find(g->host->snapshot, *a);

                if (f)
                        r = reserve_function(g, f, d);
        }
        return r;
}

static bool is_reserved(const Defaults *d, const char *function) {
        for (size_t i = 0; i < d->n_reserves; i++)
                if (streq(d->reserves[i].function, function))
                        return true;
        return false;
}

/* What somebody says is asked about then (SetDefault). A file is not, so it is not followed where the next boot would have no display. One
 * that is reserved already is not looked at by anybody any more, and stays so. */
static bool takes_last_display(const Gpu *g, const Defaults *d) {
        const DefaultWish *w = defaults_find(d, g->address);

        if ((w && streq_ptr(w->identity, g->identity)) || is_reserved(g->host->defaults, g->address) || !gpu_blanks_last_display(g))
                return false;
        log_warning("%s drives the display that somebody looks at, so Default=vfio of %s is not followed: the next boot would not have it. "
                    "LastDisplay=allow in that file allows that.",
                    g->address, g->config->file);
        return true;
}

/* Of cards that the host has, and of those that somebody has spoken of and that are not there. */
static int add_reserves(const Manager *m, Defaults *d) {
        int r = 0;

        LIST_FOREACH(gpus, g, m->gpus)
                if (r >= 0 && gpu_default_is_vfio(g, d) && !takes_last_display(g, d))
                        r = reserve_gpu(g, d);
        for (size_t i = 0; i < d->n_wishes && r >= 0; i++)
                if (d->wishes[i].vfio && !manager_find_gpu(m, d->wishes[i].gpu))
                        r = keep_reserves(m->host->defaults, d->wishes[i].gpu, d);
        return r;
}

/* Its bridges and ids are those of now, so one that is not there keeps what it had. */
static int keep_apart(const Defaults *old, const char *gpu, Defaults *d) {
        for (size_t i = 0; i < old->n_aparts; i++)
                if (streq(old->aparts[i].function, gpu))
                        return defaults_set_apart(d, gpu, old->aparts[i].ids, old->aparts[i].bridges);
        return 0;
}

/* Not after boots that have failed: the screen may be wanted then. */
static int add_aparts(const Manager *m, Defaults *d) {
        int r = 0;

        LIST_FOREACH(gpus, g, m->gpus) {
                const Function *f = gpu_display(g);
                _cleanup_free_ char *ids = f ? function_identity(f) : NULL;

                if (r < 0 || d->fallback || !g->config || g->config->desktops != DESKTOPS_LEAVE)
                        continue;
                if (!f)
                        r = keep_apart(m->host->defaults, g->address, d);
                else
                        r = ids ? defaults_set_apart(d, f->address, ids, f->bridges) : -ENOMEM;
        }
        return r;
}

/* Takes over the wishes. 1: there is something new on disk. */
static int apply(Manager *m, Defaults *wishes) {
        _cleanup_(defaults_freep) Defaults *d = wishes;
        int r, same;

        r = add_reserves(m, d);
        if (r >= 0)
                r = add_aparts(m, d);
        if (r >= 0)
                r = defaults_store(m->host->state_dir, d);
        if (r < 0)
                return r;
        same = defaults_have_same_reserves(m->host->defaults, d);
        m->defaults_changed = m->defaults_changed || same <= 0;
        defaults_free(m->host->defaults);
        m->host->defaults = TAKE_PTR(d);
        LIST_FOREACH(gpus, g, m->gpus)
                m->hooks.gpu_changed(m, g);
        return r;
}

/* ---- the program ---- */

static int run(Manager *m, const char *verb, const char *unit, const char *description, uint64_t limit,
               exec_handler_t handler, Exec **ret) {
        const char *argv[] = { secure_getenv(ENV_RESTORE) ?: RESTORE_PROGRAM, verb, NULL };

        return exec_run(unit_client_bus(m->units),
                        &(ExecRequest) { .unit = unit, .description = description, .argv = (char *const *) argv,
                                         .limit_usec = limit, .output_max = 4096 },
                        handler, m, ret);
}

static void renew_initramfs(Manager *m);

static void on_initramfs(const ExecResult *result, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);

        m->defaults_initramfs = NULL;
        if (result->error < 0)
                log_warning_errno(
                        result->error,
                        "Failed to renew the initramfs (%s): what is loaded there may take a card that is to "
                        "be with VFIO. Run update-initramfs -u. %m",
                        result->text);
        if (m->defaults_renew)
                renew_initramfs(m);
}

static void renew_initramfs(Manager *m) {
        int r;

        m->defaults_renew = m->defaults_initramfs;
        if (m->defaults_initramfs)
                return;
        r = run(m, "initramfs", INITRAMFS_UNIT, "Renew the initramfs for GPU passthrough", INITRAMFS_LIMIT_USEC,
                on_initramfs, &m->defaults_initramfs);
        if (r < 0)
                log_warning_errno(r, "Failed to start the renewal of the initramfs: %m");
}

static void put_back(Manager *m, const DefaultWaiter *w) {
        _cleanup_(defaults_freep) Defaults *d = NULL;
        int r = defaults_copy_wishes(m->host->defaults, &d);

        if (r >= 0 && w->before.gpu)
                r = defaults_wish(d, w->gpu, w->before.identity, w->before.vfio);
        else if (r >= 0)
                defaults_forget(d, w->gpu);
        if (r >= 0) {
                d->fallback = w->fallback;
                r = apply(m, TAKE_PTR(d));
        }
        if (r < 0)
                log_error_errno(r, "Failed to take back the default of %s: %m", w->gpu);
}

/* The latest first: what it found may be the wish of one before it. */
static void put_all_back(Manager *m) {
        const DefaultWaiter *last = m->default_waiters;

        while (last && last->waiters_next)
                last = last->waiters_next;
        for (; last; last = last->waiters_prev)
                put_back(m, last);
}

static int start_rules(Manager *m);

static void on_rules(const ExecResult *result, void *userdata) {
        Manager *m = ASSERT_PTR(userdata);
        const char *text = result->text;
        int error = result->error;

        m->defaults_rules = NULL;
        if (m->defaults_again) {
                error = start_rules(m);
                if (error >= 0)
                        return;
                text = "starting it once more";
        }
        if (error < 0) {
                log_error_errno(error, "Failed to write the rules that reserve cards at boot (%s): %m", text);
                put_all_back(m);
        } else if (m->defaults_changed)
                renew_initramfs(m);
        m->defaults_changed = false;
        while (m->default_waiters) {
                DefaultWaiter *w = m->default_waiters;

                w->handler(error, text, w->userdata);
                default_waiter_free(w);
        }
}

static int start_rules(Manager *m) {
        int r;

        m->defaults_again = m->defaults_rules;
        if (m->defaults_rules)
                return 0;
        r = run(m, "rules", RULES_UNIT, "Write the rules that reserve GPUs for VFIO at boot", RULES_LIMIT_USEC,
                on_rules, &m->defaults_rules);
        if (r < 0)
                log_error_errno(r, "Failed to start writing the rules that reserve cards at boot: %m");
        return r;
}

/* ---- face ---- */

int manager_set_default(Manager *m, const Gpu *g, bool vfio, default_handler_t handler, void *userdata,
                        DefaultWaiter **ret) {
        _cleanup_(defaults_freep) Defaults *d = NULL;
        const DefaultWish *before;
        DefaultWaiter *w;
        int r;

        if (!m->host->defaults)
                return -EPROTONOSUPPORT;
        before = defaults_find(m->host->defaults, g->address);
        w = calloc(1, sizeof(DefaultWaiter));
        if (!w)
                return -ENOMEM;
        *w = (DefaultWaiter) { .manager = m, .gpu = strdup(g->address), .fallback = m->host->defaults->fallback,
                               .handler = handler, .userdata = userdata };
        LIST_APPEND(waiters, m->default_waiters, w);
        if (before) {
                w->before = (DefaultWish) { .gpu = strdup(before->gpu), .identity = strdup(before->identity), .vfio = before->vfio };
                r = w->before.gpu && w->before.identity ? 0 : -ENOMEM;
        } else
                r = 0;
        if (r >= 0)
                r = w->gpu ? defaults_copy_wishes(m->host->defaults, &d) : -ENOMEM;
        if (r >= 0) {
                d->fallback = false;
                r = defaults_wish(d, g->address, strempty(g->identity), vfio);
        }
        if (r >= 0)
                r = apply(m, TAKE_PTR(d));
        if (r < 0) {
                default_waiter_free(w);
                return r;
        }
        r = start_rules(m);
        if (r < 0) {
                put_back(m, w);
                default_waiter_free(w);
                return r;
        }
        *ret = w;
        return 0;
}

DefaultWaiter *default_waiter_free(DefaultWaiter *w) {
        if (!w)
                return NULL;
        LIST_REMOVE(waiters, w->manager->default_waiters, w);
        free(w->gpu);
        free(w->before.gpu);
        free(w->before.identity);
        free(w);
        return NULL;
}

void manager_follow_defaults(Manager *m) {
        _cleanup_(defaults_freep) Defaults *d = NULL;
        int r;

        if (!m->host->defaults || !m->inventoried)
                return;
        r = defaults_copy_wishes(m->host->defaults, &d);
        if (r >= 0)
                r = apply(m, TAKE_PTR(d));
        if (r < 0) {
                log_error_errno(r, "Failed to note which cards are to be with VFIO from the boot on: %m");
                return;
        }
        if (m->host->defaults->fallback)
                log_warning("The last boots with cards reserved for VFIO did not come to their end: all of them are with the host now, "
                            "until gpuptctl set-default is told of one again.");
        m->defaults_changed = m->defaults_changed || m->host->defaults->fallback;
        /* Also what is as it was is written once: the rules may have been lost. */
        if (r > 0 || ((defaults_have_rules(m->host->defaults) || m->host->defaults->fallback) && !m->defaults_followed))
                (void) start_rules(m);
        m->defaults_followed = true;
}

void manager_free_defaults(Manager *m) {
        while (m->default_waiters)
                default_waiter_free(m->default_waiters);
        exec_free(m->defaults_rules);
        exec_free(m->defaults_initramfs);
}
