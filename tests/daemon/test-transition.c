/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-transition: there and back on the machines of the five field notes, and what callers and administrators may say
 * about it. After each way back everything is as it was: drivers, overrides, power, units, modules. */

#include <errno.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define NVIDIA "0000:3b:00.0"
#define NVIDIA_AUDIO "0000:3b:00.1"

static const char *power_control(Scene *s, const char *address) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s/power/control", address);

        return sim_read(s->m, path);
}

static const char *d3cold(Scene *s, const char *address) {
        g_autofree char *path = g_strdup_printf("bus/pci/devices/%s/d3cold_allowed", address);

        return sim_read(s->m, path);
}

static char *plan_line(Scene *s, const char *operation, const char *gpu, const char *options) {
        g_auto(GStrv) steps = plan(s, operation, gpu, options, NULL);

        return g_strjoinv(", ", steps);
}

/* Drivers and overrides of the functions that are not `but`; bridges above it are kept awake. */
static char *others(const char *dump, const char *but) {
        g_auto(GStrv) lines = g_strsplit(dump, "\n", -1);
        g_autoptr(GString) out = g_string_new(NULL);

        for (char **l = lines; *l; l++) {
                const char *power = strstr(*l, " control=");

                if (power && !g_str_has_prefix(*l, but))
                        g_string_append_printf(out, "%.*s\n", (int) (power - *l), *l);
        }
        return g_strdup(out->str);
}

static void assert_others_untouched(Scene *s, const char *but) {
        g_autofree char *before = others(s->first, but), *now = others(sim_dump(s->m), but);

        g_assert_cmpstr(now, ==, before);
}

/* ---- the machines ---- */

static void test_desktop(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        g_assert_cmpstr(gpu_property(s, CARD, "Driver"), ==, "nouveau");
        assert_end(s, detach(s, CARD, ""), "done", "");
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        g_assert_cmpstr(gpu_property(s, CARD, "Driver"), ==, "vfio-pci");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        g_assert_cmpstr(sim_override_of(s->m, CARD), ==, "vfio-pci");
        g_assert_true(sim_exists(s->m, "/dev/vfio/15"));
        assert_others_untouched(s, "0000:08:00.");

        assert_end(s, attach(s, CARD, ""), "done", "");
        g_assert_cmpstr(state_of(s, CARD), ==, "host");
        assert_as_at_first(s);
        g_assert_cmpstr(gpu_property(s, "0000:09:00.0", "State"), ==, "host");
}

static void test_apu(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);
        const char *functions = gpu_property(s, "0000:c5:00.0", "Functions");

        assert_has(functions, "address=0000:c5:00.0");
        assert_has(functions, "address=0000:c5:00.1");
        for (unsigned i = 2; i <= 6; i++) {
                g_autofree char *address = g_strdup_printf("0000:c5:00.%u", i);

                g_assert_null(strstr(functions, address));
        }
        g_assert_cmpstr(gpu_property(s, "0000:c5:00.0", "IommuGroups"), ==, "[18 19]");
        assert_end(s, detach(s, "0000:c5:00.0", "disrupt-session"), "done", "");
        assert_drivers(s, "vfio-pci", "0000:c5:00.0", "0000:c5:00.1", NULL);
        assert_drivers(s, "ccp", "0000:c5:00.2", NULL);
        assert_drivers(s, "xhci_hcd", "0000:c5:00.3", "0000:c5:00.4", NULL);
        g_assert_true(sim_exists(s->m, "/dev/vfio/18") && sim_exists(s->m, "/dev/vfio/19"));
        assert_end(s, attach(s, "0000:c5:00.0", ""), "done", "");
        assert_as_at_first(s);
}

static void test_laptop(void) {
        g_autoptr(Scene) s = scene_new("laptop", NULL);

        g_assert_cmpstr(power_control(s, "0000:00:01.0"), ==, "auto");
        assert_end(s, detach(s, "0000:01:00.0", ""), "done", "");
        assert_drivers(s, "vfio-pci", "0000:01:00.0", "0000:01:00.1", NULL);
        /* The bridge must not cut the power of what is below it. */
        g_assert_cmpstr(d3cold(s, "0000:00:01.0"), ==, "0");
        g_assert_cmpstr(d3cold(s, "0000:01:00.0"), ==, "0");
        g_assert_cmpstr(power_control(s, "0000:01:00.0"), ==, "auto");
        assert_end(s, attach(s, "0000:01:00.0", ""), "done", "");
        assert_as_at_first(s);
}

static void test_twins(void) {
        g_autoptr(Scene) s = scene_new("twins", NULL);
        const JobEnd *end;

        assert_end(s, detach(s, "0000:02:00.0", ""), "done", "");
        assert_drivers(s, "vfio-pci", "0000:02:00.0", "0000:02:00.1", "0000:02:00.2", "0000:02:00.3", NULL);
        assert_others_untouched(s, "0000:02:00.");
        g_assert_cmpstr(state_of(s, "0000:01:00.0"), ==, "host");

        assert_end(s, detach(s, "0000:01:00.0", ""), "done", "");
        assert_end(s, attach(s, "0000:02:00.0", ""), "done", "");
        assert_drivers(s, "vfio-pci", "0000:01:00.0", "0000:01:00.1", "0000:01:00.2", "0000:01:00.3", NULL);
        assert_drivers(s, "nouveau", "0000:02:00.0", NULL);
        end = attach(s, "0000:01:00.0", "");
        assert_end(s, end, "done", "");
        g_assert_cmpstr(end->gpu, ==, "0000:01:00.0");
        assert_as_at_first(s);

        /* Ids that two cards have are no name for one. */
        g_assert_cmpstr(short_name(manager_call(s, "GetGpu", NULL, "s", "10de:1e87")),
                        ==, "NoSuchGpu");
}

static void test_rounds(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        for (unsigned i = 0; i < 10; i++) {
                assert_end(s, detach(s, CARD, ""), "done", "");
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_as_at_first(s);
        }
}

/* ---- quirks: the driver of NVIDIA ---- */

static void test_nvidia(void) {
        g_autoptr(Scene) s = scene_new("nvidia-pair", NULL);
        g_autofree char *modules = g_strdup(sim_command(s->m, "modules")), *steps = NULL;
        const char *log;

        sim_unit_set(s->m, "nvidia-persistenced.service", "active");
        steps = plan_line(s, "detach", NVIDIA, "");
        assert_has(steps, "stop-unit nvidia-persistenced.service");
        assert_has(
                steps,
                "unload nvidia_drm, unload nvidia_modeset, unload nvidia_uvm, unload nvidia, check-module nvidia_drm");

        assert_end(s, detach(s, NVIDIA, ""), "done", "");
        assert_drivers(s, "vfio-pci", NVIDIA, NVIDIA_AUDIO, NULL);
        g_assert_false(sim_exists(s->m, "module/nvidia"));
        g_assert_cmpstr(sim_unit_state(s->m, "nvidia-persistenced.service"), ==, "inactive dead success");

        assert_end(s, attach(s, NVIDIA, ""), "done", "");
        assert_as_at_first(s);
        g_assert_cmpstr(sim_unit_state(s->m, "nvidia-persistenced.service"), ==, "active running success");
        /* What was loaded is loaded, in whatever order. */
        assert_has(sim_command(s->m, "modules"), "nvidia_drm");
        assert_has(sim_command(s->m, "modules"), "nvidia_uvm");
        log = sim_command(s->m, "jobs-log");
        assert_has(log, "start nvidia-persistenced.service");
        /* A unit that did not run is not started. */
        g_assert_null(strstr(log, "start nvidia-powerd.service"));
}

static void test_nvidia_refcount(void) {
        g_autoptr(Scene) s = scene_new("nvidia-pair", NULL);
        const JobEnd *end;

        sim_unit_set(s->m, "nvidia-persistenced.service", "active");
        (void) sim_command(s->m, "module nvidia_uvm refs=1");
        end = detach(s, NVIDIA, "");
        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, "nvidia_uvm");
        assert_has(end->message, NVIDIA);
        assert_as_at_first(s);
        g_assert_cmpstr(state_of(s, NVIDIA), ==, "host");
        g_assert_true(sim_exists(s->m, "module/nvidia_drm"));
        g_assert_cmpstr(sim_unit_state(s->m, "nvidia-persistenced.service"), ==, "active running success");

        /* Force does not override that: an unbind would never return. */
        assert_end(s, detach(s, NVIDIA, "force"), "rolled-back", "InUse");
        assert_as_at_first(s);
        (void) sim_command(s->m, "module nvidia_uvm refs=0");
        assert_end(s, detach(s, NVIDIA, ""), "done", "");
        assert_end(s, attach(s, NVIDIA, ""), "done", "");
        assert_as_at_first(s);
}

/* The nodes of the driver as a whole count where the driver has to leave. */
static void test_nvidia_shared_node(void) {
        g_autoptr(Scene) s = scene_new("nvidia-pair", NULL);
        g_autofree char *pid = NULL;
        const JobEnd *end;
        pid_t holder;

        holder = sim_hold_node(s->m, "/dev/nvidiactl");
        pid = g_strdup_printf("pid %d", holder);
        end = detach(s, NVIDIA, "wait=0");
        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, pid);
        assert_has(end->message, "/dev/nvidiactl");
        assert_as_at_first(s);
        sim_let_go(s->m, holder);
        assert_end(s, detach(s, NVIDIA, "wait=0"), "done", "");
}

/* ---- options ---- */

static void test_functions(void) {
        g_autoptr(Scene) s = scene_new("twins", NULL);
        const char *error = NULL;

        /* In one group: what stays with the host blocks the rest. */
        g_assert_null(plan(s, "detach", "0000:01:00.0", "functions=0000:01:00.0,0000:01:00.1", &error));
        g_assert_cmpstr(short_name(error), ==, "GroupNotViable");
        assert_end(s, detach(s, "0000:01:00.0", "functions=0000:05:00.0"), "refused", "InvalidArgs");
        assert_as_at_first(s);
}

static void test_functions_own_groups(void) {
        g_autoptr(Scene) s = scene_new("apu", NULL);

        assert_end(s, detach(s, "0000:c5:00.0", "disrupt-session functions=0000:c5:00.0"), "done", "");
        assert_drivers(s, "vfio-pci", "0000:c5:00.0", NULL);
        assert_drivers(s, "snd_hda_intel", "0000:c5:00.1", NULL);
        g_assert_cmpstr(state_of(s, "0000:c5:00.0"), ==, "detached");
        /* The other one follows. */
        assert_end(s, detach(s, "0000:c5:00.0", "disrupt-session"), "done", "");
        assert_drivers(s, "vfio-pci", "0000:c5:00.0", "0000:c5:00.1", NULL);
        assert_end(s, attach(s, "0000:c5:00.0", "functions=0000:c5:00.1"), "done", "");
        assert_drivers(s, "vfio-pci", "0000:c5:00.0", NULL);
        assert_end(s, attach(s, "0000:c5:00.0", ""), "done", "");
        assert_as_at_first(s);
}

static void test_driver(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end;

        static const char *const wrong[] = { "nvme", "snd_hda_intel", "nvgrace-gpu-vfio-pci", "../x", "", "vfio" };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                g_autofree char *option = g_strdup_printf("driver=%s", wrong[i]);

                assert_end(s, detach(s, CARD, option), "refused", "InvalidArgs");
        }
        assert_as_at_first(s);
        assert_end(s, detach(s, CARD, "driver=vfio-pci"), "done", "");
        end = attach(s, CARD, "driver=nvme");
        assert_end(s, end, "refused", "InvalidArgs");
        assert_has(end->message, "nvme");
        assert_end(s, attach(s, CARD, "driver=vfio-pci"), "refused", "InvalidArgs");
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        assert_end(s, attach(s, CARD, "driver=nouveau"), "done", "");
        assert_as_at_first(s);
}

/* A copy of a topology with something replaced; the caller frees the name, the machine has no more use for the file
 * once it is there. */
static char *changed_topology(const char *name, const char *old, const char *fresh) {
        g_autofree char *file = g_strdup_printf(SOURCE_ROOT "/tests/sim/topologies/%s.topology", name);
        g_autofree char *text = NULL, *drivers = NULL;
        g_autoptr(GString) changed = NULL;
        char *path = NULL;
        int fd = g_file_open_tmp("gpuptd-XXXXXX.topology", &path, NULL);

        g_assert_cmpint(fd, >=, 0);
        (void) close(fd);
        g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
        g_assert_true(g_file_get_contents(SOURCE_ROOT "/tests/sim/topologies/drivers.inc", &drivers, NULL, NULL));
        changed = g_string_new(text);
        g_assert_cmpuint(g_string_replace(changed, "include drivers.inc", drivers, 1), ==, 1);
        g_assert_cmpuint(g_string_replace(changed, old, fresh, 1), ==, 1);
        put_file(path, changed->str);
        return path;
}

/* A variant driver is taken by itself where its alias matches, and vfio-pci where the caller says so. */
static void test_variant_driver(void) {
        g_autofree char *topology = changed_topology("desktop", "id=10de:1e84", "id=10de:2342");
        g_autoptr(Scene) s = scene_new(topology, NULL);

        put_file(topology, NULL);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_drivers(s, "nvgrace-gpu-vfio-pci", CARD, NULL);
        assert_drivers(s, "vfio-pci", AUDIO, NULL);
        g_assert_cmpstr(state_of(s, CARD), ==, "detached");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_end(s, detach(s, CARD, "driver=vfio-pci"), "done", "");
        assert_drivers(s, "vfio-pci", CARD, AUDIO, NULL);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_nothing_to_do(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const JobEnd *end = attach(s, CARD, "");

        assert_end(s, end, "done", "");
        assert_has(end->message, "already");
        assert_end(s, detach(s, CARD, ""), "done", "");
        end = detach(s, CARD, "");
        assert_end(s, end, "done", "");
        g_assert_cmpstr(gpu_property(s, CARD, "State"), ==, "detached");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

/* The dry run is what is done: the same steps, as many. */
static void test_dry_run(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        for (unsigned i = 0; i < 2; i++) {
                const char *operation = i == 0 ? "detach" : "attach", *method = i == 0 ? "Detach" : "Attach";
                g_auto(GStrv) steps = plan(s, operation, CARD, "", NULL);
                const char *journal, *path;
                g_autoptr(GString) done = g_string_new(NULL), planned = g_string_new(NULL);
                g_autofree char *file = NULL;
                unsigned fault;

                /* A step hangs, so that the journal can be read. */
                fault = sim_fault(s->m, AUDIO, "bind", "hang");
                path = job_start(s, method, CARD, "");
                sim_fault_wait(s->m, fault);
                file = g_strdup_printf("/run/gpuptd/job-%s", strrchr(path, '/') + 1);
                journal = sim_read(s->m, file);
                g_assert_nonnull(journal);
                g_auto(GStrv) lines = g_strsplit(journal, "\n", -1);
                for (char **l = lines; *l; l++) {
                        g_auto(GStrv) words = g_strsplit(*l, " ", -1);

                        if (streq(words[0], "step"))
                                g_string_append_printf(done, "%s %s\n", words[1], words[2]);
                }
                for (char **step = steps; *step; step++)
                        g_string_append_printf(planned, "%s\n", *step);
                g_assert_cmpstr(planned->str, ==, done->str);
                g_assert_cmpint(atoi(job_property(s, path, "Steps")), ==, (int) g_strv_length(steps));
                sim_fault_release(s->m, fault);
                assert_end(s, job_wait(s, path), "done", "");
        }
        assert_as_at_first(s);
}

/* ---- .gpu files ---- */

static void test_gpu_file(void) {
        g_autoptr(Scene) s = scene_new("apu",
                                       "/etc/gpuptd/apu.gpu",
                                       "[Match]\nVendor=1002\nDevice=1900\n[Gpu]\nAlias=inside\nFunctions=.0 .1 .5\n"
                                       "IdlePower=on\n[Session]\nLastDisplay=allow\n", NULL);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *gpu = "0000:c5:00.0", *path;

        g_assert_cmpint(sd_bus_call_method(s->caller, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE,
                                           "GetGpu", NULL, &reply, "s", "inside"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &path), >=, 0);
        g_assert_cmpstr(path, ==, gpu_path(s, gpu));
        g_assert_cmpstr(gpu_property(s, gpu, "Alias"), ==, "inside");

        assert_end(s, detach(s, gpu, ""), "done", "");
        assert_drivers(s, "vfio-pci", gpu, "0000:c5:00.1", "0000:c5:00.5", NULL);
        assert_drivers(s, "snd_hda_intel", "0000:c5:00.6", NULL);
        g_assert_cmpstr(power_control(s, gpu), ==, "on");
        assert_end(s, attach(s, gpu, ""), "done", "");
        assert_as_at_first(s);
}

/* A card that was with VFIO before the daemon ever saw it: HostDriver= says where it belongs, else the kernel does. */
static void test_host_driver(void) {
        for (unsigned i = 0; i < 2; i++) {
                g_autoptr(Scene) s = scene_new_without_daemon("desktop");

                (void) sim_command(s->m, "module vfio_pci load");
                for (unsigned f = 0; f < 2; f++) {
                        g_autofree char *address = g_strdup_printf("0000:08:00.%u", f);
                        g_autofree char *unbind = g_strdup_printf("bus/pci/devices/%s/driver/unbind", address);
                        g_autofree char *override = g_strdup_printf("bus/pci/devices/%s/driver_override", address);

                        g_assert_cmpint(sim_write(s->m, override, "vfio-pci"), ==, 0);
                        g_assert_cmpint(sim_write(s->m, unbind, address), ==, 0);
                        g_assert_cmpint(sim_write(s->m, "bus/pci/drivers/vfio-pci/bind", address), ==, 0);
                }
                if (i == 1)
                        put_file("/etc/gpuptd/card.gpu",
                                 "[Match]\nAddress=" CARD "\n[Gpu]\nHostDriver=nouveau\nVfioDriver=vfio-pci\n");
                scene_start(s);
                g_assert_cmpstr(state_of(s, CARD), ==, "detached");
                assert_end(s, attach(s, CARD, ""), "done", "");
                assert_as_at_first(s);
        }
}

static void test_reload(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        put_file("/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n[Gpu]\nAlias=guest\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        wait_gpu_property(s, CARD, "Alias", "guest");
        put_file("/etc/gpuptd/card.gpu", NULL);
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        wait_gpu_property(s, CARD, "Alias", "");
}

/* "KEY=VALUE ", as many as there are. */
static char *sleep_policy(Scene *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        const char *key, *value;

        g_assert_cmpint(sd_bus_get_property(s->caller, GPUPT_BUS_NAME, gpu_path(s, CARD), GPUPT_GPU_INTERFACE, "SleepPolicy",
                                            NULL, &reply, "a{ss}"), >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "{ss}"), >, 0);
        while (sd_bus_message_read(reply, "{ss}", &key, &value) > 0)
                g_string_append_printf(text, "%s=%s ", key, value);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Whatever the card's file leaves open comes from gpuptd.conf, and without a word of anybody all of it is there. */
static void test_sleep_policy(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autofree char *first = sleep_policy(s), *general = NULL, *special = NULL;

        g_assert_cmpstr(first, ==, "VirtualMachine=auto Restartable=no Gpu=keep OnError=veto TimeoutSec=180 LidClosed=auto ");
        put_file("/etc/gpuptd/gpuptd.conf", "[Sleep]\nRestartable=yes\nOnError=continue\nTimeoutSec=1min\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        general = sleep_policy(s);
        g_assert_cmpstr(general, ==,
                        "VirtualMachine=auto Restartable=yes Gpu=keep OnError=continue TimeoutSec=60 LidClosed=auto ");
        put_file("/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n[Sleep]\nVirtualMachine=pause\nRestartable=no\nGpu=host\n"
                                         "LidClosed=shutdown\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        special = sleep_policy(s);
        g_assert_cmpstr(special, ==,
                        "VirtualMachine=pause Restartable=no Gpu=host OnError=continue TimeoutSec=60 LidClosed=shutdown ");
}

/* ---- refusals that need nobody's answer ---- */

static void test_last_display(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *radeon = "0000:09:00.0";
        const JobEnd *end = detach(s, radeon, "");

        assert_end(s, end, "refused", "LastDisplay");
        assert_has(end->message, radeon);
        assert_as_at_first(s);
        assert_end(s, detach(s, radeon, "disrupt-session"), "done", "");
        assert_end(s, attach(s, radeon, ""), "done", "");
        assert_as_at_first(s);

        put_file("/etc/gpuptd/gpuptd.conf", "[Session]\nLastDisplay=allow\n");
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        assert_end(s, detach(s, radeon, ""), "done", "");
        assert_end(s, attach(s, radeon, ""), "done", "");
        assert_as_at_first(s);
}

/* No screen is plugged in, but somebody is logged in at the console. */
static void test_last_display_session(void) {
        g_autoptr(Scene) s = scene_new("nvidia-pair", NULL);

        (void) sim_command(s->m, "session 2 uid=1000 active=yes");
        assert_end(s, detach(s, NVIDIA, ""), "refused", "LastDisplay");
        (void) sim_command(s->m, "session-ended 2");
        assert_end(s, detach(s, NVIDIA, ""), "done", "");
}

static void test_not_viable(void) {
        g_autofree char *topology = changed_topology("desktop", "class=010601 group=10", "class=010601 group=15");
        g_autoptr(Scene) s = scene_new(topology, NULL);
        const JobEnd *end;

        put_file(topology, NULL);
        g_assert_cmpstr(gpu_property(s, CARD, "Viable"), ==, "false");
        assert_has(gpu_property(s, CARD, "Blockers"), "0000:02:00.0 (ahci)");
        end = detach(s, CARD, "");
        assert_end(s, end, "refused", "GroupNotViable");
        assert_has(end->message, "0000:02:00.0 (ahci)");
        assert_as_at_first(s);
}

/* Two cards below one bridge: it stays awake until both are back, whoever was first. */
static void test_shared_bridge(void) {
        g_autofree char *topology =
                changed_topology("desktop", "bridge   0000:00:03.2 id=1022:1483 group=3 secondary=09 slot=2\n",
                                 "bridge   0000:00:03.2 id=1022:1483 group=3 secondary=05 power=auto\n"
                                 "bridge   0000:05:00.0 id=10b5:8747 group=3 secondary=06 power=auto\n"
                                 "bridge   0000:06:08.0 id=10b5:8747 group=33 secondary=09 power=auto\n"
                                 "bridge   0000:06:09.0 id=10b5:8747 group=34 secondary=0b power=auto\n"
                                 "function 0000:0b:00.0 id=10de:1e84 subsystem=1043:8706 class=030000 group=40\n");
        g_autoptr(Scene) s = scene_new(topology, "/etc/gpuptd/gpuptd.conf", "[Session]\nLastDisplay=allow\n", NULL);
        static const char *const cards[] = { "0000:09:00.0", "0000:0b:00.0" };

        put_file(topology, NULL);
        g_assert_cmpstr(power_control(s, "0000:05:00.0"), ==, "auto");
        for (unsigned last = 0; last < 2; last++) {
                assert_end(s, detach(s, cards[0], ""), "done", "");
                assert_end(s, detach(s, cards[1], ""), "done", "");
                assert_end(s, attach(s, cards[last], ""), "done", "");
                g_assert_cmpstr(power_control(s, "0000:05:00.0"), ==, "on");
                g_assert_cmpstr(d3cold(s, "0000:05:00.0"), ==, "0");
                g_assert_cmpstr(d3cold(s, "0000:00:03.2"), ==, "0");
                assert_end(s, attach(s, cards[1 - last], ""), "done", "");
                assert_as_at_first(s);
        }
}

static void test_busy(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        unsigned fault = sim_fault(s->m, CARD, "driver_override", "hang");
        const char *path = job_start(s, "Detach", CARD, "");
        const JobEnd *end;

        sim_fault_wait(s->m, fault);
        end = detach(s, CARD, "");
        assert_end(s, end, "refused", "Busy");
        assert_has(end->message, CARD);
        assert_end(s, attach(s, CARD, ""), "refused", "Busy");
        g_assert_cmpstr(gpu_property(s, CARD, "Job"), ==, path);
        /* A companion's address is the card's. */
        g_assert_cmpstr(manager_call(s, "GetGpu", NULL, "s", "08:00.1"), ==, "");
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, path), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_later_releases(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *gpu = gpu_path(s, CARD);

        g_assert_cmpstr(call_error(s, gpu, GPUPT_GPU_INTERFACE, "Plan", NULL, "sa{sv}", "sleep", 0), ==,
                        GPUPT_ERROR_NOT_SUPPORTED);
        g_assert_cmpstr(call_error(s, gpu, GPUPT_GPU_INTERFACE, "Plan", NULL, "sa{sv}", "explode", 0), ==,
                        SD_BUS_ERROR_INVALID_ARGS);
}

int main(int argc, char *argv[]) {
        const char *reason;

        sim_init(&argc, &argv);
        reason = install_quirks();
        if (reason)
                g_error("%s", reason);
        g_test_add_func("/transition/desktop", test_desktop);
        g_test_add_func("/transition/apu", test_apu);
        g_test_add_func("/transition/laptop", test_laptop);
        g_test_add_func("/transition/twins", test_twins);
        g_test_add_func("/transition/rounds", test_rounds);
        g_test_add_func("/transition/nvidia", test_nvidia);
        g_test_add_func("/transition/nvidia-refcount", test_nvidia_refcount);
        g_test_add_func("/transition/nvidia-shared-node", test_nvidia_shared_node);
        g_test_add_func("/transition/functions", test_functions);
        g_test_add_func("/transition/functions-own-groups", test_functions_own_groups);
        g_test_add_func("/transition/driver", test_driver);
        g_test_add_func("/transition/driver-variant", test_variant_driver);
        g_test_add_func("/transition/nothing-to-do", test_nothing_to_do);
        g_test_add_func("/transition/dry-run", test_dry_run);
        g_test_add_func("/transition/gpu-file", test_gpu_file);
        g_test_add_func("/transition/host-driver", test_host_driver);
        g_test_add_func("/transition/reload", test_reload);
        g_test_add_func("/transition/sleep-policy", test_sleep_policy);
        g_test_add_func("/transition/last-display", test_last_display);
        g_test_add_func("/transition/last-display-session", test_last_display_session);
        g_test_add_func("/transition/not-viable", test_not_viable);
        g_test_add_func("/transition/shared-bridge", test_shared_bridge);
        g_test_add_func("/transition/busy", test_busy);
        g_test_add_func("/transition/later-releases", test_later_releases);
        return g_test_run();
}
