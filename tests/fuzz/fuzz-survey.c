/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-survey: a survey that may be anything, and the text of files that may be anything. What is accepted is written and read
 * again: both texts are the same. What is found by it is printable. */

#include "findings.h"
#include "fuzz.h"
#include "survey.h"
#include "worker/survey-parse.h"

static char *write_text(const Survey *s, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        FUZZ_ASSERT(f);
        survey_write(s, f);
        FUZZ_ASSERT(fclose(f) == 0);
        return text;
}

static void assert_round_trip(const Survey *s) {
        _cleanup_(survey_freep) Survey *again = NULL;
        _cleanup_free_ char *text = NULL, *text_again = NULL;
        size_t n, n_again;

        text = write_text(s, &n);
        FUZZ_ASSERT(survey_read(text, n, &again) == 0);
        text_again = write_text(again, &n_again);
        FUZZ_ASSERT(n == n_again && (n == 0 || memcmp(text, text_again, n) == 0));
}

/* A host with one card, so that every check has something to look at. */
static void assert_findings(const Survey *survey) {
        static char *const functions[] = { (char *) "0000:01:00.0", NULL };
        _cleanup_(snapshot_freep) Snapshot *s = snapshot_new();
        _cleanup_(findings_freep) Findings *findings = NULL;
        SleepPolicy policy;
        FindingsGpu gpu = { .address = functions[0], .functions = functions, .sleep = &policy };
        Function *f = s ? snapshot_add_function(s, functions[0]) : NULL;

        sleep_policy_init(&policy);
        FUZZ_ASSERT(f);
        f->class = 0x030000;
        f->vendor = 0x10de;
        f->device = 0x1e84;
        FUZZ_ASSERT(strv_extend(&f->host_modules, "nouveau") == 0);
        FUZZ_ASSERT(findings_make(&(FindingsInput) { .snapshot = s, .survey = survey, .gpus = &gpu, .n_gpus = 1, .gate = true }, &findings) == 0);
        FUZZ_ASSERT(findings->n > 0);
        for (size_t i = 0; i < findings->n; i++)
                for (const char *p = findings->list[i].summary; *p; p++)
                        FUZZ_ASSERT((unsigned char) *p >= ' ' && *p != 0x7f);
}

static void parse_all(const uint8_t *data, size_t size) {
        static int (*const parsers[])(Survey *s, const char *file, char *text) = {
                survey_parse_modprobe, survey_parse_load, survey_parse_initramfs, survey_parse_xorg,
        };
        _cleanup_free_ char *whole = fuzz_string(data, size);

        for (size_t i = 0; i < ELEMENTSOF(parsers); i++) {
                _cleanup_(survey_freep) Survey *s = survey_new();
                _cleanup_free_ char *text = fuzz_string(data, size);
                int r;

                FUZZ_ASSERT(s);
                r = parsers[i](s, "/etc/f", text);
                FUZZ_ASSERT(r == 0 || r == -E2BIG);
                assert_round_trip(s);
                assert_findings(s);
        }
        (void) survey_list_has_module(whole, "vfio_pci");
        (void) survey_has_direct_region(whole);
        for (unsigned i = 0; i < 6; i++)
                (void) survey_bar_size(whole, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(survey_freep) Survey *s = NULL;
        int r;

        r = survey_read((const char *) data, size, &s);
        FUZZ_ASSERT(r == 0 || r == -EBADMSG);
        if (r == 0) {
                assert_round_trip(s);
                assert_findings(s);
        }
        parse_all(data, size);
        return 0;
}
