/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-session-freezer: what systemd says of the sessions of users, by a stand-in for it that knows some of it, answers nonsense, or is
 * not there. */

#include "session-freezer.h"

#include "bus.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define UNIT_PATH SYSTEMD_PATH "/unit/systemd_2dsuspend_2eservice"

typedef struct Fixture {
        TestBus bus;
        const char *version;
        const char *environment[4];
        SessionFreezer *freezer;
        unsigned answers;
        bool answered;
        SessionFreezerAnswer answer;
} Fixture;

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                       void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", ((Fixture *) userdata)->version);
}

static int get_environment(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                           void *userdata, sd_bus_error *error) {
        return sd_bus_message_append_strv(reply, (char **) ((Fixture *) userdata)->environment);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Environment", "as", get_environment, 0, 0),
        SD_BUS_VTABLE_END,
};

/* A version where an environment should be. */
static const sd_bus_vtable alien_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Environment", "s", get_version, 0, 0),
        SD_BUS_VTABLE_END,
};

static void on_answer(const SessionFreezerAnswer *answer, void *userdata) {
        Fixture *f = userdata;

        f->answers++;
        f->answered = true;
        f->answer = *answer;
        f->freezer = NULL;
}

static void set_up(Fixture *f, const void *service) {
        test_bus_up(&f->bus);
        if (!service)
                return;
        f->version = "256.7-1";
        g_assert_cmpint(sd_bus_add_object_vtable(f->bus.service, NULL, SYSTEMD_PATH, SYSTEMD_NAME ".Manager", manager_vtable, f), >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(f->bus.service, NULL, UNIT_PATH, SYSTEMD_NAME ".Service", service, f), >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->bus.service, SYSTEMD_NAME, 0), >=, 0);
}

static void tear_down(Fixture *f, const void *service) {
        g_assert_null(session_freezer_free(f->freezer));
        test_bus_down(&f->bus);
}

static void ask(Fixture *f) {
        f->answers = 0;
        f->answered = false;
        g_assert_cmpint(session_freezer_ask(f->bus.daemon, on_answer, f, &f->freezer), ==, 0);
        g_assert_cmpuint(f->answers, ==, 0);
        loop_until(f->bus.event, f->answered);
        g_assert_cmpuint(f->answers, ==, 1);
}

static void test_known(Fixture *f, const void *service) {
        ask(f);
        g_assert_cmpuint(f->answer.version, ==, 256);
        g_assert_false(f->answer.off);
        f->environment[0] = "A=B";
        f->environment[1] = "SYSTEMD_SLEEP_FREEZE_USER_SESSIONS=false";
        ask(f);
        g_assert_true(f->answer.off);
        f->environment[2] = "SYSTEMD_SLEEP_FREEZE_USER_SESSIONS=yes";
        ask(f);
        g_assert_false(f->answer.off);
}

static void test_alien(Fixture *f, const void *service) {
        ask(f);
        g_assert_cmpuint(f->answer.version, ==, 256);
        g_assert_false(f->answer.off);
}

static void test_nobody(Fixture *f, const void *service) {
        ask(f);
        g_assert_cmpuint(f->answer.version, ==, 0);
        g_assert_false(f->answer.off);
}

/* Nothing is said any more. */
static void test_freed(Fixture *f, const void *service) {
        g_assert_cmpint(session_freezer_ask(f->bus.daemon, on_answer, f, &f->freezer), ==, 0);
        f->freezer = session_freezer_free(f->freezer);
        test_bus_sync(&f->bus, f->bus.daemon);
        test_bus_sync(&f->bus, f->bus.service);
        test_bus_sync(&f->bus, f->bus.daemon);
        g_assert_cmpuint(f->answers, ==, 0);
}

static void test_words(void) {
        g_assert_cmpuint(session_freezer_version("252.39-1~deb12u1"), ==, 252);
        g_assert_cmpuint(session_freezer_version("v255"), ==, 255);
        g_assert_cmpuint(session_freezer_version("256~rc1"), ==, 256);
        g_assert_cmpuint(session_freezer_version(""), ==, 0);
        g_assert_cmpuint(session_freezer_version("main"), ==, 0);
        g_assert_cmpuint(session_freezer_version("99999999999999999999"), ==, 0);
        g_assert_true(session_freezer_is_off("SYSTEMD_SLEEP_FREEZE_USER_SESSIONS=0"));
        g_assert_true(session_freezer_is_off("SYSTEMD_SLEEP_FREEZE_USER_SESSIONS=No"));
        g_assert_false(session_freezer_is_off("SYSTEMD_SLEEP_FREEZE_USER_SESSIONS=1"));
        g_assert_false(session_freezer_is_off("SYSTEMD_SLEEP_FREEZE_USER_SESSIONS="));
        g_assert_false(session_freezer_is_off("SYSTEMD_SLEEP_FREEZE=0"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session-freezer/words", test_words);
        g_test_add("/session-freezer/known", Fixture, service_vtable, set_up, test_known, tear_down);
        g_test_add("/session-freezer/alien", Fixture, alien_vtable, set_up, test_alien, tear_down);
        g_test_add("/session-freezer/nobody", Fixture, NULL, set_up, test_nobody, tear_down);
        g_test_add("/session-freezer/freed", Fixture, service_vtable, set_up, test_freed, tear_down);
        return g_test_run();
}
