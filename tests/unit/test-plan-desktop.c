/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-plan-desktop: who is logged out for a card, who is not, and what becomes of the display manager. */

#include "plan-case.h"
#include "snapshot-builder.h"

/* The steps that concern people, in order; "" for none. */
static char *desktop_steps(PlanCase *c, Operation operation) {
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, operation);
        g_autofree char *text = plan_text(p);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        GString *out = g_string_new(NULL);

        for (char **line = lines; *line; line++)
                if (startswith(*line, "check-logins ") || startswith(*line, "end-session ") ||
                    startswith(*line, "stop-unit ") || startswith(*line, "return-unit ") ||
                    startswith(*line, "start-unit ") || startswith(*line, "xorg-files ") ||
                    startswith(*line, "wait-free "))
                        g_string_append_printf(out, "%s\n", *line);
        return g_string_free(out, FALSE);
}

static void assert_desktop(PlanCase *c, Operation operation, const char *steps) {
        g_autofree char *text = desktop_steps(c, operation);

        g_assert_cmpstr(text, ==, steps);
}

static void set(char **field, const char *value) {
        g_assert_cmpint(free_and_strdup(field, value), ==, 0);
}

static PlanCase *desktop_case(void) {
        PlanCase *c = plan_case_new(build_desktop(), DESKTOP);

        plan_case_desktop(c);
        return c;
}

#define WHOLE                                \
        "check-logins - 2\n"                 \
        "end-session 2 anna x11 seat0\n"     \
        "stop-unit lightdm.service\n"        \
        "wait-free " DESKTOP " 30\n"         \
        "return-unit lightdm.service\n"

static void test_whole(void) {
        g_autoptr(PlanCase) c = desktop_case();

        assert_desktop(c, OPERATION_DETACH, WHOLE);
        c->options.wait_sec = 60;
        assert_desktop(c, OPERATION_DETACH,
                       "check-logins - 2\nend-session 2 anna x11 seat0\nstop-unit lightdm.service\nwait-free " DESKTOP
                       " 60\n"
                       "return-unit lightdm.service\n");
}

/* It is the caller who allows it, of those whom he was shown. */
static void test_consent(void) {
        g_autoptr(PlanCase) c = desktop_case();

        c->options.log_out = false;
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        c->options.log_out = true;
        c->holders = holders_free(c->holders);
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
}

/* Nobody's desktop has the card: nobody is logged out. */
static void test_not_concerned(void) {
        g_autoptr(PlanCase) c = desktop_case();
        Holder *h = c->holders->list;

        h->protected = false; /* a player */
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        h->protected = true;
        set(&h->unit, "systemd-logind.service");
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        set(&h->unit, "x11vnc.service");
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        set(&h->unit, "lightdm.service");
        h->is_vm = true;
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        h->is_vm = false;
        assert_desktop(c, OPERATION_DETACH, WHOLE);
}

/* The compositor in its session, or below the user's manager, as GNOME's and Plasma's are. */
static void test_compositor(void) {
        g_autoptr(PlanCase) c = desktop_case();
        Holder *h = c->holders->list;

        set(&h->unit, "session-2.scope");
        set(&h->session, "2");
        h->uid = 1000;
        assert_desktop(c, OPERATION_DETACH, WHOLE);
        /* Another session of hers, from afar, is no desktop. */
        set(&h->session, "9");
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        set(&h->unit, "org.gnome.Shell@wayland.service");
        set(&h->session, NULL);
        assert_desktop(c, OPERATION_DETACH, WHOLE);
        h->uid = 1001;
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        /* A greeter is not logged out: it ends with its display manager. */
        set(&c->holders->logins[0].class, "greeter");
        h->uid = 1000;
        assert_desktop(c, OPERATION_DETACH,
                       "check-logins -\nstop-unit lightdm.service\nwait-free " DESKTOP
                       " 30\nreturn-unit lightdm.service\n");
}

/* All desktops end with the display manager, whatever card they are on; consoles and people from afar have theirs on. */
static void test_others(void) {
        g_autoptr(PlanCase) c = desktop_case();

        set(&plan_case_login(c, "c3", "bo", 1001)->type, "wayland");
        set(&plan_case_login(c, "4", "root", 0)->type, "tty");
        set(&plan_case_login(c, "5", "cy", 1002)->seat, "");
        set(&plan_case_login(c, "6", "gdm", 120)->class, "greeter");
        assert_desktop(c, OPERATION_DETACH,
                       "check-logins - 2 c3\n"
                       "end-session 2 anna x11 seat0\n"
                       "end-session c3 bo wayland seat0\n"
                       "stop-unit lightdm.service\n"
                       "wait-free " DESKTOP " 30\n"
                       "return-unit lightdm.service\n");
}

/* A compositor that was started on a text console is no business of a display manager. */
static void test_console(void) {
        g_autoptr(PlanCase) c = desktop_case();
        Holder *h = c->holders->list;

        set(&c->holders->logins[0].type, "tty");
        set(&h->unit, "session-2.scope");
        set(&h->session, "2");
        assert_desktop(c, OPERATION_DETACH, "end-session 2 anna tty seat0\nwait-free " DESKTOP " 15\n");
        set(&c->holders->logins[0].user, "");
        set(&c->holders->logins[0].seat, "");
        assert_desktop(c, OPERATION_DETACH, "end-session 2 somebody tty no\\x20seat\nwait-free " DESKTOP " 15\n");
}

/* Where there is no display manager there is none to stop. */
static void test_no_display_manager(void) {
        g_autoptr(PlanCase) c = desktop_case();
        Holder *h = c->holders->list;

        set(&c->holders->display_manager, NULL);
        assert_desktop(c, OPERATION_DETACH, "wait-free " DESKTOP " 15\n");
        set(&h->session, "2");
        assert_desktop(c, OPERATION_DETACH, "end-session 2 anna x11 seat0\nwait-free " DESKTOP " 15\n");
        assert_desktop(c, OPERATION_RESET, "");
}

/* The only display of the host: there will be nothing to show a login on, until the attach. */
static void test_only_display(void) {
        g_autoptr(PlanCase) c = plan_case_new(build_apu(), APU);

        plan_case_desktop(c);
        assert_desktop(c, OPERATION_DETACH,
                       "check-logins - 2\nend-session 2 anna x11 seat0\nstop-unit lightdm.service\nwait-free " APU
                       " 30\n");
}

/* The way back: a desktop that runs without the card goes on, unless the caller wants it to begin again with it. */
static void test_attach(void) {
        g_autoptr(PlanCase) c = desktop_case();

        for (char **a = c->functions; *a; a++)
                build_driver(c->snapshot, *a, "vfio-pci");
        holders_free(c->holders);
        c->holders = holders_new();
        (void) plan_case_login(c, "7", "anna", 1000);
        set(&c->holders->display_manager, "lightdm.service");
        assert_desktop(c, OPERATION_ATTACH,
                       "wait-free " DESKTOP
                       " 0\ncheck-logins - 7\nend-session 7 anna x11 seat0\nstop-unit lightdm.service\n"
                       "return-unit lightdm.service\n");
        c->options.log_out = false;
        assert_desktop(c, OPERATION_ATTACH, "wait-free " DESKTOP " 0\n");
        /* What a detach has stopped is started in any case. */
        build_strv(&c->units, "lightdm.service");
        assert_desktop(c, OPERATION_ATTACH, "wait-free " DESKTOP " 0\nstart-unit lightdm.service\n");
        c->options.log_out = true;
        set(&c->holders->display_manager, NULL);
        assert_desktop(c, OPERATION_ATTACH, "wait-free " DESKTOP " 0\nstart-unit lightdm.service\n");
}

/* What is undone of it: nobody is logged in again, but there is a login again. */
static void test_undo(void) {
        g_autoptr(PlanCase) c = desktop_case();
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, OPERATION_DETACH);
        Saved saved = {};

        for (unsigned round = 0; round < 2; round++) {
                unsigned seen = 0;

                for (size_t i = 0; i < p->n; i++) {
                        _cleanup_(plan_freep) Plan *undo = NULL;
                        Verb verb = p->steps[i].verb;

                        g_assert_cmpint(plan_undo(p, i, &saved, &undo), ==, 0);
                        if (verb == VERB_END_SESSION || verb == VERB_CHECK_LOGINS || verb == VERB_STOP_UNIT ||
                            verb == VERB_RETURN_UNIT)
                                seen++;
                        if (verb == VERB_END_SESSION || verb == VERB_CHECK_LOGINS)
                                g_assert_cmpuint(undo->n, ==, 0);
                        if (verb != VERB_STOP_UNIT && verb != VERB_RETURN_UNIT)
                                continue;
                        /* Only what was running. */
                        g_assert_cmpuint(undo->n, ==, round);
                        if (round == 1)
                                g_assert_cmpint(undo->steps[0].verb, ==,
                                                verb == VERB_STOP_UNIT ? VERB_START_UNIT : VERB_STOP_UNIT);
                }
                g_assert_cmpuint(seen, ==, 4);
                g_assert_cmpint(saved_add(&saved, "lightdm.service", "active", "yes"), ==, 0);
        }
        saved_done(&saved);
}

/* The configuration changes while no display server runs, and also where none is stopped for it. */
static void test_xorg(void) {
        g_autoptr(PlanCase) c = desktop_case(), home = desktop_case(), sound = plan_case_new(build_apu(), APU);

        /* Not for the sound alone. */
        plan_case_xorg(sound);
        build_strv(&sound->options.functions, "0000:c5:00.1");
        assert_desktop(sound, OPERATION_DETACH, "wait-free " APU " 15\n");

        plan_case_xorg(c);
        assert_desktop(c, OPERATION_DETACH,
                       "check-logins - 2\nend-session 2 anna x11 seat0\nstop-unit lightdm.service\nwait-free " DESKTOP
                       " 30\n"
                       "xorg-files " DESKTOP " detached 10-nvidia.conf 20-one-screen.conf:detached\n"
                       "return-unit lightdm.service\n");
        c->options.log_out = false;
        assert_desktop(c, OPERATION_DETACH,
                       "wait-free " DESKTOP " 15\nxorg-files " DESKTOP
                       " detached 10-nvidia.conf 20-one-screen.conf:detached\n");
        plan_case_xorg(home);
        for (char **a = home->functions; *a; a++)
                build_driver(home->snapshot, *a, "vfio-pci");
        build_strv(&home->units, "lightdm.service");
        home->options.log_out = false;
        assert_desktop(home, OPERATION_ATTACH,
                       "wait-free " DESKTOP " 0\nxorg-files " DESKTOP
                       " host 10-nvidia.conf 20-one-screen.conf:detached\n"
                       "start-unit lightdm.service\n");
}

static void test_sentence(void) {
        g_autoptr(PlanCase) c = desktop_case();
        _cleanup_(plan_freep) Plan *p = plan_case_build(c, OPERATION_DETACH);
        bool seen = false;

        for (size_t i = 0; i < p->n; i++) {
                _cleanup_free_ char *text = step_describe(p->steps + i);

                seen = seen || streq(text, "log out anna (session 2, x11 on seat0)");
        }
        g_assert_true(seen);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plan-desktop/whole", test_whole);
        g_test_add_func("/plan-desktop/consent", test_consent);
        g_test_add_func("/plan-desktop/not-concerned", test_not_concerned);
        g_test_add_func("/plan-desktop/compositor", test_compositor);
        g_test_add_func("/plan-desktop/others", test_others);
        g_test_add_func("/plan-desktop/console", test_console);
        g_test_add_func("/plan-desktop/no-display-manager", test_no_display_manager);
        g_test_add_func("/plan-desktop/only-display", test_only_display);
        g_test_add_func("/plan-desktop/attach", test_attach);
        g_test_add_func("/plan-desktop/undo", test_undo);
        g_test_add_func("/plan-desktop/xorg", test_xorg);
        g_test_add_func("/plan-desktop/sentence", test_sentence);
        return g_test_run();
}
