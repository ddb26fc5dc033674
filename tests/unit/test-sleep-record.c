/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-sleep-record: that a sleep is written down whole and read whole, or not at all; whatever its texts are, and whatever has happened to
 * the file. */

#include "sleep-record.h"

#include <glib.h>

#include "util/words.h"

#define BOOT "0123456789abcdef0123456789abcdef"

static SleepVm *add_vm(SleepRecord *s, const char *adapter, const char *id, const char *name, uint32_t pid) {
        SleepVm *v = NULL;

        g_assert_cmpint(sleep_record_add_vm(s, adapter, id, name, pid, &v), ==, 0);
        return v;
}

static SleepCard *add_card(SleepRecord *s, const char *address) {
        SleepCard *c = NULL;

        g_assert_cmpint(sleep_record_add_card(s, address, "10de:2204:1458:403b", &c), ==, 0);
        g_assert_cmpint(c->after, <, 0);
        c->before = GPU_DETACHED;
        return c;
}

static void set(char **p, const char *value) {
        g_assert_cmpint(free_and_strdup(p, value), ==, 0);
}

static void extend(char ***v, const char *value) {
        g_assert_cmpint(strv_extend(v, value), ==, 0);
}

/* No more than there has to be. */
static SleepRecord *make_bare(void) {
        SleepRecord *s = sleep_record_new();

        g_assert_nonnull(s);
        s->cycle = (SleepCycle) { .id = 1, .opened = DOOR_LOGIND };
        memcpy(s->boot, BOOT, sizeof(s->boot));
        return s;
}

/* Something of everything, with all that a word may have. */
static SleepRecord *make_record(void) {
        SleepRecord *s = make_bare();
        SleepCard *c;
        SleepVm *v;

        s->cycle = (SleepCycle) { .id = 3, .opened = DOOR_LOGIND | DOOR_GATE, .closed = DOOR_GATE };
        s->job = 17;
        s->calls = 9;
        set(&s->operation, "suspend-then-hibernate");
        s->phase = SLEEP_RESUMING;
        s->began = 1764200000000001;
        s->ready = 1764200000000002;
        s->woken = 1764200000000003;
        s->began_monotonic = 4711;
        s->began_boottime = 4712;
        s->asleep_usec = 3600000000;
        g_assert_cmpint(sleep_record_veto(s, "0000:01:00.0", "org.gpupt1.Error.InUse", "win\n10\tis \\ busy: \x7f \"ü\"."), ==, 0);
        v = add_vm(s, "libvirt", "8d4b8a20-0000-0000-0000-000000000001", "Windows 10 ümlaut", 4711);
        v->policy = VM_POLICY_AUTO;
        v->action = VM_ACTION_HIBERNATE;
        v->stage = SLEEP_STAGE_DONE;
        v->call = 4;
        extend(&v->gpus, "0000:01:00.0");
        extend(&v->gpus, "10000:02:00.0");
        v = add_vm(s, "", "", "qemu-system-x86", UINT32_MAX);
        set(&v->message, "");
        c = add_card(s, "0000:01:00.0");
        c->before = GPU_ASSIGNED;
        c->action = GPU_SLEEP_REMOVE;
        c->stage = SLEEP_STAGE_LEFT;
        c->after = GPU_PARTIAL;
        set(&c->health, "degraded");
        set(&c->message, " it has\n\nfallen off ");
        set(&c->driver, "vfio-pci");
        extend(&c->functions, "0000:01:00.0");
        extend(&c->functions, "0000:01:00.1");
        c->access = true;
        c->access_uid = 0;
        (void) add_card(s, "10000:02:00.0");
        s->hooks = (SleepHooks) { .telling = SLEEP_TELLING_PRE_RESUME, .done = 1, .call = 7 };
        extend(&s->hooks.names, "10-lights");
        extend(&s->hooks.names, "20.ollama_x");
        extend(&s->hook_failures, "the hook 10-lights has failed: \"no\"");
        extend(&s->kernel_lines, "PM: suspend entry (deep)");
        extend(&s->kernel_lines, "");
        extend(&s->kernel_lines, "\\x20 end");
        s->kernel_more = true;
        g_assert_cmpint(sleep_record_add_statistic(s, "last_failed_dev", "0000:01:00.0"), ==, 0);
        g_assert_cmpint(sleep_record_add_statistic(s, "fail", ""), ==, 0);
        return s;
}

static char *text_of(const SleepRecord *s, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        g_assert_nonnull(f);
        sleep_record_write(s, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static SleepRecord *read_text(const char *text) {
        SleepRecord *s = NULL;

        g_assert_cmpint(sleep_record_read(text, strlen(text), &s), ==, 0);
        return s;
}

static void assert_same(const SleepRecord *a, const SleepRecord *b) {
        _cleanup_free_ char *x = NULL, *y = NULL;
        size_t n, m;

        x = text_of(a, &n);
        y = text_of(b, &m);
        g_assert_cmpstr(x, ==, y);
}

/* ---- there and back ---- */

static void test_round_trip(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record(), *read = NULL;
        _cleanup_free_ char *text = NULL;
        const SleepCard *c;
        size_t size;

        text = text_of(s, &size);
        read = read_text(text);
        assert_same(s, read);
        /* Not only as text. */
        g_assert_cmpuint(read->cycle.id, ==, 3);
        g_assert_cmpuint(read->cycle.opened, ==, DOOR_LOGIND | DOOR_GATE);
        g_assert_cmpuint(read->cycle.closed, ==, DOOR_GATE);
        g_assert_cmpstr(read->boot, ==, BOOT);
        g_assert_cmpuint(read->job, ==, 17);
        g_assert_cmpuint(read->calls, ==, 9);
        g_assert_cmpstr(read->operation, ==, "suspend-then-hibernate");
        g_assert_cmpint(read->phase, ==, SLEEP_RESUMING);
        g_assert_cmpuint(read->began, ==, s->began);
        g_assert_cmpuint(read->ready, ==, s->ready);
        g_assert_cmpuint(read->woken, ==, s->woken);
        g_assert_cmpuint(read->finished, ==, 0);
        g_assert_cmpuint(read->began_monotonic, ==, 4711);
        g_assert_cmpuint(read->began_boottime, ==, 4712);
        g_assert_cmpuint(read->asleep_usec, ==, 3600000000);
        g_assert_true(read->vetoed);
        g_assert_cmpstr(read->veto_reason, ==, "win\n10\tis \\ busy: \x7f \"ü\".");
        g_assert_cmpuint(read->n_vms, ==, 2);
        g_assert_cmpstr(read->vms[0].name, ==, "Windows 10 ümlaut");
        g_assert_cmpuint(read->vms[0].call, ==, 4);
        g_assert_cmpuint(strv_length(read->vms[0].gpus), ==, 2);
        g_assert_cmpstr(read->vms[1].adapter, ==, "");
        g_assert_cmpuint(read->vms[1].pid, ==, UINT32_MAX);
        g_assert_null(read->vms[1].gpus);
        g_assert_cmpuint(read->n_cards, ==, 2);
        c = sleep_record_find_card(read, "0000:01:00.0");
        g_assert_cmpstr(c->message, ==, " it has\n\nfallen off ");
        g_assert_true(c->access);
        g_assert_cmpuint(c->access_uid, ==, 0);
        g_assert_cmpuint(strv_length(c->functions), ==, 2);
        c = sleep_record_find_card(read, "10000:02:00.0");
        g_assert_cmpint(c->after, <, 0);
        g_assert_false(c->access);
        g_assert_null(sleep_record_find_card(read, "0000:03:00.0"));
        g_assert_cmpint(read->hooks.telling, ==, SLEEP_TELLING_PRE_RESUME);
        g_assert_cmpuint(read->hooks.done, ==, 1);
        g_assert_cmpuint(read->hooks.call, ==, 7);
        g_assert_cmpuint(strv_length(read->hooks.names), ==, 2);
        g_assert_cmpstr(read->hooks.names[1], ==, "20.ollama_x");
        g_assert_cmpuint(strv_length(read->hook_failures), ==, 1);
        g_assert_cmpuint(strv_length(read->kernel_lines), ==, 3);
        g_assert_cmpstr(read->kernel_lines[2], ==, "\\x20 end");
        g_assert_true(read->kernel_more);
        g_assert_cmpstr(read->statistics[1].value, ==, "");
}

/* Who was begun with is told of the rest; who comes after him is not. */
static void test_keep_told(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record();

        sleep_record_keep_told(s);
        g_assert_cmpuint(strv_length(s->hooks.names), ==, 1);
        g_assert_cmpstr(s->hooks.names[0], ==, "10-lights");
        s->hooks.done = 0;
        sleep_record_keep_told(s);
        g_assert_cmpuint(strv_length(s->hooks.names), ==, 0);
        sleep_record_keep_told(s);
}

/* A file that is not ours names no program, and no more of them than there may be. */
static void test_bad_hooks(void) {
        static const char *const lines[] = {
                "hooks pre-sleep 0 0",         "hooks nothing 0 0 a",      "hooks pre-sleep 2 0 a",  "hooks pre-sleep 1 3 a",
                "hooks pre-sleep 0 0 ../a",    "hooks pre-sleep 0 0 .a",   "hooks pre-sleep -1 0 a", "hooks sleep 0 0 a",
                "hooks pre-sleep 0 0 a\nhooks pre-sleep 0 0 a", "hook-failed",
        };
        _cleanup_(sleep_record_freep) SleepRecord *bare = make_bare();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(bare, &size);
        for (size_t i = 0; i <= ELEMENTSOF(lines); i++) {
                g_autofree char *with = g_strdup_printf("%.*s%s\nend\n", (int) (size - strlen("end\n")), text,
                                                        i < ELEMENTSOF(lines) ? lines[i] : "hooks pre-sleep 0 3 a b");
                _cleanup_(sleep_record_freep) SleepRecord *read = NULL;

                g_test_message("%s", with);
                g_assert_cmpint(sleep_record_read(with, strlen(with), &read), ==, i < ELEMENTSOF(lines) ? -EBADMSG : 0);
        }
}

/* Each word of each table, and nothing else. */
static void test_every_word(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_bare();
        SleepVm *v = add_vm(s, "qemu", "x", "x", 1);
        SleepCard *c = add_card(s, "0000:01:00.0");

        for (unsigned i = 0; i < 10; i++) {
                _cleanup_(sleep_record_freep) SleepRecord *read = NULL;
                _cleanup_free_ char *text = NULL;
                size_t size;

                s->phase = i % _SLEEP_PHASE_MAX;
                v->policy = i % _VM_POLICY_MAX;
                v->action = i % _VM_ACTION_MAX;
                v->stage = c->stage = i % _SLEEP_STAGE_MAX;
                c->before = c->after = i % _GPU_STATE_MAX;
                c->action = i % _GPU_SLEEP_POLICY_MAX;
                text = text_of(s, &size);
                read = read_text(text);
                g_assert_cmpint(read->phase, ==, s->phase);
                g_assert_cmpint(read->vms[0].policy, ==, v->policy);
                g_assert_cmpint(read->vms[0].action, ==, v->action);
                g_assert_cmpint(read->vms[0].stage, ==, v->stage);
                g_assert_cmpint(read->cards[0].before, ==, c->before);
                g_assert_cmpint(read->cards[0].after, ==, c->after);
                g_assert_cmpint(read->cards[0].action, ==, c->action);
                g_assert_cmpint(read->cards[0].stage, ==, c->stage);
        }
        for (SleepStage i = 0; i < _SLEEP_STAGE_MAX; i++)
                g_assert_cmpint(sleep_stage_from_string(sleep_stage_to_string(i)), ==, i);
        for (SleepPhase i = 0; i < _SLEEP_PHASE_MAX; i++)
                g_assert_cmpint(sleep_phase_from_string(sleep_phase_to_string(i)), ==, i);
}

/* ---- files that somebody has been at ---- */

static void test_truncated(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(s, &size);
        for (size_t n = 0; n < size; n++) {
                g_autofree char *part = g_memdup2(text, n);

                g_assert_cmpint(sleep_record_read(part, n, &(SleepRecord *) { NULL }), ==, -EBADMSG);
        }
}

/* What is accepted is written as it was understood. */
static void test_mutated(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_record();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = text_of(s, &size);
        for (size_t i = 0; i < size; i++)
                for (unsigned c = i % 5; c < 256; c += 5) {
                        _cleanup_(sleep_record_freep) SleepRecord *read = NULL, *again = NULL;
                        _cleanup_free_ char *written = NULL;
                        char was = text[i];
                        size_t n;
                        int r;

                        text[i] = (char) c;
                        r = sleep_record_read(text, size, &read);
                        text[i] = was;
                        g_assert_true(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
                        if (r < 0)
                                continue;
                        written = text_of(read, &n);
                        g_assert_cmpint(sleep_record_read(written, n, &again), ==, 0);
                        assert_same(read, again);
                }
}

static const char *const lines[] = {
        "cycle 1 1 0", "boot " BOOT, "job 1 0", "operation suspend", "phase prepared", "time 1 0 0 0", "clock 1 1", "asleep 0",
};

/* The lines that there have to be, without one of them (-1: with all), and more before the end. */
static int read_lines(int missing, const char *more) {
        _cleanup_(sleep_record_freep) SleepRecord *s = NULL;
        g_autoptr(GString) text = g_string_new("gpuptd-sleep 1\n");

        for (int i = 0; i < (int) G_N_ELEMENTS(lines); i++)
                if (i != missing)
                        g_string_append_printf(text, "%s\n", lines[i]);
        g_string_append_printf(text, "%send\n", more);
        return sleep_record_read(text->str, text->len, &s);
}

/* Nothing is made up, and nothing is said twice. */
static void test_missing_and_twice(void) {
        g_assert_cmpint(read_lines(-1, ""), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autofree char *line = g_strdup_printf("%s\n", lines[i]);

                g_test_message("%s", lines[i]);
                g_assert_cmpint(read_lines((int) i, ""), ==, -EBADMSG);
                g_assert_cmpint(read_lines((int) i, line), ==, 0);
                g_assert_cmpint(read_lines(-1, line), ==, -EBADMSG);
        }
}

static void test_damaged_once(void) {
        static const struct {
                int instead; /* of which line */
                const char *line;
        } bad[] = {
                { 0, "cycle 0 1 0" }, { 0, "cycle 1 0 0" }, { 0, "cycle 1 4 0" }, { 0, "cycle 1 1 2" }, { 0, "cycle 1 1 3" }, { 0, "cycle 1 1" },
                { 0, "cycle 1 1 0 0" }, { 0, "cycle -1 1 0" }, { 0, "cycle 4294967296 1 0" }, { 0, "cycle x 1 0" }, { 0, "cycle 1 \\- 0" },
                { 0, "cycle" }, { 1, "boot" }, { 1, "boot \\-" }, { 1, "boot 0123456789abcdef0123456789abcde" },
                { 1, "boot 0123456789abcdef0123456789abcdef0" }, { 1, "boot 0123456789ABCDEF0123456789abcdef" },
                { 1, "boot 01234567-89ab-cdef-0123-456789ab" }, { 1, "boot " BOOT " " BOOT }, { 2, "job 1" }, { 2, "job 1 -1" }, { 2, "job x 0" },
                { 2, "job 1 4294967296" }, { 2, "job 1 0 0" }, { 3, "operation" }, { 3, "operation a b" }, { 4, "phase" }, { 4, "phase \\-" },
                { 4, "phase asleep" }, { 4, "phase PREPARED" }, { 4, "phase prepared over" }, { 5, "time 1 0 0" }, { 5, "time 1 0 0 0 0" },
                { 5, "time 1 0 0 -1" }, { 5, "time 9223372036854775808 0 0 0" }, { 5, "time 1 0 0x1 0" }, { 6, "clock 1" },
                { 6, "clock 9223372036854775808 1" }, { 6, "clock 1 x" }, { 6, "clock 1 1 1" }, { 7, "asleep" }, { 7, "asleep -1" },
                { 7, "asleep 1.5" }, { 7, "asleep 1 1" }, { 7, "ASLEEP 0" }, { 7, " asleep 0" }, { 7, "asleep  0" }, { 7, "asleep 0 " },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *line = g_strdup_printf("%s\n", bad[i].line);

                g_test_message("%s", bad[i].line);
                g_assert_cmpint(read_lines(bad[i].instead, line), ==, -EBADMSG);
        }
}

static void test_lines(void) {
#define CARD "card 0000:01:00.0 x detached keep pending \\- \\- \\-\n"
#define VETO "veto \\- x y\n"
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { "veto 0000:01:00.0 x y\n", 0 },
                { VETO VETO, -EBADMSG },
                { "veto x y\n", -EBADMSG },
                { "veto x y z z\n", -EBADMSG },
                { "vm qemu x x 1 auto none pending 0 \\-\n", 0 },
                { "vm qemu x x 1 auto none pending 0 \\- 0000:01:00.0 0000:02:00.0\n", 0 },
                { "vm qemu x x 1 auto none pending 0\n", -EBADMSG },
                { "vm qemu x x -1 auto none pending 0 \\-\n", -EBADMSG },
                { "vm qemu x x 4294967296 auto none pending 0 \\-\n", -EBADMSG },
                { "vm qemu x x 1 perhaps none pending 0 \\-\n", -EBADMSG },
                { "vm qemu x x 1 auto hope pending 0 \\-\n", -EBADMSG },
                { "vm qemu x x 1 auto none later 0 \\-\n", -EBADMSG },
                { "vm qemu x x 1 auto none pending x \\-\n", -EBADMSG },
                { "vm qemu x x 1 auto none pending 0 \\- 01:00.0\n", -EBADMSG },
                { "vm qemu x x 1 auto none pending 0 \\- ../x\n", -EBADMSG },
                { "vm qemu x x 1 auto none pending 0 \\- \\-\n", -EBADMSG },
                { CARD, 0 },
                { CARD CARD, -EBADMSG },
                { "card 0000:01:00.0 x detached keep pending \\- \\-\n", -EBADMSG },
                { "card 0000:01:00.0 x detached keep pending \\- \\- \\- x\n", -EBADMSG },
                { "card 01:00.0 x detached keep pending \\- \\- \\-\n", -EBADMSG },
                { "card ../x x detached keep pending \\- \\- \\-\n", -EBADMSG },
                { "card 0000:01:00.0 x \\- keep pending \\- \\- \\-\n", -EBADMSG },
                { "card 0000:01:00.0 x away keep pending \\- \\- \\-\n", -EBADMSG },
                { "card 0000:01:00.0 x detached burn pending \\- \\- \\-\n", -EBADMSG },
                { "card 0000:01:00.0 x detached keep never \\- \\- \\-\n", -EBADMSG },
                { "card 0000:01:00.0 x detached keep pending away \\- \\-\n", -EBADMSG },
                { "card-vfio 0000:01:00.0 vfio-pci \\-\n", -EBADMSG }, /* of no card */
                { CARD "card-vfio 0000:02:00.0 vfio-pci \\-\n", -EBADMSG },
                { CARD "card-vfio 0000:01:00.0 vfio-pci \\-\n", 0 },
                { CARD "card-vfio 0000:01:00.0 vfio-pci 1000 0000:01:00.0\n", 0 },
                { CARD "card-vfio 0000:01:00.0 vfio-pci\n", -EBADMSG },
                { CARD "card-vfio 0000:01:00.0 vfio-pci x 0000:01:00.0\n", -EBADMSG },
                { CARD "card-vfio 0000:01:00.0 vfio-pci 4294967296 0000:01:00.0\n", -EBADMSG },
                { CARD "card-vfio 0000:01:00.0 vfio-pci \\- 01:00.0\n", -EBADMSG },
                { CARD "card-vfio 0000:01:00.0 vfio-pci \\- 0000:01:00.0\ncard-vfio 0000:01:00.0 vfio-pci \\- 0000:01:00.1\n", -EBADMSG },
                { "kernel PM:\\x20x\n", 0 },
                { "kernel PM: x\n", -EBADMSG },
                { "kernel\n", -EBADMSG },
                { "kernel-more\n", 0 },
                { "kernel-more x\n", -EBADMSG },
                { "statistic fail 1\n", 0 },
                { "statistic fail\n", -EBADMSG },
                { "statistic fail 1 2\n", -EBADMSG },
                { "end x\n", -EBADMSG },
                { "end\n", -EBADMSG },
                { "colour blue\n", -EBADMSG },
                { "\n", -EBADMSG },
                { "kernel \\x00\n", -EBADMSG },
                { "kernel \x01\n", -EBADMSG },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_test_message("%zu", i);
                g_assert_cmpint(read_lines(-1, cases[i].text), ==, cases[i].r);
        }
#undef CARD
#undef VETO
}

static void test_versions(void) {
        static const struct {
                const char *text;
                int r;
        } cases[] = {
                { "", -EBADMSG },
                { "end\n", -EBADMSG },
                { "gpuptd-sleep 1\nend\n", -EBADMSG },
                { "gpuptd-sleep 2\nnobody knows\n", -EPROTONOSUPPORT },
                { "gpuptd-sleep\nend\n", -EBADMSG },
                { "gpuptd-gpu 1\nend\n", -EBADMSG },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                g_assert_cmpint(sleep_record_read(cases[i].text, strlen(cases[i].text), &(SleepRecord *) { NULL }), ==, cases[i].r);
}

/* ---- limits ---- */

static void add_many(GString *text, unsigned n, const char *line, bool addresses) {
        for (unsigned i = 0; i < n; i++)
                if (addresses)
                        g_string_append_printf(text, "card %04x:01:00.0 x detached keep pending \\- \\- \\-\n", i);
                else
                        g_string_append(text, line);
}

static void test_limits(void) {
        static const struct {
                const char *line;
                unsigned max;
                bool addresses;
        } rows[] = {
                { "vm qemu x x 1 auto none pending 0 \\-\n", SLEEP_VMS_MAX, false },
                { "", SLEEP_CARDS_MAX, true },
                { "kernel x\n", SLEEP_KERNEL_LINES_MAX, false },
                { "statistic fail 1\n", SLEEP_STATISTICS_MAX, false },
        };
        _cleanup_(sleep_record_freep) SleepRecord *s = make_bare();
        SleepVm *v;
        SleepCard *c;

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GString) fits = g_string_new(NULL), one_more = g_string_new(NULL);

                add_many(fits, rows[i].max, rows[i].line, rows[i].addresses);
                add_many(one_more, rows[i].max + 1, rows[i].line, rows[i].addresses);
                g_assert_cmpint(read_lines(-1, fits->str), ==, 0);
                g_assert_cmpint(read_lines(-1, one_more->str), ==, -EBADMSG);
        }
        for (unsigned i = 0; i < SLEEP_VMS_MAX; i++)
                (void) add_vm(s, "", "", "", 0);
        for (unsigned i = 0; i < SLEEP_CARDS_MAX; i++)
                (void) add_card(s, "0000:01:00.0");
        for (unsigned i = 0; i < SLEEP_STATISTICS_MAX; i++)
                g_assert_cmpint(sleep_record_add_statistic(s, "", ""), ==, 0);
        g_assert_cmpint(sleep_record_add_vm(s, "", "", "", 0, &v), ==, -E2BIG);
        g_assert_cmpint(sleep_record_add_card(s, "", "", &c), ==, -E2BIG);
        g_assert_cmpint(sleep_record_add_statistic(s, "", ""), ==, -E2BIG);
}

/* A text of whatever length does not make the record unreadable: it is cut, and before a whole character. */
static void test_long_texts(void) {
        static const char *const pieces[] = { "x", " ", "\x1b", "\\", "ü", "€" };

        for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
                _cleanup_(sleep_record_freep) SleepRecord *s = make_bare(), *read = NULL;
                g_autoptr(GString) huge = g_string_new(NULL);
                g_autofree char *id = g_strnfill(VM_ID_MAX, ' ');
                _cleanup_free_ char *text = NULL;
                SleepCard *c;
                SleepVm *v;
                size_t size;

                while (huge->len < 3 * WORDS_LINE_MAX)
                        g_string_append(huge, pieces[i]);
                v = add_vm(s, "libvirt", id, huge->str, 1);
                set(&v->message, huge->str);
                for (unsigned k = 0; k < SLEEP_CARDS_MAX; k++) {
                        g_autofree char *address = g_strdup_printf("%08x:01:00.0", 0x10000 + k);

                        extend(&v->gpus, address);
                }
                c = add_card(s, "0000:01:00.0");
                set(&c->message, huge->str);
                g_assert_cmpint(sleep_record_veto(s, "0000:01:00.0", "org.gpupt1.Error.InUse", huge->str), ==, 0);
                extend(&s->kernel_lines, huge->str);
                g_assert_cmpint(sleep_record_add_statistic(s, "fail", huge->str), ==, 0);

                text = text_of(s, &size);
                read = read_text(text);
                assert_same(s, read);
                g_assert_cmpstr(read->vms[0].id, ==, id);
                g_assert_cmpuint(strv_length(read->vms[0].gpus), ==, SLEEP_CARDS_MAX);
                g_assert_cmpuint(strlen(read->vms[0].message), >, SLEEP_TEXT_MAX - 4);
                g_assert_cmpuint(strlen(read->vms[0].message), <=, SLEEP_TEXT_MAX);
                g_assert_true(g_str_has_prefix(huge->str, read->vms[0].message));
                g_assert_true(g_utf8_validate(read->vms[0].message, -1, NULL));
                g_assert_cmpstr(read->veto_reason, ==, read->vms[0].message);
                g_assert_cmpstr(read->cards[0].message, ==, read->vms[0].message);
        }
}

/* ---- what is owed ---- */

static void test_debts(void) {
        static const struct {
                SleepStage stage;
                bool debt, whole;
        } rows[_SLEEP_STAGE_MAX] = {
                { SLEEP_STAGE_PENDING, false, true }, { SLEEP_STAGE_DOING, true, false },   { SLEEP_STAGE_DONE, true, false },
                { SLEEP_STAGE_FAILED, true, false },  { SLEEP_STAGE_UNDOING, true, false }, { SLEEP_STAGE_RESTORED, false, true },
                { SLEEP_STAGE_LEFT, false, false },
        };
        _cleanup_(sleep_record_freep) SleepRecord *s = make_bare();
        SleepStage *stages[4];

        g_assert_false(sleep_record_has_debts(s));
        g_assert_true(sleep_record_is_whole(s));
        for (unsigned i = 0; i < 2; i++) {
                (void) add_vm(s, "", "", "", 0);
                (void) add_card(s, i == 0 ? "0000:01:00.0" : "0000:02:00.0");
        }
        for (unsigned i = 0; i < 4; i++)
                stages[i] = i < 2 ? &s->vms[i].stage : &s->cards[i - 2].stage;
        /* Any one of them counts, wherever it is. */
        for (unsigned a = 0; a < 4; a++)
                for (unsigned b = 0; b < 4; b++)
                        for (size_t i = 0; i < _SLEEP_STAGE_MAX && a != b; i++)
                                for (size_t k = 0; k < _SLEEP_STAGE_MAX; k++) {
                                        *stages[a] = rows[i].stage;
                                        *stages[b] = rows[k].stage;
                                        g_assert_cmpint(sleep_record_has_debts(s), ==, rows[i].debt || rows[k].debt);
                                        g_assert_cmpint(sleep_record_is_whole(s), ==, rows[i].whole && rows[k].whole);
                                        *stages[a] = *stages[b] = SLEEP_STAGE_PENDING;
                                }
}

static void test_first_veto(void) {
        _cleanup_(sleep_record_freep) SleepRecord *s = make_bare();

        g_assert_false(s->vetoed);
        g_assert_cmpint(sleep_record_veto(s, "0000:01:00.0", "first", "because"), ==, 0);
        g_assert_cmpint(sleep_record_veto(s, "0000:02:00.0", "second", "why not"), ==, 0);
        g_assert_cmpstr(s->veto_gpu, ==, "0000:01:00.0");
        g_assert_cmpstr(s->veto_error, ==, "first");
        g_assert_cmpstr(s->veto_reason, ==, "because");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sleep-record/round-trip", test_round_trip);
        g_test_add_func("/sleep-record/keep-told", test_keep_told);
        g_test_add_func("/sleep-record/bad-hooks", test_bad_hooks);
        g_test_add_func("/sleep-record/every-word", test_every_word);
        g_test_add_func("/sleep-record/truncated", test_truncated);
        g_test_add_func("/sleep-record/mutated", test_mutated);
        g_test_add_func("/sleep-record/missing-and-twice", test_missing_and_twice);
        g_test_add_func("/sleep-record/damaged-once", test_damaged_once);
        g_test_add_func("/sleep-record/lines", test_lines);
        g_test_add_func("/sleep-record/versions", test_versions);
        g_test_add_func("/sleep-record/limits", test_limits);
        g_test_add_func("/sleep-record/long-texts", test_long_texts);
        g_test_add_func("/sleep-record/debts", test_debts);
        g_test_add_func("/sleep-record/first-veto", test_first_veto);
        return g_test_run();
}
