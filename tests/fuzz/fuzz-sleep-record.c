/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-sleep-record: a record of a sleep that may be anything. What is accepted has doors and a boot, and is written and read again: both
 * texts are the same. */

#include "fuzz.h"
#include "sleep-record.h"

static char *write_text(const SleepRecord *record, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        sleep_record_write(record, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

static void check(const SleepRecord *s) {
        const unsigned doors = DOOR_LOGIND | DOOR_GATE;

        FUZZ_ASSERT(s->cycle.id > 0 && s->cycle.opened != 0 && !(s->cycle.opened & ~doors) && !(s->cycle.closed & ~s->cycle.opened));
        FUZZ_ASSERT(strlen(s->boot) == 32 && s->operation);
        FUZZ_ASSERT(s->phase >= 0 && s->phase < _SLEEP_PHASE_MAX);
        FUZZ_ASSERT(s->n_vms <= SLEEP_VMS_MAX && s->n_cards <= SLEEP_CARDS_MAX && s->n_statistics <= SLEEP_STATISTICS_MAX);
        FUZZ_ASSERT(strv_length(s->kernel_lines) <= SLEEP_KERNEL_LINES_MAX);
        FUZZ_ASSERT(s->vetoed == (s->veto_gpu && s->veto_error && s->veto_reason));
        for (size_t i = 0; i < s->n_vms; i++)
                FUZZ_ASSERT(s->vms[i].adapter && s->vms[i].id && s->vms[i].name && s->vms[i].message);
        for (size_t i = 0; i < s->n_cards; i++) {
                FUZZ_ASSERT(sleep_record_find_card(s, s->cards[i].address) == s->cards + i);
                FUZZ_ASSERT(s->cards[i].identity && s->cards[i].health && s->cards[i].message && s->cards[i].driver);
        }
        FUZZ_ASSERT(!sleep_record_has_debts(s) || !sleep_record_is_whole(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(sleep_record_freep) SleepRecord *record = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        size_t n, n_again;
        int r;

        r = sleep_record_read((const char *) data, size, &record);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
        if (r < 0)
                return 0;
        check(record);
        text = write_text(record, &n);
        FUZZ_ASSERT(sleep_record_read(text, n, &again) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && memcmp(text, text_again, n) == 0);
        return 0;
}
