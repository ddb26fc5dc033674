/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-rom: ReadRom from outside: whose image it is and that nobody can change it, when it is refused, and that the card is as it
 * was whatever happens to the read. */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define RADEON "0000:09:00.0"
#define APU "0000:c5:00.0"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define ROM_SIZE 65536

/* The image, or an empty one and the error's name without its prefix. */
static GByteArray *read_rom(Scene *s, const char *gpu, const char *options, const char **ret_error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        GByteArray *image = g_byte_array_new();
        struct stat st;
        int fd;

        g_assert_cmpint(sd_bus_message_new_method_call(s->caller, &m, GPUPT_BUS_NAME, gpu_path(s, gpu), GPUPT_GPU_INTERFACE,
                                                       "ReadRom"),
                        >=, 0);
        g_assert_cmpint(append_options(m, options), >=, 0);
        if (sd_bus_call(s->caller, m, UINT64_MAX, &error, &reply) < 0) {
                char *name = g_strdup(short_name(error.name));

                g_test_message("%s: %s", error.name, error.message);
                g_ptr_array_add(s->strings, name);
                *ret_error = name;
                return image;
        }
        *ret_error = "";
        g_assert_cmpint(sd_bus_message_read(reply, "h", &fd), >=, 0);
        g_assert_cmpint(fcntl(fd, F_GET_SEALS) & SEALS, ==, SEALS);
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 0);
        g_byte_array_set_size(image, (guint) st.st_size);
        g_assert_cmpint(read(fd, image->data, image->len), ==, st.st_size);
        g_assert_cmpint(pwrite(fd, "x", 1, 0), ==, -1);
        g_assert_cmpint(ftruncate(fd, 0), ==, -1);
        return image;
}

static void assert_refused(Scene *s, const char *gpu, const char *options, const char *error) {
        const char *name;
        g_autoptr(GByteArray) image = read_rom(s, gpu, options, &name);

        g_assert_cmpstr(name, ==, error);
}

/* By the ids in its PCI data structure. */
static void assert_image(Scene *s, const char *gpu, const char *options, size_t size, unsigned vendor, unsigned device) {
        const char *name;
        g_autoptr(GByteArray) image = read_rom(s, gpu, options, &name);
        const uint8_t *pcir;

        g_assert_cmpstr(name, ==, "");
        g_assert_cmpuint(image->len, ==, size);
        g_assert_cmpmem(image->data, 2, "\x55\xaa", 2);
        pcir = image->data + image->data[0x18];
        g_assert_cmpmem(pcir, 4, "PCIR", 4);
        g_assert_cmpuint(pcir[4] | pcir[5] << 8, ==, vendor);
        g_assert_cmpuint(pcir[6] | pcir[7] << 8, ==, device);
}

#define assert_card_image(s, options) assert_image(s, CARD, options, ROM_SIZE, 0x10de, 0x1e84)

/* Reading a ROM that is not enabled is an error. */
static void assert_disabled(Scene *s, const char *gpu) {
        g_autofree char *path = g_strdup_printf("/sys/bus/pci/devices/%s/rom", gpu);
        char byte;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(read(fd, &byte, 1), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
        (void) close(fd);
}

static void test_read(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *before = NULL;

        assert_refused(s, CARD, "", "InUse");
        assert_card_image(s, "force");
        assert_disabled(s, CARD);
        assert_as_at_first(s);

        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        before = g_strdup(sim_dump(s->m));
        assert_card_image(s, "");
        assert_card_image(s, "force");
        assert_disabled(s, CARD);
        g_assert_cmpstr(sim_dump(s->m), ==, before);
        g_assert_nonnull(strstr(sim_daemon_log(s->m), "Read the firmware image of " CARD " (rom): 65536 bytes"));
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A card that nobody has bound is as free as one that is with VFIO. */
static void test_unbound(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" AUDIO "/driver/unbind", AUDIO), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" CARD "/driver/unbind", CARD), ==, 0);
        wait_gpu_property(s, CARD, "Driver", "");
        assert_card_image(s, "");
        assert_disabled(s, CARD);
}

static void test_assigned(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t vm;

        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        vm = vm_start(s, "win10", "/dev/vfio/15");
        wait_state(s, CARD, "assigned");
        assert_refused(s, CARD, "", "InUse");
        assert_card_image(s, "force");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
        assert_card_image(s, "");
}

static void test_options(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        if (!scene_be_user(s))
                return;
        assert_refused(s, CARD, "wait=3", "InvalidArgs");
        assert_refused(s, CARD, "force frce=yes", "InvalidArgs");
        assert_refused(s, CARD, "access=caller", "InvalidArgs");
        g_assert_cmpstr(short_name(gpu_call(s, CARD, "ReadRom", NULL, "a{sv}", 1, "force", "s", "yes")), ==, "InvalidArgs");
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");
}

static void test_polkit(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        if (!scene_be_user(s))
                return;

        /* What cannot be done is asked nobody about. */
        assert_refused(s, CARD, "", "InUse");
        g_assert_cmpstr(sim_polkit_log(s->m), ==, "");

        assert_card_image(s, "force");
        assert_has(sim_polkit_log(s->m), GPUPT_ACTION_READ_ROM " ");
        assert_has(sim_polkit_log(s->m), GPUPT_ACTION_FORCE " ");
        assert_has(sim_polkit_log(s->m), "gpu='" CARD "'");
        assert_has(sim_polkit_log(s->m), "operation='read-rom'");
        assert_has(sim_polkit_log(s->m), "nouveau uses it");
        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        (void) sim_command(s->m, "polkit-log-clear");
        assert_card_image(s, "");
        g_assert_null(strstr(sim_polkit_log(s->m), GPUPT_ACTION_FORCE " "));

        sim_polkit_set(s->m, "no", GPUPT_ACTION_FORCE);
        assert_refused(s, CARD, "force", "AccessDenied");
        assert_card_image(s, "");
        sim_polkit_set(s->m, "no", NULL);
        assert_refused(s, CARD, "", "AccessDenied");
        sim_polkit_set(s->m, "challenge", NULL);
        assert_refused(s, CARD, "", "InteractiveAuthorizationRequired");
}

/* The card changes hands while somebody types a password. */
static void test_later(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) p = NULL;

        if (!scene_be_user(s))
                return;
        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        sim_polkit_set(s->m, "never", GPUPT_ACTION_READ_ROM);
        p = call_later(s, s->caller, "ReadRom", CARD, "", false);
        sim_polkit_wait(s->m, 2);
        assert_end(s, attach(s, CARD, ""), "done", "");
        (void) sim_command(s->m, "polkit-answer yes");
        g_assert_cmpstr(short_name(pending_wait(p)), ==, "InUse");
        assert_disabled(s, CARD);
        assert_as_at_first(s);
}

/* ---- faults ---- */

static void test_read_fails(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        (void) sim_fault(s->m, CARD, "read:rom", "errno=EIO");
        assert_refused(s, CARD, "force", "Failed");
        assert_disabled(s, CARD);
        /* In the middle. */
        (void) sim_fault(s->m, CARD, "read:rom", "errno=EIO nth=3");
        assert_refused(s, CARD, "force", "Failed");
        assert_disabled(s, CARD);
        /* Enabling, and disabling. */
        (void) sim_fault(s->m, CARD, "rom", "errno=EACCES");
        assert_refused(s, CARD, "force", "Failed");
        assert_disabled(s, CARD);
        (void) sim_fault(s->m, CARD, "rom", "errno=EIO nth=2");
        assert_refused(s, CARD, "force", "Failed");

        assert_card_image(s, "force");
        assert_disabled(s, CARD);
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        assert_as_at_first(s);
}

static void test_vanishes(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *error;
        g_autoptr(GByteArray) image = NULL;

        (void) sim_fault(s->m, CARD, "read:rom", "vanish");
        image = read_rom(s, CARD, "force", &error);
        g_assert_cmpstr(error, !=, "");
        assert_alive(s);
}

/* The one who waits is told so; the others are answered all the time; when the kernel lets go, all is well again. */
static void test_hang(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) p = NULL;
        unsigned fault;

        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        fault = sim_fault(s->m, CARD, "read:rom", "hang");
        p = call_later(s, s->caller, "ReadRom", CARD, "", false);
        sim_fault_wait(s->m, fault);

        assert_alive(s);
        assert_refused(s, CARD, "", "Busy");
        assert_end(s, attach(s, CARD, ""), "refused", "Busy");
        assert_image(s, RADEON, "force", ROM_SIZE, 0x1002, 0x6779);
        g_assert_false(pending_answered(p));

        g_assert_cmpstr(short_name(pending_wait(p)), ==, "Timeout");
        assert_has(pending_message(p), CARD);
        wait_gpu_property(s, CARD, "State", "stuck");
        assert_refused(s, CARD, "", "Stuck");
        assert_end(s, attach(s, CARD, ""), "refused", "Stuck");
        assert_image(s, RADEON, "force", ROM_SIZE, 0x1002, 0x6779);

        sim_fault_release(s->m, fault);
        wait_gpu_property(s, CARD, "State", "detached");
        assert_disabled(s, CARD);
        assert_card_image(s, "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* A daemon that dies leaves a worker behind that puts everything back. */
static void test_daemon_dies(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(Pending) p = NULL;
        unsigned fault;

        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
        fault = sim_fault(s->m, CARD, "read:rom", "hang");
        p = call_later(s, s->caller, "ReadRom", CARD, "", false);
        sim_fault_wait(s->m, fault);
        sim_daemon_kill(s->m);
        g_assert_cmpstr(pending_wait(p), !=, "");
        sim_fault_release(s->m, fault);
        scene_start(s);
        assert_card_image(s, "");
        assert_disabled(s, CARD);
}

/* While a job runs on it. */
static void test_busy(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "unbind", "hang");
        const char *job = job_start(s, "Detach", CARD, "wait=0");

        sim_fault_wait(s->m, fault);
        assert_refused(s, CARD, "force", "Busy");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        assert_card_image(s, "");
}

/* ---- VFCT ---- */

static Scene *scene_with(const char *topology, const char *lines) {
        Scene *s = scene_new_with(topology, lines);

        scene_start(s);
        return s;
}

static void test_none(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);

        assert_refused(s, APU, "force", "NotSupported");
}

/* The right one of three. */
static void test_vfct(void) {
        g_autoptr(Scene) s = scene_new("apu-sick", NULL);

        assert_refused(s, APU, "", "InUse");
        assert_image(s, APU, "force", 16896, 0x1002, 0x1900);
        g_assert_nonnull(strstr(sim_daemon_log(s->m), "Read the firmware image of " APU " (vfct): 16896 bytes"));
        assert_as_at_first(s);
}

/* The number of its bus has changed since the firmware wrote the table. */
static void test_vfct_renumbered(void) {
        g_autoptr(Scene) s = scene_with("apu", "vfct 03:00.0 id=1002:73bf size=512\n"
                                               "vfct c4:00.0 id=1002:1900 subsystem=1f66:0099 size=1024\n"
                                               "vfct c4:00.0 id=1002:1900 subsystem=1f66:0031 size=1536\n");

        assert_image(s, APU, "force", 1536, 0x1002, 0x1900);
}

static void test_vfct_of_others(void) {
        g_autoptr(Scene) s = scene_with("apu", "vfct c5:00.0 id=1002:73bf size=512\n");

        assert_refused(s, APU, "force", "NotSupported");
}

/* A card with a ROM that cannot be read. */
static void test_vfct_instead(void) {
        g_autoptr(Scene) s = scene_with("desktop", "vfct 09:00.0 id=1002:6779 size=512\n");

        assert_image(s, RADEON, "force", ROM_SIZE, 0x1002, 0x6779);
        (void) sim_fault(s->m, RADEON, "read:rom", "errno=EIO");
        assert_image(s, RADEON, "force", 512, 0x1002, 0x6779);
        assert_disabled(s, RADEON);
        /* It has none for this one, so it is the ROM's error that is told. */
        (void) sim_fault(s->m, CARD, "read:rom", "errno=EIO");
        assert_refused(s, CARD, "force", "Failed");
}

/* A table that goes on behind its end. */
static void test_vfct_damaged(void) {
        static const char table[0x4c + 0x1c + 0x10] = { 'V', 'F', 'C', 'T', sizeof(table), [0x34] = 0x4c, [0x4c] = (char) 0xc5,
                                                        [0x58] = 0x02, 0x10, 0x00, 0x19, [0x64] = 0x11 };
        g_autofree char *path = NULL, *line = NULL;
        g_autoptr(Scene) s = NULL;
        int fd = g_file_open_tmp("test-vfct-XXXXXX", &path, NULL);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, table, sizeof(table)), ==, sizeof(table));
        (void) close(fd);
        line = g_strdup_printf("vfct file %s", path);
        s = scene_with("apu", line);
        (void) g_unlink(path);
        assert_refused(s, APU, "force", "Failed");
        g_assert_nonnull(strstr(sim_daemon_log(s->m), "VFCT: an image is cut off"));
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/rom/read", test_read);
        g_test_add_func("/rom/unbound", test_unbound);
        g_test_add_func("/rom/assigned", test_assigned);
        g_test_add_func("/rom/options", test_options);
        g_test_add_func("/rom/polkit", test_polkit);
        g_test_add_func("/rom/later", test_later);
        g_test_add_func("/rom/read-fails", test_read_fails);
        g_test_add_func("/rom/vanishes", test_vanishes);
        g_test_add_func("/rom/hang", test_hang);
        g_test_add_func("/rom/daemon-dies", test_daemon_dies);
        g_test_add_func("/rom/busy", test_busy);
        g_test_add_func("/rom/none", test_none);
        g_test_add_func("/rom/vfct", test_vfct);
        g_test_add_func("/rom/vfct-renumbered", test_vfct_renumbered);
        g_test_add_func("/rom/vfct-of-others", test_vfct_of_others);
        g_test_add_func("/rom/vfct-instead", test_vfct_instead);
        g_test_add_func("/rom/vfct-damaged", test_vfct_damaged);
        return g_test_run();
}
