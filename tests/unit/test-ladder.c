/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-ladder: which rung comes next, for everything that decides on it. */

#include <glib.h>

#include "ladder.h"
#include "util/cleanup.h"

/* The whole way up, as words. */
static char *climb(LadderInput in) {
        GString *way = g_string_new(NULL);
        Rung r;

        while (ladder_next(&in, &r) > 0) {
                g_string_append_printf(way, "%s%s", way->len > 0 ? " " : "", rung_to_string(r));
                in.tried |= rung_bit(r);
        }
        return g_string_free(way, FALSE);
}

static void assert_climbs(LadderInput in, const char *expected) {
        g_autofree char *way = climb(in);

        g_assert_cmpstr(way, ==, expected);
}

#define NOTHING_KNOWN .named = _RUNG_INVALID, .worked = _RUNG_INVALID

static void test_by_harm(void) {
        assert_climbs((LadderInput) { NOTHING_KNOWN },
                      "wake flr af_flr device_specific acpi pm bus subordinate remove-rescan");
        assert_climbs((LadderInput) { NOTHING_KNOWN, .weak_only = true }, "wake flr af_flr pm");
        assert_climbs((LadderInput) { NOTHING_KNOWN, .tried = rung_bit(RUNG_WAKE) | rung_bit(RUNG_BUS) },
                      "flr af_flr device_specific acpi pm subordinate remove-rescan");
}

static void test_forbidden(void) {
        assert_climbs((LadderInput) { NOTHING_KNOWN, .forbidden = rung_bit(RUNG_BUS) | rung_bit(RUNG_FLR) },
                      "wake af_flr device_specific acpi pm subordinate remove-rescan");
        /* Also of what is named, or known to have helped. */
        assert_climbs((LadderInput) { .named = RUNG_BUS, .worked = _RUNG_INVALID, .forbidden = rung_bit(RUNG_BUS) }, "");
        assert_climbs((LadderInput) { .named = _RUNG_INVALID, .worked = RUNG_BUS, .forbidden = rung_bit(RUNG_BUS) },
                      "wake flr af_flr device_specific acpi pm subordinate remove-rescan");
}

static void test_opt_in(void) {
        assert_climbs((LadderInput) { NOTHING_KNOWN, .allowed = rung_bit(RUNG_BRIDGE) | rung_bit(RUNG_DRIVER) },
                      "wake flr af_flr device_specific acpi pm bus subordinate remove-rescan driver bridge");
        assert_climbs((LadderInput) { .named = RUNG_SUSPEND_CYCLE, .worked = _RUNG_INVALID }, "suspend-cycle");
        assert_climbs((LadderInput) { NOTHING_KNOWN, .weak_only = true, .allowed = rung_bit(RUNG_DRIVER) },
                      "wake flr af_flr pm driver");
}

static void test_order(void) {
        char *const order[] = { (char *) "bus", (char *) "slot", (char *) "wake", NULL };

        assert_climbs((LadderInput) { NOTHING_KNOWN, .order = order }, "bus slot wake");
        assert_climbs((LadderInput) { NOTHING_KNOWN, .order = order, .weak_only = true }, "wake");
        assert_climbs((LadderInput) { NOTHING_KNOWN, .order = order, .forbidden = rung_bit(RUNG_BUS) }, "slot wake");
        /* What helped once is not climbed where the administrator has left it out. */
        assert_climbs((LadderInput) { .named = _RUNG_INVALID, .worked = RUNG_FLR, .order = order }, "bus slot wake");
}

static void test_memory(void) {
        assert_climbs((LadderInput) { .named = _RUNG_INVALID, .worked = RUNG_REMOVE_RESCAN },
                      "remove-rescan wake flr af_flr device_specific acpi pm bus subordinate");
        /* An opt-in rung is not remembered into being allowed, a strong one not into being weak. */
        assert_climbs((LadderInput) { .named = _RUNG_INVALID, .worked = RUNG_SLOT },
                      "wake flr af_flr device_specific acpi pm bus subordinate remove-rescan");
        assert_climbs((LadderInput) { .named = _RUNG_INVALID, .worked = RUNG_BUS, .weak_only = true }, "wake flr af_flr pm");
}

static void test_words(void) {
        char *const words[] = { (char *) "bus", (char *) "no-rung", (char *) "af_flr", NULL };

        for (Rung r = 0; r < _RUNG_MAX; r++) {
                g_assert_nonnull(rung_to_string(r));
                g_assert_cmpint(rung_from_string(rung_to_string(r)), ==, r);
        }
        g_assert_cmpuint(rung_set_from_words(words), ==, rung_bit(RUNG_BUS) | rung_bit(RUNG_AF_FLR));
        g_assert_cmpuint(rung_set_from_words(NULL), ==, 0);
        g_assert_cmpstr(rung_method(RUNG_AF_FLR), ==, "af_flr");
        g_assert_null(rung_method(RUNG_SUBORDINATE));
        g_assert_null(rung_method(RUNG_WAKE));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ladder/by-harm", test_by_harm);
        g_test_add_func("/ladder/forbidden", test_forbidden);
        g_test_add_func("/ladder/opt-in", test_opt_in);
        g_test_add_func("/ladder/order", test_order);
        g_test_add_func("/ladder/memory", test_memory);
        g_test_add_func("/ladder/words", test_words);
        return g_test_run();
}
