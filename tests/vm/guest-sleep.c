/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "guest-sleep.h"

#include <glib/gstdio.h>
#include <json-c/json_pointer.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dbus/names.h"
#include "guest-private.h"

/* systemd-sleep runs what is in there, and waits for it (sleep/sleep.c execute()). */
#define HOOK "/usr/lib/systemd/system-sleep/gpupt-vm"
#define SCRIPT "/run/at-sleep"
#define SAID "/run/at-sleep.said"
#define UNIT_FILE "/run/systemd/system/" NESTED_UNIT
#define MASK "/run/systemd/system/" GPUPT_UNIT_DAEMON

/* The alarm is set here and not by whoever asks for the sleep: what is prepared takes as long as it takes, and an alarm that rings before
 * the kernel sleeps wakes nobody. The kernel needs less than one of these seconds. From the second sleep on QEMU's clock often wakes
 * it at once; it has slept all the same. */
static const char hook[] =
        "#!/bin/sh\n"
        "[ \"$1\" = pre ] || exit 0\n"
        "[ -e " SCRIPT " ] && sh " SCRIPT " > " SAID " 2>&1\n"
        "echo 0 > /sys/class/rtc/rtc0/wakealarm\n"
        "echo +6 > /sys/class/rtc/rtc0/wakealarm\n";

/* Of whom asks: it only has to be later than all that is prepared. */
#define LATE_ALARM_SEC 600

static char *cursor;

/* ---- Around a case */

static void write_file(const char *path, const char *text, mode_t mode) {
        g_autoptr(GError) error = NULL;

        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
        g_assert_cmpint(chmod(path, mode), ==, 0);
}

static char *gate_state(void) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        char *path = NULL, *state = NULL, *text;

        g_assert_cmpint(sd_bus_path_encode("/org/freedesktop/systemd1/unit", GPUPT_UNIT_SLEEP, &path), >=, 0);
        g_assert_cmpint(sd_bus_get_property_string(system_bus(), "org.freedesktop.systemd1", path, "org.freedesktop.systemd1.Unit",
                                                   "ActiveState", &error, &state),
                        >=, 0);
        text = g_strdup(state);
        free(path);
        free(state);
        return text;
}

static bool gate_rests(const void *userdata) {
        g_autofree char *state = gate_state();

        return g_str_equal(state, "inactive") || g_str_equal(state, "failed");
}

static void mark_journal(void) {
        g_autofree char *text = output_of("journalctl", "--quiet", "--lines=0", "--show-cursor", NULL);
        const char *mark = strstr(text, "cursor: ");

        g_assert_nonnull(mark);
        g_free(cursor);
        cursor = g_strdup(mark + strlen("cursor: "));
}

static void set_up(gpointer test, gconstpointer unused) {
        if (g_file_test(MASK, G_FILE_TEST_IS_SYMLINK))
                g_free(output_of("systemctl", "unmask", "--runtime", GPUPT_UNIT_DAEMON, NULL));
        machine_restore();
        if (!gate_rests(NULL))
                output_free(command(WHO_ROOT, "systemctl", "stop", GPUPT_UNIT_SLEEP, NULL));
        if (g_unlink(UNIT_FILE) == 0)
                g_free(output_of("systemctl", "daemon-reload", NULL));
        (void) g_unlink(SCRIPT);
        (void) g_unlink(SAID);
        (void) g_unlink(POLKIT_RULES);
        (void) g_unlink(SAID);
        (void) g_mkdir_with_parents("/usr/lib/systemd/system-sleep", 0755);
        write_file(HOOK, hook, 0755);
        wait_lock("delay", true);
        mark_journal();
        g_free(output_of("dmesg", "--clear", NULL));
}

static void run(gpointer test, gconstpointer unused) {
        void (*function)(void) = test;

        function();
}

void sleep_case_add(const char *path, void (*test)(void)) {
        g_test_add_vtable(path, 0, test, set_up, run, NULL);
}

/* ---- Scenery */

void unit_vm_start(void) {
        write_file(UNIT_FILE,
                   "[Service]\n"
                   "ExecStart=/usr/bin/qemu-system-x86_64 -name " NESTED_NAME " -accel tcg -M q35 -m 128 -nodefaults -display none "
                   "-vga none -device vfio-pci,host=" CARD " -device vfio-pci,host=" CARD_AUDIO "\n",
                   0644);
        g_free(output_of("systemctl", "daemon-reload", NULL));
        g_free(output_of("systemctl", "start", NESTED_UNIT, NULL));
        gpu_wait_state(CARD, "assigned");
}

void sleep_policy(const char *lines) {
        g_autofree char *text = g_strdup_printf("[Match]\nAddress=" CARD "\n[Sleep]\n%s\n", lines);

        write_file(GPUPT_RUN_DIR "/card.gpu", text, 0644);
        g_free(output_of("gpuptctl", "reload", NULL));
}

void at_sleep(const char *script) {
        write_file(SCRIPT, script, 0644);
}

char *said_at_sleep(void) {
        char *text = NULL;

        g_assert_true(g_file_get_contents(SAID, &text, NULL, NULL));
        g_assert_cmpint(g_unlink(SAID), ==, 0);
        return g_strchomp(text);
}

/* ---- Sleeping */

static bool is_awake(const void *userdata) {
        int sleeping = true;

        /* Not there: it is being started again. */
        if (sd_bus_get_property_trivial(system_bus(), GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Sleeping", NULL, 'b',
                                        &sleeping) < 0)
                return false;
        return !sleeping;
}

/* The gate first: a daemon that has just been started knows nothing of the sleep for a moment, the gate waits for it. */
void host_wait_awake(void) {
        wait_until(gate_rests, NULL, "the gate of sleep to close");
        wait_for_signals(is_awake, NULL, "gpuptd to have done with the sleep");
}

bool host_suspend(void) {
        bool slept = machine_sleep(LATE_ALARM_SEC);

        host_wait_awake();
        return slept;
}

int host_suspend_directly(void) {
        g_autoptr(Output) o = command(WHO_ROOT, "systemctl", "start", "suspend.target", NULL);

        g_test_message("%s", o->err);
        host_wait_awake();
        return o->status;
}

/* ---- What the kernel says */

static unsigned statistic(const char *name) {
        g_autofree char *path = g_build_filename("/sys/power/suspend_stats", name, NULL), *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return (unsigned) g_ascii_strtoull(text, NULL, 10);
}

unsigned kernel_slept(void) {
        return statistic("success");
}

unsigned kernel_tried(void) {
        return statistic("success") + statistic("fail");
}

/* From the kernel itself: journald may hang with a card. */
unsigned kernel_froze(void) {
        g_autofree char *text = output_of("dmesg", NULL);
        unsigned n = 0;

        for (const char *s = text; (s = strstr(s, "Freezing user space processes")); s++)
                n++;
        return n;
}

/* ---- What gpuptd says */

json_object *sleep_report(void) {
        g_autofree char *text = output_of("gpuptctl", "--json=short", "sleep", "report", NULL);
        json_object *report = json_tokener_parse(text);

        if (!json_object_is_type(report, json_type_object))
                g_error("gpuptctl sleep report: %s", text);
        return report;
}

char *report_get(json_object *report, const char *pointer) {
        json_object *value;

        if (json_pointer_get(report, pointer, &value) < 0)
                return NULL;
        return g_strdup(json_object_get_string(value));
}

void assert_reported(const char *pointer, const char *wanted, ...) {
        json_object *report = sleep_report();
        va_list ap;

        va_start(ap, wanted);
        for (;;) {
                g_autofree char *value = report_get(report, pointer);

                if (g_strcmp0(value, wanted) != 0)
                        g_test_message("%s is not '%s': %s", pointer, wanted, json_object_to_json_string(report));
                g_assert_cmpstr(value, ==, wanted);
                pointer = va_arg(ap, const char *);
                if (!pointer)
                        break;
                wanted = va_arg(ap, const char *);
        }
        va_end(ap);
        json_object_put(report);
}

char *journal_of_daemon(void) {
        g_autofree char *after = g_strdup_printf("--after-cursor=%s", cursor);

        g_free(output_of("journalctl", "--sync", NULL));
        return output_of("journalctl", "--quiet", "--output=cat", after, "--unit=" GPUPT_UNIT_DAEMON, NULL);
}

/* ---- Locks */

char *locks(void) {
        return output_of("systemd-inhibit", "--list", "--no-legend", NULL);
}

typedef struct Lock {
        const char *mode;
        bool held;
} Lock;

static bool lock_is(const void *userdata) {
        const Lock *l = userdata;
        g_autofree char *text = locks(), *pattern = g_strdup_printf("^gpuptd .*%s *$", l->mode);

        return g_regex_match_simple(pattern, text, G_REGEX_MULTILINE, 0) == l->held;
}

void wait_lock(const char *mode, bool held) {
        Lock l = { .mode = mode, .held = held };

        wait_until(lock_is, &l, held ? "gpuptd's lock against sleep" : "the end of gpuptd's lock against sleep");
}
