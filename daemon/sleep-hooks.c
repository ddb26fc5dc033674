/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-hooks: what the administrator's programs are told of a sleep: that it is about to be prepared, is prepared, is over, and that
 * all is back. The first one may refuse. Whoever was told of it is told of the last two, also where the sleep is called off, the daemon
 * is killed, or the host is started anew: who that is, is in the record before he is told. One after the other; one that hangs
 * costs its deadline. */

#include "sleep-internal.h"

#include "dbus/errors.h"
#include "util/log-ids.h"
#include "util/log.h"

static const struct {
        const char *when, *act;
} words[_SLEEP_TELLING_MAX] = {
        [SLEEP_TELLING_PRE_SLEEP] = { "pre", "sleep" },
        [SLEEP_TELLING_POST_SLEEP] = { "post", "sleep" },
        [SLEEP_TELLING_PRE_RESUME] = { "pre", "resume" },
        [SLEEP_TELLING_POST_RESUME] = { "post", "resume" },
};

/* ---- its end ---- */

/* A battery that is about to be empty is kept from nothing, and a laptop that runs on it is not kept awake in its bag, where logind would ask again
 * for ever. What is being taken back anyway is not refused. */
static bool may_refuse(const Sleep *s) {
        const PowerSituation *power = &s->power;
        bool hot = s->power_known && (power->battery_critical || (power->lid_closed && power->on_battery));

        return s->record->hooks.telling == SLEEP_TELLING_PRE_SLEEP && s->record->phase == SLEEP_PREPARING && !s->calling_off &&
               s->m->host->config->hook_on_error == HOOK_ERROR_REFUSE && !hot;
}

static void fail(Sleep *s, const char *name, int error, const char *text) {
        const SleepHooks *h = &s->record->hooks;
        _cleanup_free_ char *line = NULL;

        if (may_refuse(s)) {
                sleep_veto(s, "", error == -ETIMEDOUT ? GPUPT_ERROR_TIMEOUT : GPUPT_ERROR_FAILED,
                           "The hook %s does not let the host sleep: %s. See it in " HOOKS_DIRECTORY
                           ", and OnError= of [Hooks] in gpuptd.conf(5).",
                           name, text);
                return;
        }
        if (asprintf(&line, "the hook %s has failed (%s %s): %s", name, words[h->telling].when, words[h->telling].act, text) < 0) {
                line = NULL;
                (void) log_oom();
                return;
        }
        sleep_log(s, LOG_WARNING, MESSAGE_ID_HOOK_FAILED, NULL, "%s", line);
        if (sleep_record_add_hook_failure(s->record, line) < 0)
                (void) log_oom();
}

static void ended(Sleep *s, int error, const char *text) {
        SleepHooks *h = &s->record->hooks;
        const char *name = h->names[h->done++];

        h->call = 0;
        if (error < 0)
                fail(s, name, error, isempty(text) ? strerror(-error) : text);
        (void) sleep_store(s);
        sleep_poke(s);
}

static void on_ended(int error, const char *text, const char *output, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);
        const char *name = s->record->hooks.names[s->record->hooks.done];
        char line[256];

        s->hook = NULL;
        for (unsigned i = 0; i < HOOK_LINES_MAX && hook_next_line(&output, line, sizeof(line)); i++)
                sleep_log(s, LOG_INFO, NULL, NULL, "hook %s: %s", name, line);
        ended(s, error, text);
}

/* ---- one of them ---- */

static const char *result_of(const Sleep *s) {
        const SleepRecord *r = s->record;

        if (r->hooks.telling == SLEEP_TELLING_POST_SLEEP)
                return "done";
        if (r->hooks.telling != SLEEP_TELLING_POST_RESUME)
                return NULL;
        return r->phase == SLEEP_RESUMING && sleep_record_is_whole(r) ? "done" : "failed";
}

static int run(Sleep *s) {
        const SleepHooks *h = &s->record->hooks;
        char *gpus[SLEEP_CARDS_MAX + 1] = {};

        for (size_t i = 0; i < s->record->n_cards; i++)
                gpus[i] = s->record->cards[i].address;
        return hook_run_new(s->m->bus,
                            &(HookRequest) {
                                    .name = h->names[h->done],
                                    .job = s->record->job,
                                    .number = h->call,
                                    .when = words[h->telling].when,
                                    .act = words[h->telling].act,
                                    .result = result_of(s),
                                    .operation = operation_to_string(s->record->phase == SLEEP_RESUMING ? OPERATION_RESUME : OPERATION_SLEEP),
                                    .sleep = s->record->operation,
                                    .gpus = gpus,
                                    .limit_sec = s->m->host->config->hook_timeout_sec,
                            },
                            on_ended, s, &s->hook);
}

/* On disk first. One that a daemon before has begun is waited for, by the name of its unit; if it has ended, it is told again. */
static void tell_next(Sleep *s) {
        SleepHooks *h = &s->record->hooks;
        int r;

        if (h->call == 0)
                h->call = sleep_next_call(s, 1);
        sleep_describe(s, "run the hook %s (%s %s)", h->names[h->done], words[h->telling].when, words[h->telling].act);
        r = sleep_store(s);
        if (r < 0 && h->telling == SLEEP_TELLING_PRE_SLEEP && s->record->phase == SLEEP_PREPARING) {
                /* Whoever is told of it now would perhaps not be told of its end. */
                sleep_veto(s, "", GPUPT_ERROR_FAILED, "Which hooks are told of the sleep could not be written down: %s.", strerror(-r));
                h->call = 0;
                sleep_poke(s);
                return;
        }
        r = run(s);
        if (r < 0)
                ended(s, r, "");
}

/* ---- all of them ---- */

static int begin(Sleep *s, SleepTelling telling) {
        SleepHooks *h = &s->record->hooks;
        char *const *found;
        int r = 0;

        if (telling == SLEEP_TELLING_PRE_SLEEP) {
                found = s->record->n_cards > 0 ? host_find_hooks(s->m->host) : NULL;
                for (; found && *found && r >= 0; found++)
                        r = strv_extend(&h->names, *found);
        } else if (h->telling <= SLEEP_TELLING_PRE_SLEEP)
                sleep_record_keep_told(s->record);
        h->telling = telling;
        h->done = 0;
        return r;
}

bool sleep_hooks_tell(Sleep *s, SleepTelling telling) {
        SleepHooks *h = &s->record->hooks;

        if (s->hook)
                return false;
        /* What was begun of the former one comes first. */
        if (h->telling < telling && h->call == 0 && begin(s, telling) < 0)
                (void) log_oom();
        if (h->telling > telling || h->done >= strv_length(h->names))
                return true;
        if (telling == SLEEP_TELLING_PRE_SLEEP && !sleep_power_is_known(s))
                return false;
        tell_next(s);
        return false;
}
