/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-adapters: the adapters of VMs with real VMs that have the card: a QEMU of one's own, a domain of libvirt, a unit. What
 * an adapter says is held against the manager's own word. */

#include <json-c/json.h>
#include <string.h>

#include "guest.h"

#define SOCKET "/run/adapter.qmp"
#define UNIT NESTED_UNIT

static char *adapter_path(const char *name) {
        g_autofree char *found = output_of("find", "/usr/lib", "-path", "*/gpuptd/vm.d/*", "-name", name, NULL);

        g_assert_true(g_str_has_suffix(found, name));
        return g_steal_pointer(&found);
}

/* Calls it; the exit status has to be as wanted; the answer. */
static json_object *adapter(const char *name, int wanted, const char *verb, const char *argument) {
        g_autofree char *path = adapter_path(name);
        g_autoptr(Output) o = command(WHO_ROOT, path, "--timeout=200", verb, argument, NULL);
        json_object *answer;

        g_test_message("%s %s: %s", name, verb, o->out);
        assert_status(o, wanted);
        answer = json_tokener_parse(o->out);
        g_assert_true(json_object_is_type(answer, json_type_object));
        return answer;
}

static char *member(const char *name, int wanted, const char *verb, const char *argument, const char *key) {
        json_object *answer = adapter(name, wanted, verb, argument), *value;
        char *text;

        g_assert_true(json_object_object_get_ex(answer, key, &value));
        text = g_strdup(json_object_get_string(value));
        json_object_put(answer);
        return text;
}

static void assert_answer(const char *name, int wanted, const char *verb, const char *id, const char *key, const char *value) {
        g_autofree char *is = member(name, wanted, verb, id, key);

        g_assert_cmpstr(is, ==, value);
}

/* By hand: adapters are programs of their own, and nobody else is to look at the card while a VM comes and goes. */
static void give_card(void) {
        g_free(output_of("systemctl", "stop", "gpuptd.service", NULL));
        g_free(output_of("modprobe", "vfio-pci", NULL));
        pci_rebind(CARD, "vfio-pci");
        pci_rebind(CARD_AUDIO, "vfio-pci");
}

static char *holder(void) {
        g_autofree char *node = vfio_node(CARD);
        g_autoptr(GArray) pids = holders_of(node);

        g_assert_cmpuint(pids->len, ==, 1);
        return g_strdup_printf("%d", g_array_index(pids, pid_t, 0));
}

/* ---- A QEMU that is nobody's: a unit, too, but one that QEMU's own socket says more about. */

static bool has_socket(const void *userdata) {
        return g_file_test(SOCKET, G_FILE_TEST_EXISTS);
}

static bool is_held_card(const void *userdata) {
        g_autofree char *node = vfio_node(CARD);
        g_autoptr(GArray) pids = holders_of(node);

        return pids->len == 1;
}

static void start_unit(void) {
        g_free(output_of("systemd-run", "--quiet", "--collect", "--unit=" UNIT, "qemu-system-x86_64", "-name", "guest=adapter", "-accel",
                         "tcg", "-M", "q35", "-m", "128", "-nodefaults", "-display", "none", "-vga", "none", "-qmp",
                         "unix:" SOCKET ",server=on,wait=off", "-device", "vfio-pci,host=" CARD, "-device", "vfio-pci,host=" CARD_AUDIO,
                         NULL));
        wait_until(has_socket, NULL, "QEMU's socket");
        wait_until(is_held_card, NULL, "QEMU to have the card");
}

static void test_qemu(void) {
        g_autofree char *pid = NULL, *id = NULL;

        give_card();
        start_unit();
        pid = holder();
        id = member("qemu", 0, "identify", pid, "id");
        assert_answer("qemu", 0, "identify", pid, "name", "adapter");
        json_object_put(adapter("libvirt", 2, "identify", pid));
        json_object_put(adapter("proxmox", 2, "identify", pid));

        assert_answer("qemu", 0, "status", id, "state", "running");
        assert_answer("qemu", 0, "pause", id, "changed", "true");
        assert_answer("qemu", 0, "status", id, "detail", "paused");
        assert_answer("qemu", 0, "pause", id, "changed", "false");
        assert_answer("qemu", 0, "resume", id, "state", "running");
        assert_answer("qemu", 0, "capabilities", id, "agent", "false");
        json_object_put(adapter("qemu", 3, "suspend", id));
        assert_answer("qemu", 0, "kill", id, "state", "gone");
        assert_answer("qemu", 0, "status", id, "state", "gone");
}

static void test_systemd(void) {
        g_autofree char *pid = NULL;

        give_card();
        start_unit();
        pid = holder();
        assert_answer("systemd", 0, "identify", pid, "id", UNIT);
        assert_answer("systemd", 2, "identify", "1", "adapter", "systemd");
        assert_answer("systemd", 0, "status", UNIT, "state", "running");
        assert_answer("systemd", 0, "capabilities", UNIT, "restart", "false");
        assert_answer("systemd", 3, "pause", UNIT, "verb", "pause");
        assert_answer("systemd", 0, "shutdown", UNIT, "state", "gone");
        assert_answer("systemd", 0, "shutdown", UNIT, "changed", "false");
        start_unit();
        assert_answer("systemd", 0, "kill", UNIT, "state", "gone");
}

static void test_libvirt(void) {
        g_autofree char *pid = NULL, *id = NULL, *shown = NULL, *uuid = NULL;

        give_card();
        domain_start();
        pid = holder();
        id = member("libvirt", 0, "identify", pid, "id");
        uuid = output_of("virsh", "--quiet", "domuuid", DOMAIN_NAME, NULL);
        g_assert_cmpstr(id, ==, g_strstrip(uuid));
        assert_answer("libvirt", 0, "identify", pid, "name", DOMAIN_NAME);
        /* libvirt hands QEMU a descriptor for QMP. */
        json_object_put(adapter("qemu", 2, "identify", pid));

        assert_answer("libvirt", 0, "status", id, "state", "running");
        assert_answer("libvirt", 0, "pause", id, "changed", "true");
        shown = output_of("virsh", "--quiet", "domstate", DOMAIN_NAME, NULL);
        g_assert_cmpstr(g_strstrip(shown), ==, "paused");
        assert_answer("libvirt", 0, "resume", id, "state", "running");
        assert_answer("libvirt", 0, "capabilities", id, "agent", "false");
        assert_answer("libvirt", 0, "capabilities", id, "restart", "false");
        json_object_put(adapter("libvirt", 3, "suspend", id));
        assert_answer("libvirt", 0, "kill", id, "state", "gone");
        assert_answer("libvirt", 0, "kill", id, "changed", "false");
        assert_answer("libvirt", 0, "status", id, "state", "gone");
}

/* One that is defined is off, and can be started again. */
static void test_libvirt_restart(void) {
        g_autofree char *pid = NULL, *id = NULL, *again = NULL, *xml = NULL;

        give_card();
        domain_start();
        xml = output_of("virsh", "--quiet", "dumpxml", "--inactive", DOMAIN_NAME, NULL);
        g_assert_true(g_file_set_contents("/run/defined.xml", xml, -1, NULL));
        g_free(output_of("virsh", "--quiet", "define", "/run/defined.xml", NULL));
        pid = holder();
        id = member("libvirt", 0, "identify", pid, "id");
        assert_answer("libvirt", 0, "capabilities", id, "restart", "true");
        assert_answer("libvirt", 0, "kill", id, "state", "off");
        assert_answer("libvirt", 0, "start", id, "state", "running");
        again = holder();
        assert_answer("libvirt", 0, "identify", again, "id", id);
        assert_answer("libvirt", 0, "kill", id, "state", "off");
        g_free(output_of("virsh", "--quiet", "undefine", DOMAIN_NAME, NULL));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        case_add("/adapters/qemu", test_qemu);
        case_add("/adapters/systemd", test_systemd);
        case_add("/adapters/libvirt", test_libvirt);
        case_add("/adapters/libvirt-restart", test_libvirt_restart);
        return g_test_run();
}
