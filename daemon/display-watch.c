/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "display-watch.h"

#include <stdarg.h>
#include <time.h>

#include "census.h"
#include "dbus/errors.h"
#include "dbus/names.h"
#include "display-record.h"
#include "sleep.h"
#include "unit-client.h"
#include "util/log-ids.h"
#include "util/log.h"

/* Where a login is started. tty1 is what somebody sees first, but display managers live there and conflict with its getty
 * (gdm.service, sddm.service), so starting it stops one that runs. tty6 is the one that logind keeps for logins
 * (ReserveVT= in logind.conf(5)): no desktop ever takes it. */
#define CONSOLE_IN_FRONT "getty@tty1.service"
#define CONSOLE_BEHIND "getty@tty6.service"

/* What nobody tells the end of (the reading of a firmware image) is looked at again. */
#define RETRY_USEC (5 * 1000000ULL)

struct DisplayWatch {
        Manager *manager; /* weak */
        DisplayRecord *record;
        sd_event_source *timer;
        bool due, told;       /* the time is over, and something was in the way; that was said */
        ScanWaiter *look;     /* then, one after the other: what is seen decides, not what is remembered */
        CensusWaiter *census;
        char **unstarted;     /* units that the attach could not start */
        UnitOperation *console;
        bool over;            /* ends with it */
        LIST_FIELDS(DisplayWatch, watches);
};

/* ---- life ---- */

static DisplayWatch *find_watch(const Manager *m, const char *gpu) {
        LIST_FOREACH(watches, w, m->display_watches)
                if (streq(w->record->gpu, gpu))
                        return w;
        return NULL;
}

static Gpu *gpu_of(const DisplayWatch *w) {
        return manager_find_gpu(w->manager, w->record->gpu);
}

static void stop_waiting(DisplayWatch *w) {
        w->due = false;
        w->timer = sd_event_source_disable_unref(w->timer);
        w->look = scan_waiter_free(w->look);
        w->census = census_waiter_free(w->census);
}

static DisplayWatch *watch_free(DisplayWatch *w) {
        if (!w)
                return NULL;
        if (w->manager)
                LIST_REMOVE(watches, w->manager->display_watches, w);
        stop_waiting(w);
        unit_operation_free(w->console);
        strv_free(w->unstarted);
        display_record_free(w->record);
        free(w);
        return NULL;
}

/* Takes over the record. */
static DisplayWatch *watch_new(Manager *m, DisplayRecord *record) {
        DisplayWatch *w = calloc(1, sizeof(DisplayWatch));

        if (!w || !record) {
                free(w);
                display_record_free(record);
                (void) log_oom();
                return NULL;
        }
        *w = (DisplayWatch) { .manager = m, .record = record };
        LIST_APPEND(watches, m->display_watches, w);
        return w;
}

static void forget_screens(Gpu *g) {
        if (g)
                g->missed_screens = strv_free(g->missed_screens);
}

static void watch_end(DisplayWatch *w) {
        int r;

        forget_screens(gpu_of(w));
        r = display_record_remove(w->manager->host->run_dir, w->record->gpu);
        if (r < 0)
                log_warning_errno(r, "%s: the record of the watch over its display is still there, ignoring: %m", w->record->gpu);
        watch_free(w);
}

static void watch_log(const DisplayWatch *w, int level, const char *id, const char *format, ...) _printf_(4, 5);
static void watch_log(const DisplayWatch *w, int level, const char *id, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);
        (void) log_with(level, 0, id, LOG_FIELDS({ GPUPT_FIELD_GPU, w->record->gpu }), "%s: %s", w->record->gpu, strempty(text));
}

static uint64_t now_usec(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static uint64_t timeout_usec(const Gpu *g) {
        return config_display_timeout(g->host->config, g->config) * 1000000ULL;
}

/* Of a card that is not there only the host's own setting is known. */
static bool is_switched_off(const Gpu *g) {
        return timeout_usec(g) == 0 && gpu_display(g);
}

/* ---- time ---- */

static int on_time(sd_event_source *source, uint64_t usec, void *userdata);

static void set_timer(DisplayWatch *w, uint64_t usec) {
        w->timer = sd_event_source_disable_unref(w->timer);
        if (sd_event_add_time(w->manager->event, &w->timer, CLOCK_MONOTONIC, usec, 1, on_time, w) < 0)
                (void) log_oom();
}

/* From the event loop, so that nothing is begun in the middle of what somebody else tells. */
static void poke(DisplayWatch *w) {
        if (!w->due)
                return;
        w->due = false;
        set_timer(w, 0);
}

/* What the next daemon does not know it does not do: that is told, and no more. */
static void store(const DisplayWatch *w) {
        int r = display_record_store(w->manager->host->run_dir, w->record);

        if (r < 0)
                log_warning_errno(r, "%s: the watch over its display could not be written down, going on: %m", w->record->gpu);
}

static void wait_until(DisplayWatch *w, DisplayWait wait, uint64_t usec) {
        stop_waiting(w);
        w->told = false;
        w->record->wait = wait;
        w->record->until_usec = usec;
        w->record->job = 0;
        store(w);
        set_timer(w, usec);
}

static void wait_for_job(DisplayWatch *w, DisplayWait wait, unsigned id) {
        stop_waiting(w);
        w->record->wait = wait;
        w->record->job = id;
        store(w);
}

/* ---- what is seen ---- */

static bool has_screen(const Function *f) {
        if (!function_is_display(f) || !f->driver || plan_function_is_detached(f))
                return false;
        for (size_t i = 0; i < f->n_connectors; i++)
                if (streq(f->connectors[i].status, "connected"))
                        return true;
        return false;
}

static bool screen_elsewhere(const Gpu *g) {
        const Snapshot *s = g->host->snapshot;

        for (size_t i = 0; i < s->n_functions; i++)
                if (!gpu_has_function(g, s->functions[i].address) && has_screen(s->functions + i))
                        return true;
        return false;
}

static void look_around(const Gpu *g, const Holders *holders, DisplaySituation *ret) {
        const Function *display = gpu_display(g);

        *ret = (DisplaySituation) {
                .state = g->state,
                .inconsistent = g->inconsistent,
                .used = holders && holders_find_vm(holders),
                .lit = display && has_screen(display),
                .lit_elsewhere = screen_elsewhere(g),
        };
}

/* What ends by itself, and is waited for. */
static bool is_in_the_way(const DisplayWatch *w, const Gpu *g) {
        return g->job || (g->rom_read && g->state != GPU_STUCK) || sleep_in_progress(w->manager->sleep);
}

/* ---- what is done ---- */

/* Whoever has a desktop, or a shell, on this host has it by a screen that he sees, or from afar: he is not logged out for
 * one that is black. A greeter nobody sees is nobody's. */
static bool nobody_is_logged_in(const Holders *holders) {
        for (size_t i = 0; holders && i < holders->n_logins; i++)
                if (startswith(holders->logins[i].class, "user") &&
                    (login_is_desktop(holders->logins + i) || !isempty(holders->logins[i].seat)))
                        return false;
        return holders;
}

static int copy_list(char *const *from, char ***ret) {
        _cleanup_strv_free_ char **copy = NULL;
        int r = 0;

        for (; from && *from && r >= 0; from++)
                r = strv_extend(&copy, *from);
        if (r >= 0)
                *ret = TAKE_PTR(copy);
        return r;
}

static void begin_job(DisplayWatch *w, Gpu *g, DisplayWait wait, const Holders *holders) {
        bool heals = wait == DISPLAY_WAIT_RECOVERY;
        PlanOptions options = { .wait_sec = w->manager->host->config->wait_sec, .disrupt_session = heals,
                                .log_out = heals && nobody_is_logged_in(holders) };
        _cleanup_(holders_freep) Holders *shown = NULL;
        _cleanup_strv_free_ char **screens = NULL;
        Job *j;
        int r = 0;

        if (heals && holders)
                r = holders_copy(holders, &shown);
        if (heals && r >= 0)
                r = copy_list(w->record->screens, &screens);
        if (r >= 0)
                r = manager_start_job(w->manager, g, heals ? OPERATION_RECOVER : OPERATION_ATTACH, &options, 0, NULL, shown, &j);
        if (r < 0) {
                log_error_errno(r, "%s: the job that is to bring its display back could not be started: %m", g->address);
                watch_end(w);
                return;
        }
        TAKE_PTR(shown);
        forget_screens(g);
        g->missed_screens = TAKE_PTR(screens);
        wait_for_job(w, wait, j->intent->id);
        manager_announce_job(w->manager, j);
}

static void on_console(int error, const char *text, void *userdata) {
        DisplayWatch *w = ASSERT_PTR(userdata);

        w->console = NULL;
        if (error < 0)
                watch_log(w, LOG_ERR, MESSAGE_ID_DISPLAY_LOST,
                          "the login on a text console could not be started (%s). Log in from another host, by ssh.", text);
        else
                watch_log(w, LOG_NOTICE, NULL, "a login was started on a text console.");
        if (w->over)
                watch_end(w);
}

/* What was said goes first: systemd may be what does not answer. */
static void start_console(DisplayWatch *w, const char *unit, bool over) {
        int r;

        w->console = unit_operation_free(w->console);
        w->over = over;
        r = unit_client_do(w->manager->units, UNIT_START, unit, NULL, on_console, w, &w->console);
        if (r < 0)
                on_console(r, strerror(-r), w);
}

static void give_up(DisplayWatch *w, const Gpu *g, const Holders *holders) {
        bool alone = holders && !holders->display_manager;
        const char *unit = alone ? CONSOLE_IN_FRONT : CONSOLE_BEHIND;
        const char *tried = w->record->healed                   ? "An attach and a recovery were tried"
                            : w->record->wait == DISPLAY_WAIT_VM ? "It was not attached"
                                                                 : "It was not recovered";
        const char *why = w->record->healed          ? ""
                          : g->inconsistent          ? ", since what is on disk about it cannot be used"
                          : g->state == GPU_STUCK    ? ", since a kernel call on it has not returned"
                          : g->state == GPU_ABSENT   ? ", since it is not on the bus any more"
                                                     : ", since somebody else has changed it";

        watch_log(w, LOG_ERR, MESSAGE_ID_DISPLAY_LOST,
                  "no display has come back to this host. %s%s; it is %s now. %s is started: log in there (%s), or from another host "
                  "by ssh, and see 'gpuptctl status %s' and 'gpuptctl log %s'.",
                  tried, why, gpu_state_to_string(g->state), unit, alone ? "Ctrl+Alt+F1" : "Ctrl+Alt+F6", g->address, g->address);
        start_console(w, unit, true);
}

static void carry_out(DisplayWatch *w, Gpu *g, DisplayAction action, const Holders *holders) {
        switch (action) {
        case DISPLAY_ATTACH:
                if (w->record->healed)
                        watch_log(w, LOG_NOTICE, NULL, "it is attached once more after its recovery.");
                else
                        watch_log(w, LOG_NOTICE, MESSAGE_ID_DISPLAY_UNUSED,
                                  "no VM has opened it in its time (DisplayTimeoutSec=), so it goes back to the host.");
                begin_job(w, g, DISPLAY_WAIT_ATTACH, holders);
                return;
        case DISPLAY_RECOVER:
                watch_log(w, LOG_WARNING, MESSAGE_ID_DISPLAY_DARK, "%s, so it is recovered.",
                          w->record->wait == DISPLAY_WAIT_RECOVERY
                                  ? "it could not be attached, and this host has no display"
                                  : "it has not brought a display back to this host in its time (DisplayTimeoutSec=)");
                begin_job(w, g, DISPLAY_WAIT_RECOVERY, holders);
                return;
        case DISPLAY_GIVE_UP:
                give_up(w, g, holders);
                return;
        case DISPLAY_BACK:
                watch_log(w, LOG_INFO, NULL, "its display is back.");
                break;
        case DISPLAY_USED:
                watch_log(w, LOG_NOTICE, NULL, "somebody makes use of it, so its display is not waited for any more.");
                gpu_look(g);
                break;
        case DISPLAY_ELSEWHERE:
                watch_log(w, LOG_NOTICE, NULL, "it has not brought its display back. Another card of this host has a screen, "
                                               "so nothing is done about it; 'gpuptctl reset %s' does.", g->address);
                break;
        default:
                break;
        }
        watch_end(w);
}

/* A display manager that did not start again: there may be a picture, but nobody can log in to it. True: that is all. */
static bool replace_login(DisplayWatch *w, const Gpu *g, const Holders *holders, bool lit) {
        _cleanup_strv_free_ char **unstarted = TAKE_PTR(w->unstarted);
        const char *manager = holders ? holders->display_manager : NULL;
        bool over = lit || strv_length(w->record->screens) == 0;

        if (!manager || !strv_contains(unstarted, manager))
                return false;
        watch_log(w, LOG_ERR, MESSAGE_ID_DISPLAY_NO_LOGIN,
                  "it is back with the host, but %s has not started. " CONSOLE_IN_FRONT " is started instead: log in there "
                  "(Ctrl+Alt+F1), or from another host by ssh, and see 'systemctl status %s'.", manager, manager);
        if (!over)
                wait_until(w, DISPLAY_WAIT_SCREEN, now_usec() + timeout_usec(g));
        start_console(w, CONSOLE_IN_FRONT, over);
        return true;
}

static void act(DisplayWatch *w, const Holders *holders) {
        Gpu *g = gpu_of(w);
        DisplaySituation s;
        bool had_unstarted = w->unstarted;

        if (!g || is_switched_off(g)) {
                watch_end(w);
                return;
        }
        if (is_in_the_way(w, g)) {
                w->due = true;
                return;
        }
        look_around(g, holders, &s);
        if (w->unstarted && replace_login(w, g, holders, s.lit))
                return;
        if (had_unstarted && !s.lit && strv_length(w->record->screens) > 0) {
                wait_until(w, DISPLAY_WAIT_SCREEN, now_usec() + timeout_usec(g));
                return;
        }
        carry_out(w, g, had_unstarted && !s.lit ? DISPLAY_END : display_decide(w->record->wait, w->record->healed, &s), holders);
}

static void on_census(int error, const Holders *holders, void *userdata) {
        DisplayWatch *w = ASSERT_PTR(userdata);

        w->census = NULL;
        /* Without one the attach's own decides. */
        act(w, error < 0 ? NULL : holders);
}

static void on_looked(void *userdata) {
        DisplayWatch *w = ASSERT_PTR(userdata);
        Gpu *g = gpu_of(w);

        w->look = NULL;
        if (!g || gpu_census(g, on_census, w, &w->census) < 0)
                act(w, NULL);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        DisplayWatch *w = ASSERT_PTR(userdata);
        Gpu *g = gpu_of(w);

        stop_waiting(w);
        if (!g) {
                watch_end(w);
                return 0;
        }
        if (is_in_the_way(w, g)) {
                if (!w->told)
                        watch_log(w, LOG_INFO, NULL, "the time for its display is over; waiting until %s.",
                                  sleep_in_progress(w->manager->sleep) ? "the sleep of the host is over" : "it is not busy any more");
                w->due = w->told = true;
                if (g->rom_read)
                        set_timer(w, now_usec() + RETRY_USEC);
                return 0;
        }
        if (gpu_scan_wait(g, on_looked, w, &w->look) < 0)
                on_looked(w);
        return 0;
}

/* ---- what others tell ---- */

/* Whether the watch is none of this card, or not wanted any more: then it is over. */
static bool is_void(DisplayWatch *w, const Gpu *g) {
        if (is_switched_off(g))
                watch_log(w, LOG_INFO, NULL, "its display is not watched any more, by the configuration.");
        else if (g->identity && !streq(g->identity, w->record->identity))
                watch_log(w, LOG_NOTICE, NULL, "another card is there now, so its display is not waited for.");
        else
                return false;
        watch_end(w);
        return true;
}

void display_watch_on_gpu_changed(Manager *m, Gpu *g) {
        DisplayWatch *w = find_watch(m, g->address);
        DisplaySituation s;
        DisplayAction action;

        /* Before the jobs of the last daemon are known nothing is. */
        if (!w || !m->inventoried || is_void(w, g) || w->over || w->record->job > 0)
                return;
        /* The configuration may have been read again. */
        if (w->timer && w->record->until_usec > now_usec() + timeout_usec(g))
                wait_until(w, w->record->wait, now_usec() + timeout_usec(g));
        look_around(g, NULL, &s);
        action = display_notice(w->record->wait, &s);
        if (w->record->wait == DISPLAY_WAIT_VM && manager_find_lease(m, g))
                action = DISPLAY_END;
        if (action != DISPLAY_KEEP && !w->unstarted && !g->job)
                carry_out(w, g, action, NULL);
        else if (w->due && !is_in_the_way(w, g))
                poke(w);
}

void display_watch_on_sleep_changed(Manager *m) {
        LIST_FOREACH(watches, w, m->display_watches)
                poke(w);
}

/* It has ended desktops for the card, or taken the only one with a screen from a host whose administrator has not said that nobody looks at
 * it. */
static bool has_taken_display(const Job *j) {
        const Gpu *g = j->gpu;
        LastDisplay policy = g->config ? g->config->last_display : g->host->config->last_display;

        for (size_t i = 0; i < j->intent->plan->n; i++)
                if (j->intent->plan->steps[i].verb == VERB_END_SESSION || j->intent->plan->steps[i].verb == VERB_CHECK_LOGINS)
                        return true;
        return policy != LAST_DISPLAY_ALLOW && saved_get(&j->intent->saved, g->address, "screens") &&
               (g->boot_vga || !screen_elsewhere(g));
}

/* Where it had a screen when it was taken: what an attach waits for, or, of one that has come to nothing, what is still
 * recorded. None of a job that leaves the display where it is. */
static int list_screens(const Job *j, char ***ret) {
        _cleanup_strv_free_ char **screens = NULL;
        const HostRecord *record = j->gpu->record_unfit ? NULL : j->gpu->record;
        bool back = j->intent->operation == OPERATION_ATTACH && (j->result == RESULT_DONE || j->unstarted);
        _cleanup_free_ char *text = NULL;
        const char *recorded = record && !back ? saved_get(&record->saved, j->gpu->address, "screens") : NULL;
        char *state = NULL;
        int r = 0;

        /* A job that has not got beyond its first look has not said what it moves. */
        if (!strv_contains(j->intent->functions ?: j->options.functions ?: j->gpu->functions, j->gpu->address))
                return 0;

        for (size_t i = 0; i < j->intent->plan->n && r >= 0; i++)
                if (j->intent->plan->steps[i].verb == VERB_WAIT_SCREEN && !screens)
                        r = copy_list(j->intent->plan->steps[i].arguments + 1, &screens);
        if (!screens && recorded && r >= 0) {
                text = strdup(recorded);
                r = text ? 0 : -ENOMEM;
        }
        for (char *name = text ? strtok_r(text, ",", &state) : NULL; name && r >= 0; name = strtok_r(NULL, ",", &state))
                if (display_connector_valid(name) && strv_length(screens) < DISPLAY_SCREENS_MAX)
                        r = strv_extend(&screens, name);
        if (r >= 0)
                *ret = TAKE_PTR(screens);
        return r;
}

static void go_on(DisplayWatch *w, const Job *j, const DisplayStep *step, char ***screens) {
        uint64_t timeout = timeout_usec(j->gpu);

        if (*screens) {
                strv_free(w->record->screens);
                w->record->screens = TAKE_PTR(*screens);
        }
        w->record->healed = step->healed;
        w->unstarted = strv_free(w->unstarted);
        if (j->unstarted_units && copy_list(j->unstarted_units, &w->unstarted) < 0)
                (void) log_oom();
        if (step->wait == DISPLAY_WAIT_VM && !step->at_once)
                watch_log(w, LOG_INFO, NULL, "it goes back to the host if no VM opens it within %llu s (DisplayTimeoutSec=).",
                          (unsigned long long) (timeout / 1000000));
        wait_until(w, step->wait, now_usec() + (step->at_once ? 0 : timeout));
}

void display_watch_on_job_ended(Manager *m, const Job *j) {
        Gpu *g = j->gpu;
        DisplayWatch *w = find_watch(m, g->address);
        bool own = w && w->record->job == j->intent->id;
        _cleanup_strv_free_ char **screens = NULL;
        DisplayStep step;

        if (own)
                forget_screens(g);
        if (timeout_usec(g) == 0 || (w && is_void(w, g)))
                return;
        if (list_screens(j, &screens) < 0)
                (void) log_oom();
        step = display_after_job(&(DisplayJob) {
                .own = own,
                .rest = j->intent->replaces > 0,
                .operation = j->intent->operation,
                .phase = j->intent->vm_phase,
                .result = j->result,
                .error = j->error,
                .idle = j->intent->plan->n == 0 && j->intent->n_attempts == 0,
                .took = has_taken_display(j),
                .drew = screens,
                .unstarted = j->unstarted,
                .leased = manager_find_lease(m, g),
                .state = g->state,
        }, w && w->record->healed);
        if (step.action == DISPLAY_NEXT && (!w || w->over)) {
                /* What waits for its console alone has said what there was to say. */
                watch_free(w);
                w = watch_new(m, display_record_new(g->address, strempty(g->identity)));
        }
        if (!w)
                return;
        if (step.action == DISPLAY_NEXT) {
                go_on(w, j, &step, &screens);
                /* It may be all over. */
                display_watch_on_gpu_changed(m, g);
        } else if (step.action == DISPLAY_KEEP)
                poke(w);
        else if (!w->over && j->result == RESULT_CANCELLED) {
                watch_log(w, LOG_NOTICE, NULL, "that it comes back was cancelled, so its display is not waited for any more.");
                watch_end(w);
        } else if (!w->over)
                carry_out(w, g, step.action, NULL);
}

/* ---- what the last daemon left ---- */

void display_watch_load(Manager *m) {
        _cleanup_strv_free_ char **gpus = NULL;
        int r;

        r = display_record_list(m->host->run_dir, &gpus);
        if (r < 0)
                log_warning_errno(r, "Failed to look for watches over displays: %m");
        for (char **gpu = gpus; gpu && *gpu; gpu++) {
                DisplayRecord *record;
                DisplayWatch *w;
                Gpu *g;

                r = display_record_load(m->host->run_dir, *gpu, &record);
                if (r < 0) {
                        log_warning_errno(r, "%s: the record of the watch over its display is not readable, leaving it: %m", *gpu);
                        continue;
                }
                w = watch_new(m, record);
                g = w ? gpu_of(w) : NULL;
                if (g && w->record->wait == DISPLAY_WAIT_RECOVERY && copy_list(w->record->screens, &g->missed_screens) < 0)
                        (void) log_oom();
        }
}

/* A job that is not there has not begun, or has ended without anybody being told: an attach shows by what it has done, and a
 * recovery is not done twice. */
static void take_up(DisplayWatch *w, const Gpu *g) {
        DisplayRecord *record = w->record;
        uint64_t now = now_usec(), timeout = timeout_usec(g);

        if (record->job == 0) {
                wait_until(w, record->wait, MIN(record->until_usec, now + timeout));
                return;
        }
        record->healed = record->healed || record->wait == DISPLAY_WAIT_RECOVERY;
        if (g->state == GPU_HOST && strv_length(record->screens) == 0)
                watch_end(w);
        else if (g->state == GPU_HOST)
                wait_until(w, DISPLAY_WAIT_SCREEN, now + timeout);
        else
                wait_until(w, DISPLAY_WAIT_ATTACH, now);
}

void display_watch_take_up(Manager *m) {
        LIST_FOREACH_SAFE(watches, w, m->display_watches) {
                Gpu *g = gpu_of(w);

                if (!g)
                        watch_end(w);
                else if (w->timer || w->due || is_void(w, g))
                        /* Its job has ended while it was taken up; or it is over. */
                        continue;
                else if (w->record->job == 0 || !g->job || g->job->intent->id != w->record->job)
                        take_up(w, g);
        }
}

void display_watch_free_all(Manager *m) {
        while (m->display_watches)
                watch_free(m->display_watches);
}
