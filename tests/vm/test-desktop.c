/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-desktop: a desktop on the card ends for it, and there is a login again: a display manager whose server has the card, and
 * a session of the user's that logind has made, by PAM. What stands in for the programs is told by name alone, as gpuptd tells them. */

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

#define MANAGER "vm-display-manager.service"
#define SESSION "vm-session.service"
#define UNITS "/run/systemd/system/"
#define PROGRAMS "/run/vm-desktop"
#define POLKIT_RULES "/etc/polkit-1/rules.d/10-vm-desktop.rules"

/* Every card that there is when it starts, as a display server opens them. */
#define OPEN_CARDS "i=5; for n in /dev/dri/card*; do eval \"exec $i<>$n\"; i=$((i+1)); done; "

static void put(const char *path, const char *text) {
        g_autoptr(GError) error = NULL;

        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
}

static void put_program(const char *name) {
        g_autofree char *path = g_strdup_printf(PROGRAMS "/%s", name);

        g_free(output_of("install", "-D", "/usr/bin/sleep", path, NULL));
}

static void remove_desktop(void) {
        output_free(command(WHO_ROOT, "systemctl", "stop", MANAGER, SESSION, "user@1000.service", NULL));
        output_free(command(WHO_ROOT, "systemctl", "reset-failed", MANAGER, SESSION, NULL));
        (void) unlink(UNITS "display-manager.service");
        (void) unlink(POLKIT_RULES);
}

static char *session_id(void) {
        return output_of("loginctl", "show-seat", "--property=ActiveSession", "--value", "seat0", NULL);
}

/* Another one than before, with the compositor that makes it a desktop. */
static bool has_desktop(const void *before) {
        g_autofree char *session = session_id(), *node = pci_child(BOOT, "drm", "card");
        g_autofree char *path = node ? g_strdup_printf("/dev/dri/%s", strrchr(node, '/') + 1) : NULL;

        return *session && !g_str_equal(session, before) && path && is_held(path, "weston");
}

static void begin_desktop(void) {
        remove_desktop();
        put_program("Xorg");
        put_program("weston");
        put(UNITS MANAGER,
            "[Service]\nExecStart=/bin/sh -c '" OPEN_CARDS "exec " PROGRAMS "/Xorg infinity'\n"
            "ExecStartPost=/bin/systemctl --no-block start " SESSION "\n");
        put(UNITS SESSION,
            "[Service]\nUser=user\nPAMName=login\nSupplementaryGroups=video\nTTYPath=/dev/tty1\nStandardInput=tty\n"
            "StandardOutput=journal\nEnvironment=XDG_SESSION_TYPE=x11\n"
            "ExecStart=/bin/sh -c '" OPEN_CARDS "exec " PROGRAMS "/weston infinity'\n");
        g_assert_cmpint(symlink(UNITS MANAGER, UNITS "display-manager.service"), ==, 0);
        g_free(output_of("systemctl", "daemon-reload", NULL));
        g_free(output_of("systemctl", "start", MANAGER, NULL));
        wait_until(has_desktop, "", "the user's desktop");
}

static void assert_contains(const char *text, const char *what) {
        if (!strstr(text, what))
                g_test_message("no '%s' in: %s", what, text);
        g_assert_nonnull(strstr(text, what));
}

static void assert_last_job(const char *key, const char *wanted) {
        g_autofree char *value = gpu_last_job(CARD, key);

        g_assert_cmpstr(value, ==, wanted);
}

static void assert_state(const char *wanted) {
        g_autofree char *state = gpu_get(CARD, "State");

        g_assert_cmpstr(state, ==, wanted);
}

static bool rules_are_read(const void *unused) {
        g_autofree char *pid = output_of("pgrep", "--exact", "weston", NULL);
        g_autoptr(Output) o =
                command(WHO_ROOT, "pkcheck", "--action-id", "org.gpupt1.disrupt-session", "--process", pid, NULL);

        return o->status == 0;
}

/* The user types it in a terminal of his session, which does not survive it. */
static void test_user(void) {
        g_autofree char *before = NULL, *session = NULL, *again = NULL;
        g_autoptr(Output) refused = NULL, told = NULL, typed = NULL, attached = NULL;
        Child *terminal;

        begin_desktop();
        before = machine_state();
        session = session_id();
        refused = gpuptctl(WHO_DESKTOP, "detach", "--wait=1", CARD, NULL);
        assert_status(refused, 5);
        assert_contains(refused->err, "weston");
        told = gpuptctl(WHO_DESKTOP, "detach", "--disrupt-session", "--dry-run", CARD, NULL);
        assert_status(told, 0);
        assert_contains(told->out, "log out user (session ");
        assert_contains(told->out, "stop " MANAGER);
        assert_contains(told->out, "start " MANAGER " again");
        again = session_id();
        g_assert_cmpstr(session, ==, again);

        put(POLKIT_RULES, "polkit.addRule(function(action, subject) {\n"
                          "        if (action.id == 'org.gpupt1.disrupt-session')\n"
                          "                return polkit.Result.YES;\n"
                          "});\n");
        wait_until(rules_are_read, NULL, "polkit to read its rules");
        terminal =
                child_start(WHO_DESKTOP, "gpuptctl", "--no-ask-password", "detach", "--disrupt-session", CARD, NULL);
        typed = child_wait(terminal);
        g_assert_cmpint(typed->status, !=, 0);
        gpu_wait_state(CARD, "detached");
        gpu_wait_idle(CARD);
        assert_last_job("result", "done");
        wait_until(has_desktop, session, "the user's next desktop");

        /* What came back does not know the card, and goes on without it. */
        g_free(again);
        again = session_id();
        attached = gpuptctl(WHO_DESKTOP, "attach", CARD, NULL);
        assert_status(attached, 0);
        assert_state("host");
        g_free(session);
        session = session_id();
        g_assert_cmpstr(session, ==, again);
        remove_desktop();
}

/* And back with the desktop beginning anew; the node of the card is there for it before it does. */
static void test_back(void) {
        g_autofree char *session = NULL, *node = NULL, *path = NULL;
        g_autoptr(Output) detached = NULL, attached = NULL;

        begin_desktop();
        detached = gpuptctl(WHO_ROOT, "detach", "--disrupt-session", CARD, NULL);
        assert_status(detached, 0);
        session = session_id();
        wait_until(has_desktop, "", "the user's desktop without the card");
        g_free(session);
        session = session_id();
        attached = gpuptctl(WHO_ROOT, "attach", "--disrupt-session", CARD, NULL);
        assert_status(attached, 0);
        wait_until(has_desktop, session, "the user's desktop with the card");
        node = pci_child(CARD, "drm", "card");
        g_assert_nonnull(node);
        path = g_strdup_printf("/dev/dri/%s", strrchr(node, '/') + 1);
        g_assert_true(is_held(path, "weston"));
        remove_desktop();
}

/* A stubborn program has it all the same: nothing is taken, and there is a login again. */
static void test_undone(void) {
        g_autofree char *session = NULL, *control = sound_control(CARD_AUDIO);
        g_autoptr(Output) refused = NULL;

        begin_desktop();
        session = session_id();
        (void) stubborn_start(control);
        refused = gpuptctl(WHO_ROOT, "detach", "--disrupt-session", CARD, NULL);
        assert_status(refused, 5);
        assert_contains(refused->err, STUBBORN_UNIT);
        assert_state("host");
        wait_until(has_desktop, session, "the user's next desktop");
        remove_desktop();
}

#define XORG "/etc/X11/xorg.conf.d/"
#define GPU_FILE "/etc/gpuptd/card.gpu"

static bool there(const char *name) {
        g_autofree char *path = g_strdup_printf(XORG "%s", name);

        return access(path, F_OK) == 0;
}

static void assert_files(bool detached) {
        g_assert_cmpint(there("10-card.conf"), ==, !detached);
        g_assert_cmpint(there("10-card.conf.gpuptd"), ==, detached);
        g_assert_cmpint(there("20-alone.conf"), ==, detached);
        g_assert_cmpint(there("20-alone.conf.gpuptd"), ==, !detached);
}

/* The configuration follows the card, in the sandboxes that the units really have; and after a boot that nobody had prepared for. */
static void test_xorg(void) {
        g_autoptr(Output) detached = NULL, attached = NULL, again = NULL;
        g_autofree char *wants = output_of("systemctl", "show", "--property=Wants", "--value", "multi-user.target", NULL), *result = NULL;

        assert_contains(wants, "gpuptd-restore.service");
        g_assert_cmpint(g_mkdir_with_parents("/etc/gpuptd", 0755), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(XORG, 0755), ==, 0);
        put(GPU_FILE, "[Match]\nAddress=" CARD "\n[Session]\nXorgFiles=10-card.conf 20-alone.conf:detached\n");
        put(XORG "10-card.conf", "# card\n");
        put(XORG "20-alone.conf.gpuptd", "# alone\n");
        g_free(output_of("gpuptctl", "reload", NULL));

        detached = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(detached, 0);
        assert_files(true);
        attached = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attached, 0);
        assert_files(false);

        again = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(again, 0);
        daemon_kill();
        pci_rebind(CARD, "bochs-drm");
        g_free(output_of("systemctl", "restart", "gpuptd-restore.service", NULL));
        assert_files(false);
        result = output_of("systemctl", "show", "--property=Result", "--value", "gpuptd-restore.service", NULL);
        g_assert_cmpstr(result, ==, "success");
        g_assert_cmpint(unlink(GPU_FILE), ==, 0);
        /* What runs next in this machine need not be a case, which would begin with it. */
        machine_restore();
}

/* A desktop of one card that follows udev, as KWin and those of wlroots do: what has gone is closed, what comes is opened. Its own events
 * come through a FIFO, so that it is this very process that has the card. */
#define COMPOSITOR "vm-compositor.service"
#define COMPOSITOR_SCRIPT                                                                                             \
        "card=$1; fifo=" PROGRAMS "/events; mkfifo $fifo; udevadm monitor --udev --subsystem-match=drm >$fifo &\n"     \
        "exec 5<>/dev/dri/$card 6<$fifo\n"                                                                            \
        "while read -r line <&6; do case \"$line\" in\n"                                                              \
        "*' remove '*/$card\\ *) exec 5>&- ;;\n"                                                                     \
        "*' add '*/$card\\ *) exec 5<>/dev/dri/$card ;;\n"                                                           \
        "esac; done\n"

static char *card_name(void) {
        g_autofree char *node = pci_child(CARD, "drm", "card");

        g_assert_nonnull(node);
        return g_strdup(strrchr(node, '/') + 1);
}

static bool has_compositor(const void *path) {
        return is_held(path, "kwin_wayland");
}

static bool has_no_compositor(const void *path) {
        return !has_compositor(path);
}

static void begin_compositor(void) {
        g_autofree char *card = card_name(), *path = g_strdup_printf("/dev/dri/%s", card);

        g_free(output_of("install", "-D", "/bin/dash", PROGRAMS "/kwin_wayland", NULL));
        (void) unlink(PROGRAMS "/events");
        put(PROGRAMS "/follow", COMPOSITOR_SCRIPT);
        g_free(output_of("systemd-run", "--unit=" COMPOSITOR, "--collect", PROGRAMS "/kwin_wayland", PROGRAMS "/follow", card, NULL));
        wait_until(has_compositor, path, "the compositor");
}

static void configure(const char *settings) {
        g_autofree char *text = g_strdup_printf("[Match]\nAddress=" CARD "\n[Session]\n%s\n", settings);

        g_assert_cmpint(g_mkdir_with_parents("/etc/gpuptd", 0755), ==, 0);
        put(GPU_FILE, text);
        g_free(output_of("gpuptctl", "reload", NULL));
}

/* It lets go when it is asked, and goes on; and has the card again when that comes back, or stays. */
static void test_compositor(void) {
        g_autofree char *card = card_name(), *path = g_strdup_printf("/dev/dri/%s", card), *control = sound_control(CARD_AUDIO), *pid = NULL,
                        *same = NULL;
        g_autoptr(Output) refused = NULL, undone = NULL, detached = NULL, attached = NULL;

        begin_compositor();
        pid = output_of("systemctl", "show", "--property=MainPID", "--value", COMPOSITOR, NULL);
        refused = gpuptctl(WHO_ROOT, "detach", "--wait=1", CARD, NULL);
        assert_status(refused, 5);
        assert_contains(refused->err, "kwin_wayland");

        configure("AskCompositors=kwin_wayland");
        (void) stubborn_start(control);
        undone = gpuptctl(WHO_ROOT, "detach", "--wait=1", CARD, NULL);
        assert_status(undone, 5);
        assert_contains(undone->err, STUBBORN_UNIT);
        wait_until(has_compositor, path, "the compositor that gets the card back");
        stubborn_stop();

        detached = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(detached, 0);
        attached = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attached, 0);
        g_free(card);
        g_free(path);
        card = card_name();
        path = g_strdup_printf("/dev/dri/%s", card);
        wait_until(has_compositor, path, "the compositor with the card that has come back");
        same = output_of("systemctl", "show", "--property=MainPID", "--value", COMPOSITOR, NULL);
        g_assert_cmpstr(pid, ==, same);
        g_free(output_of("systemctl", "stop", COMPOSITOR, NULL));
        wait_until(has_no_compositor, path, "the end of the compositor");
        configure("");
}

static char *udev_property(const char *key) {
        g_autofree char *card = card_name(), *name = g_strdup_printf("--name=dri/%s", card),
                        *property = g_strdup_printf("--property=%s", key);

        return output_of("udevadm", "info", "--query=property", "--value", property, name, NULL);
}

static bool has_seat_rule(const void *wanted) {
        return (access("/etc/udev/rules.d/72-gpuptd-seats.rules", F_OK) == 0) == (wanted != NULL);
}

/* udevd looks for other rules every three seconds (udevd.c event_queue_start()): it is told to. */
static void again(void) {
        g_autoptr(Output) detached = NULL, attached = NULL;

        g_free(output_of("udevadm", "control", "--reload", NULL));
        detached = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(detached, 0);
        attached = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attached, 0);
        g_free(output_of("udevadm", "settle", NULL));
}

/* What a compositor goes by, as udev and logind have it. */
static void test_apart(void) {
        g_autofree char *seat = NULL, *tags = NULL, *seats = NULL, *before = udev_property("CURRENT_TAGS"), *after = NULL, *no_seat = NULL;

        assert_contains(before, ":master-of-seat:");
        configure("Desktops=leave");
        wait_until(has_seat_rule, "", "the rule");
        again();
        seat = udev_property("ID_SEAT");
        tags = udev_property("CURRENT_TAGS");
        g_assert_cmpstr(seat, ==, "seat-gpuptd");
        assert_contains(tags, ":mutter-device-ignore:");
        g_assert_null(strstr(tags, ":master-of-seat:"));
        g_assert_null(strstr(tags, ":seat:"));
        g_assert_null(strstr(tags, ":uaccess:"));
        /* No seat that a display manager would start a greeter on. */
        seats = output_of("loginctl", "list-seats", "--no-legend", NULL);
        g_assert_null(strstr(seats, "seat-gpuptd"));

        configure("");
        wait_until(has_seat_rule, NULL, "the end of the rule");
        again();
        after = udev_property("CURRENT_TAGS");
        no_seat = udev_property("ID_SEAT");
        assert_contains(after, ":master-of-seat:");
        g_assert_cmpstr(no_seat, ==, "");
        g_assert_cmpint(unlink(GPU_FILE), ==, 0);
        g_free(output_of("gpuptctl", "reload", NULL));
}

/* No VM comes, so the display does. */
static void test_watchdog(void) {
        g_autofree char *session = NULL;
        g_autoptr(Output) detached = NULL;

        configure("DisplayTimeoutSec=2");
        begin_desktop();
        session = session_id();
        detached = gpuptctl(WHO_ROOT, "detach", "--disrupt-session", CARD, NULL);
        assert_status(detached, 0);
        gpu_wait_state(CARD, "host");
        gpu_wait_idle(CARD);
        assert_last_job("operation", "attach");
        assert_last_job("result", "done");
        wait_until(has_desktop, session, "the user's next desktop");
        configure("");
        remove_desktop();
}

/* As real transient units, with the environment that they really have; what says no is not overruled. */
#define HOOKS "/etc/gpuptd/hooks.d/"
#define HOOK_LOG "/run/vm-hooks.log"

static void put_hook(const char *name, const char *text) {
        g_autofree char *path = g_strdup_printf(HOOKS "%s", name);

        g_assert_cmpint(g_mkdir_with_parents(HOOKS, 0755), ==, 0);
        put(path, text);
        g_assert_cmpint(chmod(path, 0755), ==, 0);
}

static char *take_hook_log(void) {
        char *text = NULL;

        if (!g_file_get_contents(HOOK_LOG, &text, NULL, NULL))
                text = g_strdup("");
        (void) unlink(HOOK_LOG);
        return text;
}

static bool has_resumed(const void *unused) {
        g_autofree char *text = NULL;

        return g_file_get_contents(HOOK_LOG, &text, NULL, NULL) && strstr(text, "post resume");
}

static void test_told(void) {
        g_autofree char *moved = NULL, *slept = NULL, *refused_log = NULL, *before = machine_state();
        g_autoptr(Output) detached = NULL, attached = NULL, refused = NULL;

        put_hook("10-note", "#!/bin/sh\necho \"$1 $2 $GPUPT_EVENT $GPUPT_GPU $GPUPT_RESULT\" >>" HOOK_LOG "\n");
        detached = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(detached, 0);
        attached = gpuptctl(WHO_ROOT, "attach", CARD, NULL);
        assert_status(attached, 0);
        moved = take_hook_log();
        g_assert_cmpstr(moved, ==,
                        "pre detach pre-detach " CARD " \npost detach post-detach " CARD " done\n"
                        "pre attach pre-attach " CARD " \npost attach post-attach " CARD " done\n");

        put_hook("20-no", "#!/bin/sh\n[ $1 = post ] || { echo not today; exit 1; }\n");
        refused = gpuptctl(WHO_ROOT, "detach", CARD, NULL);
        assert_status(refused, 1);
        assert_contains(refused->err, "not today");
        assert_contains(refused->err, "20-no");
        refused_log = take_hook_log();
        g_assert_cmpstr(refused_log, ==, "pre detach pre-detach " CARD " \npost detach post-detach " CARD " failed\n");
        g_assert_cmpint(unlink(HOOKS "20-no"), ==, 0);
        assert_machine_state(before);

        g_free(output_of("gpuptctl", "detach", CARD, NULL));
        g_free(take_hook_log());
        g_assert_true(machine_sleep(3));
        gpu_wait_idle(CARD);
        wait_until(has_resumed, NULL, "the hooks to be told of the wake");
        slept = take_hook_log();
        g_assert_cmpstr(slept, ==, "pre sleep pre-sleep  \npost sleep post-sleep  done\npre resume pre-resume  \npost resume post-resume  done\n");
        g_assert_cmpint(unlink(HOOKS "10-note"), ==, 0);
        /* As above: the last one leaves the machine as it was. */
        machine_restore();
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/desktop/user", test_user);
        case_add("/desktop/back", test_back);
        case_add("/desktop/undone", test_undone);
        case_add("/desktop/xorg", test_xorg);
        case_add("/desktop/compositor", test_compositor);
        case_add("/desktop/apart", test_apart);
        case_add("/desktop/watchdog", test_watchdog);
        case_add("/desktop/told", test_told);
        return g_test_run();
}
