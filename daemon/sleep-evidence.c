/* SPDX-License-Identifier: GPL-2.0-or-later */

/* sleep-evidence: what the kernel has to say about a sleep: its lines from the first announcement to the end of
 * the way back, for how long the host slept, and, where it did not although nobody here kept it awake, what the
 * kernel itself says went wrong. */

#include "sleep-internal.h"

#include "util/log.h"

#define STATISTICS_SEC 5U

uint64_t sleep_clock(clockid_t clock) {
        struct timespec t;

        (void) clock_gettime(clock, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

void sleep_start_clocks(SleepRecord *r) {
        r->began_monotonic = sleep_clock(CLOCK_MONOTONIC);
        r->began_boottime = sleep_clock(CLOCK_BOOTTIME);
}

/* CLOCK_MONOTONIC stands still while the host sleeps, CLOCK_BOOTTIME does not. What is left is the time between
 * two readings. */
uint64_t sleep_measure(const SleepRecord *r) {
        uint64_t awake = sleep_clock(CLOCK_MONOTONIC) - r->began_monotonic,
                 all = sleep_clock(CLOCK_BOOTTIME) - r->began_boottime;

        return all > awake + 1000 ? all - awake : 0;
}

static int take_lines(Sleep *s) {
        _cleanup_(kernel_lines_freep) KernelLines *lines = NULL;
        _cleanup_strv_free_ char **addresses = NULL;
        SleepRecord *record = s->record;
        size_t first;
        int r = 0;

        for (size_t i = 0; i < record->n_cards && r >= 0; i++) {
                const Gpu *g = manager_find_gpu(s->m, record->cards[i].address);

                for (char **a = g ? g->functions : NULL; a && *a && r >= 0; a++)
                        r = strv_extend(&addresses, *a);
        }
        if (r >= 0)
                r = kernel_log_read_sleep(s->m->host->kernel_log, addresses, record->began_monotonic, &lines);
        if (r < 0)
                return r;
        first = lines->n > SLEEP_KERNEL_LINES_MAX ? lines->n - SLEEP_KERNEL_LINES_MAX : 0;
        record->kernel_lines = strv_free(record->kernel_lines);
        record->kernel_more = lines->more || first > 0;
        for (size_t i = first; i < lines->n && r >= 0; i++)
                r = strv_extend(&record->kernel_lines, lines->lines[i].text);
        return r;
}

/* The kernel's last failure may be of another sleep; that this one failed is in its lines. */
static bool kernel_has_failed(const SleepRecord *r) {
        static const char *const words[] = { "refusing to freeze", "failed to suspend", "failed to freeze",
                                             "failed to prepare", "Some devices failed", "aborted" };

        for (char **l = r->kernel_lines; l && *l; l++)
                for (size_t i = 0; i < ELEMENTSOF(words); i++)
                        if (strstr(*l, words[i]))
                                return true;
        return false;
}

static void on_statistics(int error, const char *data, size_t size, void *userdata) {
        Sleep *s = ASSERT_PTR(userdata);
        WordsReader reader = { .text = data, .size = size };

        s->statistics = NULL;
        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                if (error < 0 || words_reader_next(&reader, &words) <= 0)
                        break;
                if (strv_length(words) == 3 && streq(words[0], "statistic") && !isempty(words[2]) &&
                    sleep_record_add_statistic(s->record, words[1], words[2]) < 0)
                        break;
        }
        s->evidence_taken = true;
        sleep_poke(s);
}

static bool ask_statistics(Sleep *s) {
        _cleanup_(step_done) Step step = {};

        return step_init(&step, VERB_SLEEP_STATISTICS, "-", NULL) >= 0 &&
               question_new(s->m->host, &step, STATISTICS_SEC, on_statistics, s, &s->statistics) >= 0;
}

bool sleep_evidence_take(Sleep *s) {
        SleepRecord *record = s->record;
        int r;

        if (s->statistics)
                return false;
        if (!s->evidence_taken) {
                record->asleep_usec = sleep_measure(record);
                r = take_lines(s);
                if (r < 0)
                        log_warning_errno(r, "The kernel's lines about the sleep could not be read, ignoring: %m");
                if (record->phase == SLEEP_RESUMING && kernel_has_failed(record) && ask_statistics(s))
                        return false;
        }
        s->evidence_taken = false;
        return true;
}
