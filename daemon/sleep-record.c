/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-record.h"

#include <inttypes.h>

#include "hooks.h"
#include "util/address.h"
#include "util/words.h"

static const char *const sleep_phase_table[_SLEEP_PHASE_MAX] = {
        [SLEEP_PREPARING] = "preparing", [SLEEP_PREPARED] = "prepared", [SLEEP_UNDOING] = "undoing",
        [SLEEP_RESUMING] = "resuming",   [SLEEP_OVER] = "over",
};

static const char *const sleep_stage_table[_SLEEP_STAGE_MAX] = {
        [SLEEP_STAGE_PENDING] = "pending", [SLEEP_STAGE_DOING] = "doing",     [SLEEP_STAGE_DONE] = "done",
        [SLEEP_STAGE_FAILED] = "failed",   [SLEEP_STAGE_UNDOING] = "undoing", [SLEEP_STAGE_RESTORED] = "restored",
        [SLEEP_STAGE_LEFT] = "left",
};

static const char *const sleep_telling_table[_SLEEP_TELLING_MAX] = {
        [SLEEP_TELLING_NOTHING] = "nothing",       [SLEEP_TELLING_PRE_SLEEP] = "pre-sleep",
        [SLEEP_TELLING_POST_SLEEP] = "post-sleep", [SLEEP_TELLING_PRE_RESUME] = "pre-resume",
        [SLEEP_TELLING_POST_RESUME] = "post-resume",
};

DEFINE_STRING_TABLE(sleep_telling, SleepTelling);
DEFINE_STRING_TABLE(sleep_phase, SleepPhase);
DEFINE_STRING_TABLE(sleep_stage, SleepStage);

/* ---- life ---- */

static void vm_done(SleepVm *v) {
        free(v->adapter);
        free(v->id);
        free(v->name);
        free(v->message);
        strv_free(v->gpus);
}

static void card_done(SleepCard *c) {
        free(c->address);
        free(c->identity);
        free(c->health);
        free(c->message);
        free(c->driver);
        strv_free(c->functions);
}

SleepRecord *sleep_record_new(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = calloc(1, sizeof(SleepRecord));

        if (!s)
                return NULL;
        s->operation = strdup("");
        return s->operation ? TAKE_PTR(s) : NULL;
}

SleepRecord *sleep_record_free(SleepRecord *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_vms; i++)
                vm_done(s->vms + i);
        for (size_t i = 0; i < s->n_cards; i++)
                card_done(s->cards + i);
        for (size_t i = 0; i < s->n_statistics; i++) {
                free(s->statistics[i].name);
                free(s->statistics[i].value);
        }
        free(s->vms);
        free(s->cards);
        free(s->statistics);
        strv_free(s->hooks.names);
        strv_free(s->hook_failures);
        strv_free(s->kernel_lines);
        free(s->operation);
        free(s->veto_gpu);
        free(s->veto_error);
        free(s->veto_reason);
        free(s);
        return NULL;
}

int sleep_record_add_vm(SleepRecord *s, const char *adapter, const char *id, const char *name, uint32_t pid,
                        SleepVm **ret) {
        SleepVm *vms, v = { .pid = pid };

        if (s->n_vms >= SLEEP_VMS_MAX)
                return -E2BIG;
        vms = reallocarray(s->vms, s->n_vms + 1, sizeof(SleepVm));
        if (!vms)
                return -ENOMEM;
        s->vms = vms;
        v.adapter = strdup(adapter);
        v.id = strdup(id);
        v.name = strdup(name);
        v.message = strdup("");
        if (!v.adapter || !v.id || !v.name || !v.message) {
                vm_done(&v);
                return -ENOMEM;
        }
        s->vms[s->n_vms] = v;
        *ret = s->vms + s->n_vms++;
        return 0;
}

int sleep_record_add_card(SleepRecord *s, const char *address, const char *identity, SleepCard **ret) {
        SleepCard *cards, c = { .before = _GPU_STATE_INVALID, .after = _GPU_STATE_INVALID };

        if (s->n_cards >= SLEEP_CARDS_MAX)
                return -E2BIG;
        cards = reallocarray(s->cards, s->n_cards + 1, sizeof(SleepCard));
        if (!cards)
                return -ENOMEM;
        s->cards = cards;
        c.address = strdup(address);
        c.identity = strdup(identity);
        c.health = strdup("");
        c.message = strdup("");
        c.driver = strdup("");
        if (!c.address || !c.identity || !c.health || !c.message || !c.driver) {
                card_done(&c);
                return -ENOMEM;
        }
        s->cards[s->n_cards] = c;
        *ret = s->cards + s->n_cards++;
        return 0;
}

int sleep_record_add_statistic(SleepRecord *s, const char *name, const char *value) {
        _cleanup_free_ char *n = NULL, *v = NULL;
        SleepStatistic *list;

        if (s->n_statistics >= SLEEP_STATISTICS_MAX)
                return -E2BIG;
        list = reallocarray(s->statistics, s->n_statistics + 1, sizeof(SleepStatistic));
        if (!list)
                return -ENOMEM;
        s->statistics = list;
        n = strdup(name);
        v = strdup(value);
        if (!n || !v)
                return -ENOMEM;
        list[s->n_statistics++] = (SleepStatistic) { TAKE_PTR(n), TAKE_PTR(v) };
        return 0;
}

int sleep_record_add_hook_failure(SleepRecord *s, const char *text) {
        return strv_length(s->hook_failures) >= SLEEP_HOOK_FAILURES_MAX ? 0 : strv_extend(&s->hook_failures, text);
}

void sleep_record_keep_told(SleepRecord *s) {
        SleepHooks *h = &s->hooks;

        for (size_t i = strv_length(h->names); i > h->done; i--)
                h->names[i - 1] = (free(h->names[i - 1]), NULL);
}

SleepCard *sleep_record_find_card(const SleepRecord *s, const char *address) {
        for (size_t i = 0; i < s->n_cards; i++)
                if (streq(s->cards[i].address, address))
                        return s->cards + i;
        return NULL;
}

int sleep_record_veto(SleepRecord *s, const char *gpu, const char *error, const char *reason) {
        if (s->vetoed)
                return 0;
        s->vetoed = true;
        if (free_and_strdup(&s->veto_gpu, gpu) < 0 || free_and_strdup(&s->veto_error, error) < 0 ||
            free_and_strdup(&s->veto_reason, reason) < 0)
                return -ENOMEM;
        return 0;
}

bool sleep_stage_is_owed(SleepStage s) {
        return s == SLEEP_STAGE_DOING || s == SLEEP_STAGE_DONE || s == SLEEP_STAGE_FAILED || s == SLEEP_STAGE_UNDOING;
}

bool sleep_record_has_debts(const SleepRecord *s) {
        for (size_t i = 0; i < s->n_vms; i++)
                if (sleep_stage_is_owed(s->vms[i].stage))
                        return true;
        for (size_t i = 0; i < s->n_cards; i++)
                if (sleep_stage_is_owed(s->cards[i].stage))
                        return true;
        return false;
}

bool sleep_record_is_whole(const SleepRecord *s) {
        for (size_t i = 0; i < s->n_vms; i++)
                if (s->vms[i].stage == SLEEP_STAGE_LEFT)
                        return false;
        for (size_t i = 0; i < s->n_cards; i++)
                if (s->cards[i].stage == SLEEP_STAGE_LEFT)
                        return false;
        return !sleep_record_has_debts(s);
}

/* ---- to disk ---- */

/* Free text as it may be written: where it is longer, cut before a whole character. A line that is too long
 * could not be read again, and with it the whole record, whose debts nobody would pay then. */
typedef char Text[SLEEP_TEXT_MAX + 1];

static const char *fit(Text buffer, const char *text) {
        size_t n = strlen(strempty(text));

        if (n <= SLEEP_TEXT_MAX)
                return strempty(text);
        for (n = SLEEP_TEXT_MAX; n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80; n--)
                ;
        memcpy(buffer, text, n);
        buffer[n] = '\0';
        return buffer;
}

static void write_list(FILE *f, const char *const *head, char *const *tail) {
        const char *words[WORDS_MAX + 1] = {};
        size_t n = 0;

        for (; *head; head++)
                words[n++] = *head;
        for (; tail && *tail && n < WORDS_MAX; tail++)
                words[n++] = *tail;
        words_writev(f, words);
}

static void write_vm(const SleepVm *v, FILE *f) {
        char pid[16], call[16];
        Text name, message;

        (void) snprintf(pid, sizeof(pid), "%" PRIu32, v->pid);
        (void) snprintf(call, sizeof(call), "%u", v->call);
        write_list(f,
                   (const char *const[]){ "vm", v->adapter, v->id, fit(name, v->name), pid,
                                          vm_policy_to_string(v->policy), vm_action_to_string(v->action),
                                          sleep_stage_to_string(v->stage), call, fit(message, v->message), NULL },
                   v->gpus);
}

static void write_card(const SleepCard *c, FILE *f) {
        char uid[16] = "";
        Text message;

        words_write(f, "card", c->address, c->identity, strempty(gpu_state_to_string(c->before)),
                    gpu_sleep_policy_to_string(c->action), sleep_stage_to_string(c->stage),
                    strempty(gpu_state_to_string(c->after)), c->health, fit(message, c->message), NULL);
        if (c->access)
                (void) snprintf(uid, sizeof(uid), "%" PRIu32, c->access_uid);
        write_list(f, (const char *const[]) { "card-vfio", c->address, c->driver, uid, NULL }, c->functions);
}

static void write_hooks(const SleepRecord *s, FILE *f) {
        char done[16], call[16];
        Text text;

        (void) snprintf(done, sizeof(done), "%u", s->hooks.done);
        (void) snprintf(call, sizeof(call), "%u", s->hooks.call);
        if (strv_length(s->hooks.names) > 0)
                write_list(f, (const char *const[]) { "hooks", sleep_telling_to_string(s->hooks.telling), done, call, NULL },
                           s->hooks.names);
        for (char **l = s->hook_failures; l && *l; l++)
                words_write(f, "hook-failed", fit(text, *l), NULL);
}

void sleep_record_write(const SleepRecord *s, FILE *f) {
        Text text;

        fprintf(f, "gpuptd-sleep 1\ncycle %u %u %u\n", s->cycle.id, s->cycle.opened, s->cycle.closed);
        words_write(f, "boot", s->boot, NULL);
        fprintf(f, "job %u %u\n", s->job, s->calls);
        words_write(f, "operation", s->operation, NULL);
        words_write(f, "phase", sleep_phase_to_string(s->phase), NULL);
        fprintf(f,
                "time %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\nclock %" PRIu64 " %" PRIu64 "\nasleep %" PRIu64
                "\n",
                s->began, s->ready, s->woken, s->finished, s->began_monotonic, s->began_boottime, s->asleep_usec);
        if (s->vetoed)
                words_write(f, "veto", strempty(s->veto_gpu), strempty(s->veto_error), fit(text, s->veto_reason),
                            NULL);
        for (size_t i = 0; i < s->n_vms; i++)
                write_vm(s->vms + i, f);
        for (size_t i = 0; i < s->n_cards; i++)
                write_card(s->cards + i, f);
        write_hooks(s, f);
        for (char **l = s->kernel_lines; l && *l; l++)
                words_write(f, "kernel", fit(text, *l), NULL);
        if (s->kernel_more)
                fputs("kernel-more\n", f);
        for (size_t i = 0; i < s->n_statistics; i++)
                words_write(f, "statistic", s->statistics[i].name, fit(text, s->statistics[i].value), NULL);
        fputs("end\n", f);
}

/* ---- and back ---- */

static int read_unsigned(const char *s, unsigned *ret) {
        uint64_t v;
        int r = parse_u64(s, UINT32_MAX, &v);

        if (r < 0)
                return -EBADMSG;
        *ret = (unsigned) v;
        return 0;
}

static int read_times(SleepRecord *s, char *const *w) {
        uint64_t *const fields[] = { &s->began, &s->ready, &s->woken, &s->finished };

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (parse_u64(w[i + 1], INT64_MAX, fields[i]) < 0)
                        return -EBADMSG;
        return 0;
}

static int read_vm(SleepRecord *s, char *const *w) {
        SleepVm *v;
        unsigned pid;
        int r;

        r = read_unsigned(w[4], &pid);
        if (r >= 0)
                r = sleep_record_add_vm(s, w[1], w[2], w[3], pid, &v);
        if (r < 0)
                return r;
        v->policy = vm_policy_from_string(w[5]);
        v->action = vm_action_from_string(w[6]);
        v->stage = sleep_stage_from_string(w[7]);
        if (v->policy < 0 || v->action < 0 || v->stage < 0 || read_unsigned(w[8], &v->call) < 0)
                return -EBADMSG;
        r = free_and_strdup(&v->message, w[9]);
        for (char *const *a = w + 10; *a && r >= 0; a++)
                r = pci_address_valid(*a) ? strv_extend(&v->gpus, *a) : -EBADMSG;
        return r;
}

static int read_card(SleepRecord *s, char *const *w) {
        SleepCard *c;
        int r;

        if (!pci_address_valid(w[1]) || sleep_record_find_card(s, w[1]))
                return -EBADMSG;
        r = sleep_record_add_card(s, w[1], w[2], &c);
        if (r < 0)
                return r;
        c->before = gpu_state_from_string(w[3]);
        c->action = gpu_sleep_policy_from_string(w[4]);
        c->stage = sleep_stage_from_string(w[5]);
        c->after = isempty(w[6]) ? _GPU_STATE_INVALID : gpu_state_from_string(w[6]);
        if (c->before < 0 || c->action < 0 || c->stage < 0 || (c->after < 0 && !isempty(w[6])))
                return -EBADMSG;
        r = free_and_strdup(&c->health, w[7]);
        return r < 0 ? r : free_and_strdup(&c->message, w[8]);
}

static int read_card_vfio(SleepRecord *s, char *const *w) {
        SleepCard *c = sleep_record_find_card(s, w[1]);
        int r;

        if (!c || c->functions)
                return -EBADMSG;
        c->access = !isempty(w[3]);
        if (c->access && read_unsigned(w[3], &c->access_uid) < 0)
                return -EBADMSG;
        r = free_and_strdup(&c->driver, w[2]);
        for (char *const *a = w + 4; *a && r >= 0; a++)
                r = pci_address_valid(*a) ? strv_extend(&c->functions, *a) : -EBADMSG;
        return r;
}

static int read_cycle(SleepRecord *s, char *const *w) {
        const unsigned doors = DOOR_LOGIND | DOOR_GATE;

        if (read_unsigned(w[1], &s->cycle.id) < 0 || read_unsigned(w[2], &s->cycle.opened) < 0 ||
            read_unsigned(w[3], &s->cycle.closed) < 0 || s->cycle.id == 0)
                return -EBADMSG;
        return s->cycle.opened == 0 || (s->cycle.opened & ~doors) || (s->cycle.closed & ~s->cycle.opened) ? -EBADMSG
                                                                                                          : 0;
}

static int read_boot(SleepRecord *s, char *const *w) {
        if (strlen(w[1]) != sizeof(s->boot) - 1 || strspn(w[1], "0123456789abcdef") != sizeof(s->boot) - 1)
                return -EBADMSG;
        memcpy(s->boot, w[1], sizeof(s->boot));
        return 0;
}

static int read_job(SleepRecord *s, char *const *w) {
        return read_unsigned(w[1], &s->job) < 0 || read_unsigned(w[2], &s->calls) < 0 ? -EBADMSG : 0;
}

static int read_operation(SleepRecord *s, char *const *w) {
        return free_and_strdup(&s->operation, w[1]);
}

static int read_phase(SleepRecord *s, char *const *w) {
        s->phase = sleep_phase_from_string(w[1]);
        return s->phase < 0 ? -EBADMSG : 0;
}

static int read_asleep(SleepRecord *s, char *const *w) {
        return parse_u64(w[1], INT64_MAX, &s->asleep_usec) < 0 ? -EBADMSG : 0;
}

static int read_clock(SleepRecord *s, char *const *w) {
        return parse_u64(w[1], INT64_MAX, &s->began_monotonic) < 0 ||
                               parse_u64(w[2], INT64_MAX, &s->began_boottime) < 0
                       ? -EBADMSG
                       : 0;
}

static int read_veto(SleepRecord *s, char *const *w) {
        return s->vetoed ? -EBADMSG : sleep_record_veto(s, w[1], w[2], w[3]);
}

static int read_hooks(SleepRecord *s, char *const *w) {
        SleepHooks *h = &s->hooks;
        size_t n = strv_length(w + 4);
        int r = 0;

        h->telling = sleep_telling_from_string(w[1]);
        if (h->names || h->telling <= SLEEP_TELLING_NOTHING || n > HOOKS_MAX || read_unsigned(w[2], &h->done) < 0 || read_unsigned(w[3], &h->call) < 0 ||
            h->done > n || (h->call > 0 && h->done == n))
                return -EBADMSG;
        for (char *const *name = w + 4; *name && r >= 0; name++)
                r = hook_name_valid(*name) ? strv_extend(&h->names, *name) : -EBADMSG;
        return r;
}

static int read_hook_failed(SleepRecord *s, char *const *w) {
        return strv_length(s->hook_failures) >= SLEEP_HOOK_FAILURES_MAX ? -EBADMSG : sleep_record_add_hook_failure(s, w[1]);
}

static int read_kernel(SleepRecord *s, char *const *w) {
        return strv_length(s->kernel_lines) >= SLEEP_KERNEL_LINES_MAX ? -EBADMSG : strv_extend(&s->kernel_lines, w[1]);
}

static int read_kernel_more(SleepRecord *s, char *const *w) {
        s->kernel_more = true;
        return 0;
}

static int read_statistic(SleepRecord *s, char *const *w) {
        return sleep_record_add_statistic(s, w[1], w[2]);
}

typedef struct Reading {
        SleepRecord *record;
        unsigned seen; /* lines that there is one of, a bit each */
} Reading;

static const struct {
        const char *word;
        size_t n;
        enum { ONCE, ANY, MORE } kind; /* there is one of it; any number; and words may follow */
        int (*read)(SleepRecord *s, char *const *words);
} lines[] = {
        { "cycle", 4, ONCE, read_cycle },
        { "boot", 2, ONCE, read_boot },
        { "job", 3, ONCE, read_job },
        { "operation", 2, ONCE, read_operation },
        { "phase", 2, ONCE, read_phase },
        { "time", 5, ONCE, read_times },
        { "clock", 3, ONCE, read_clock },
        { "asleep", 2, ONCE, read_asleep },
        { "veto", 4, ANY, read_veto },
        { "vm", 10, MORE, read_vm },
        { "card", 9, ANY, read_card },
        { "card-vfio", 4, MORE, read_card_vfio },
        { "hooks", 5, MORE, read_hooks },
        { "hook-failed", 2, ANY, read_hook_failed },
        { "kernel", 2, ANY, read_kernel },
        { "kernel-more", 1, ANY, read_kernel_more },
        { "statistic", 3, ANY, read_statistic },
};

static int read_record_line(char *const *words, void *userdata) {
        Reading *reading = ASSERT_PTR(userdata);
        size_t n = strv_length(words);

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                if (!streq(lines[i].word, words[0]))
                        continue;
                if (lines[i].kind == ONCE && (reading->seen & 1U << i))
                        return -EBADMSG;
                reading->seen |= 1U << i;
                return n == lines[i].n || (lines[i].kind == MORE && n > lines[i].n)
                               ? lines[i].read(reading->record, words)
                               : -EBADMSG;
        }
        return -EBADMSG;
}

/* What is there once is always there: nothing is made up where a line is missing. */
static bool is_complete(const Reading *reading) {
        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                if (lines[i].kind == ONCE && !(reading->seen & 1U << i))
                        return false;
        return true;
}

int sleep_record_read(const char *text, size_t size, SleepRecord **ret) {
        _cleanup_(sleep_record_freep) SleepRecord *s = sleep_record_new();
        Reading reading = { .record = s };
        int r;

        if (!s)
                return -ENOMEM;
        r = words_read_file(text, size, "gpuptd-sleep", read_record_line, &reading);
        if (r < 0)
                return r;
        if (!is_complete(&reading))
                return -EBADMSG;
        *ret = TAKE_PTR(s);
        return 0;
}
