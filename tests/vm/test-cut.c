/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-cut: the power is cut (QEMU killed) while a card is on its way, and the machine boots again, with the disk that it had (run-vm
 * --keep): what a display server finds then fits the hardware, whoever wrote what last. One case over many boots: each looks at what the
 * one before has left, goes on from there, and cuts the power in the next phase. */

#include <string.h>
#include <unistd.h>

#include "guest.h"

#define PHASE "/keep/phase"
#define XORG "/etc/X11/xorg.conf.d/"

/* Before the plan's end: "" is behind its last step. */
static const struct {
        bool attach;
        const char *step;
} cuts[] = {
        { false, "unbind" },
        { false, "xorg-files" },
        { false, "" },
        { true, "bind" },
        { true, "xorg-files" },
        { true, "" },
};

static unsigned read_phase(void) {
        g_autofree char *text = NULL;

        return g_file_get_contents(PHASE, &text, NULL, NULL) ? (unsigned) g_ascii_strtoull(text, NULL, 10) : 0;
}

static void write_phase(unsigned phase) {
        g_autofree char *text = g_strdup_printf("%u\n", phase);
        g_autoptr(GError) error = NULL;

        g_file_set_contents_full(PHASE, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644, &error);
        g_assert_no_error(error);
}

static bool is_there(const void *path) {
        return access(path, F_OK) == 0;
}

/* What the display manager has found, which was started behind gpuptd-restore.service; and what is there. */
static void assert_whole(void) {
        g_autofree char *found = NULL, *result = NULL, *state = NULL, *driver = pci_driver(CARD), *records = NULL;

        wait_until(is_there, "/run/found", "the display manager");
        g_assert_true(g_file_get_contents("/run/found", &found, NULL, NULL));
        g_assert_cmpstr(found, ==, "10-card.conf\n20-alone.conf.gpuptd\n");
        result = output_of("systemctl", "show", "--property=Result", "--value", "gpuptd-restore.service", NULL);
        g_assert_cmpstr(result, ==, "success");
        records = output_of("find", "/var/lib/gpuptd", "-name", "xorg-*", NULL);
        g_assert_cmpstr(records, ==, "");
        g_assert_cmpstr(driver, ==, "bochs-drm");
        state = gpu_get(CARD, "State");
        g_assert_cmpstr(state, ==, "host");
}

/* The number of the first such step of the plan; the one behind its last for "". Lines are "NUMBER STEP TARGET DETAIL". */
static unsigned find_step(const char *operation, const char *word) {
        g_autofree char *text = output_of("gpuptctl", "--no-legend", "plan", operation, CARD, NULL);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (unsigned i = 0; *word && lines[i]; i++) {
                g_autofree char *pattern = g_strdup_printf("^ *%u +%s ", i + 1, word);

                if (g_regex_match_simple(pattern, lines[i], 0, 0))
                        return i + 1;
        }
        g_assert_cmpstr(word, ==, "");
        return g_strv_length(lines) + 1;
}

static void go(const char *verb) {
        g_autoptr(Output) o = gpuptctl(WHO_ROOT, verb, CARD, NULL);

        assert_status(o, 0);
}

static void test_cut(void) {
        unsigned phase = read_phase(), step;
        const char *operation;

        assert_whole();
        if (phase < G_N_ELEMENTS(cuts)) {
                operation = cuts[phase].attach ? "attach" : "detach";
                write_phase(phase + 1);
                if (cuts[phase].attach)
                        go("detach");
                step = find_step(operation, cuts[phase].step);
                g_test_message("the power is cut at step %u of the %s", step, operation);
                (void) gpu_cut_at_step(CARD, cuts[phase].attach ? "Attach" : "Detach", step);
                g_assert_cmpstr(cuts[phase].step, ==, "");
                machine_cut();
        }
        /* And all of it goes on. */
        go("detach");
        g_assert_true(is_there(XORG "20-alone.conf"));
        go("attach");
        g_assert_true(is_there(XORG "10-card.conf"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cut", test_cut);
        return g_test_run();
}
