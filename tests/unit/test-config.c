/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-config: the language of the files, every setting, where the files are looked for, and which one fits a card. */

#include "config.h"

#include <sys/stat.h>

#include "loop.h"

/* Collects "file:line: message". */
typedef struct Warnings {
        GPtrArray *list;
} Warnings;

static void on_warning(const char *file, unsigned line, const char *message, void *userdata) {
        Warnings *w = userdata;

        g_ptr_array_add(w->list, g_strdup_printf("%s:%u: %s", file, line, message));
}

static Warnings warnings_new(void) {
        return (Warnings) { g_ptr_array_new_with_free_func(g_free) };
}

/* Exactly these, in this order; each expected one is a part of the message. */
static void assert_warnings(Warnings *w, const char *const *expected) {
        guint n = 0;

        for (; expected && expected[n]; n++) {
                g_assert_cmpuint(n, <, w->list->len);
                if (!strstr(w->list->pdata[n], expected[n]))
                        g_error("warning '%s' has no '%s'", (const char *) w->list->pdata[n], expected[n]);
        }
        if (w->list->len > n)
                g_error("unexpected warning '%s'", (const char *) w->list->pdata[n]);
        g_ptr_array_set_size(w->list, 0);
}

static void warnings_free(Warnings *w) {
        g_ptr_array_unref(w->list);
}

static GpuConfig *parse_gpu(const char *text, Warnings *w) {
        GpuConfig *g = NULL;

        g_assert_cmpint(config_parse_gpu("a.gpu", text, on_warning, w, &g), ==, 0);
        return g;
}

static char *join(char *const *v) {
        return v ? g_strjoinv(" ", (char **) v) : g_strdup("(none)");
}

static void assert_list(char *const *v, const char *expected) {
        g_autofree char *joined = join(v);

        g_assert_cmpstr(joined, ==, expected);
}

/* In the words of the files; each field by itself, since there is padding between them. */
static void assert_sleep(const SleepPolicy *p, const char *expected) {
        g_autofree char *text = g_strdup_printf("%s %s %s %s %u %s", vm_policy_to_string(p->vm), p->restartable ? "yes" : "no",
                                                gpu_sleep_policy_to_string(p->gpu), sleep_error_policy_to_string(p->on_error),
                                                p->timeout_sec, lid_policy_to_string(p->lid_closed));

        g_assert_cmpstr(text, ==, expected);
}

#define SLEEP_DEFAULTS "auto no keep veto 180 auto"

static void test_defaults(void) {
        _cleanup_(config_freep) Config *c = config_new();
        _cleanup_(gpu_config_freep) GpuConfig *g = NULL;
        _cleanup_(warnings_free) Warnings w = warnings_new();
        SleepPolicy defaults;

        g_assert_nonnull(c);
        g_assert_cmpuint(c->step_timeout_sec, ==, 0);
        g_assert_cmpuint(c->wait_sec, ==, 15);
        g_assert_cmpuint(c->jobs_per_sender, ==, 16);
        g_assert_cmpuint(c->queries_per_sender, ==, 8);
        g_assert_cmpuint(c->leases_per_sender, ==, 8);
        g_assert_cmpint(c->last_display, ==, LAST_DISPLAY_PROTECT);
        g_assert_cmpuint(c->display_timeout_sec, ==, 0);
        g_assert_cmpuint(c->n_gpus, ==, 0);
        g_assert_true(c->gate);
        g_assert_cmpuint(c->hook_timeout_sec, ==, 30);
        g_assert_cmpint(c->hook_on_error, ==, HOOK_ERROR_REFUSE);
        assert_sleep(&c->sleep, SLEEP_DEFAULTS);
        sleep_policy_init(&defaults); /* the other place that knows them */
        assert_sleep(&defaults, SLEEP_DEFAULTS);

        g = parse_gpu("[Match]\nAddress=0000:01:00.0\n", &w);
        assert_warnings(&w, NULL);
        g_assert_cmpstr(g->file, ==, "a.gpu");
        g_assert_null(g->alias);
        g_assert_null(g->functions);
        g_assert_null(g->host_driver);
        g_assert_null(g->vfio_driver);
        g_assert_null(g->default_state);
        g_assert_cmpint(g->after_vm, ==, AFTER_VM_HEAL);
        g_assert_cmpint(g->idle_power, ==, IDLE_POWER_AUTO);
        g_assert_null(g->stop_units);
        g_assert_null(g->ask_compositors);
        g_assert_cmpint(g->desktops, ==, DESKTOPS_USE);
        g_assert_null(g->xorg_files);
        g_assert_cmpint(g->last_display, ==, _LAST_DISPLAY_INVALID);
        g_assert_cmpuint(g->display_timeout_sec, ==, DISPLAY_TIMEOUT_INHERIT);
}

static void test_main(void) {
        static const char text[] =
                "[Daemon]\nStepTimeoutSec=2min 30s\nWaitSec=30\nLimitJobs=4\nLimitQueries=2\nLimitLeases=1\n"
                "[Session]\nLastDisplay=allow\n"
                "[Sleep]\nGate=no\nVirtualMachine=inhibit\nRestartable=yes\nGpu=remove\nOnError=continue\nTimeoutSec=4min 30s\n"
                "LidClosed=veto\n";
        _cleanup_(config_freep) Config *c = config_new();
        _cleanup_(warnings_free) Warnings w = warnings_new();

        g_assert_cmpint(config_parse_main(c, "f", text, on_warning, &w), ==, 0);
        assert_warnings(&w, NULL);
        g_assert_cmpuint(c->step_timeout_sec, ==, 150);
        g_assert_cmpuint(c->wait_sec, ==, 30);
        g_assert_cmpuint(c->jobs_per_sender, ==, 4);
        g_assert_cmpuint(c->queries_per_sender, ==, 2);
        g_assert_cmpuint(c->leases_per_sender, ==, 1);
        g_assert_cmpint(c->last_display, ==, LAST_DISPLAY_ALLOW);
        g_assert_false(c->gate);
        assert_sleep(&c->sleep, "inhibit yes remove continue 270 veto");

        /* Empty puts back the default. */
        g_assert_cmpint(config_parse_main(c, "f",
                                          "[Daemon]\nWaitSec=\nLimitJobs=\n[Session]\nLastDisplay=\n"
                                          "[Sleep]\nGate=\nVirtualMachine=\nRestartable=\nGpu=\nOnError=\n"
                                          "TimeoutSec=\nLidClosed=\n",
                                          on_warning, &w), ==, 0);
        assert_warnings(&w, NULL);
        g_assert_true(c->gate);
        assert_sleep(&c->sleep, SLEEP_DEFAULTS);
        g_assert_cmpuint(c->wait_sec, ==, 15);
        g_assert_cmpuint(c->jobs_per_sender, ==, 16);
        g_assert_cmpint(c->last_display, ==, LAST_DISPLAY_PROTECT);
}

static void test_gpu(void) {
        static const char text[] =
                "[Match]\nAddress=0000:0A:00.0\nPath=pci-0000:00:01.0-*\nVendor=0x10de\nDevice=2684\n"
                "Subsystem=1043:88E2\n"
                "[Gpu]\nAlias=big_one-1\nFunctions=.1 0a:00.2\nFunctions=10de:1ad8\nHostDriver=nvidia\n"
                "VfioDriver=nvgrace-gpu-vfio-pci\nDefault=vfio\nAfterVm=attach\nIdlePower=on\n"
                "BeforeVfio=reset display:none\n"
                "[Reset]\nLadder=flr bus\nForbid=bus\n"
                "[Sleep]\nVirtualMachine=pause\nRestartable=yes\nGpu=host\nOnError=continue\nTimeoutSec=30\n"
                "LidClosed=shutdown\n"
                "[Session]\nLastDisplay=allow\nXorgFiles=/etc/X11/xorg.conf.d/10-nvidia.conf 20-one-screen.conf:detached\n"
                "StopUnits=a.service b@1.service\nAskCompositors=sway kwin_wayland\nDesktops=leave\n";
        _cleanup_(warnings_free) Warnings w = warnings_new();
        _cleanup_(gpu_config_freep) GpuConfig *g = parse_gpu(text, &w);

        assert_warnings(&w, NULL);
        g_assert_cmpstr(g->match.address, ==, "0000:0a:00.0");
        g_assert_cmpstr(g->match.path, ==, "pci-0000:00:01.0-*");
        g_assert_true(g->match.has_vendor && g->match.has_device && g->match.has_subsystem);
        g_assert_cmphex(g->match.vendor, ==, 0x10de);
        g_assert_cmphex(g->match.device, ==, 0x2684);
        g_assert_cmphex(g->match.subsystem, ==, 0x104388e2);
        g_assert_cmpstr(g->alias, ==, "big_one-1");
        assert_list(g->functions, ".1 0a:00.2 10de:1ad8");
        g_assert_cmpstr(g->host_driver, ==, "nvidia");
        g_assert_cmpstr(g->vfio_driver, ==, "nvgrace-gpu-vfio-pci");
        g_assert_cmpstr(g->default_state, ==, "vfio");
        g_assert_cmpint(g->after_vm, ==, AFTER_VM_ATTACH);
        g_assert_cmpint(g->idle_power, ==, IDLE_POWER_ON);
        g_assert_cmpint(g->last_display, ==, LAST_DISPLAY_ALLOW);
        assert_list(g->stop_units, "a.service b@1.service");
        assert_list(g->ask_compositors, "sway kwin_wayland");
        g_assert_cmpint(g->desktops, ==, DESKTOPS_LEAVE);
        assert_list(g->ladder, "flr bus");
        assert_list(g->forbid, "bus");
        assert_list(g->before_vfio, "reset display:none");
        assert_sleep(&g->sleep, "pause yes host continue 30 shutdown");
        assert_list(g->xorg_files, "/etc/X11/xorg.conf.d/10-nvidia.conf 20-one-screen.conf:detached");
}

static void test_before_vfio(void) {
        _cleanup_(warnings_free) Warnings w = warnings_new();
        _cleanup_(gpu_config_freep) GpuConfig *g =
                parse_gpu("[Match]\nVendor=10de\n[Gpu]\nBeforeVfio=reset display:refresh\nBeforeVfio=audio:none\n", &w);
        const Function display = { .class = 0x030000 }, audio = { .class = 0x040300 }, usb = { .class = 0x0c0330 };

        assert_warnings(&w, NULL);
        g_assert_cmpstr(config_before_vfio(g, &display), ==, "refresh");
        g_assert_cmpstr(config_before_vfio(g, &audio), ==, "none");
        g_assert_cmpstr(config_before_vfio(g, &usb), ==, "reset");
        g_assert_cmpstr(config_before_vfio(NULL, &usb), ==, "none");
}

static void test_bad_rungs(void) {
        _cleanup_(warnings_free) Warnings w = warnings_new();
        _cleanup_(gpu_config_freep) GpuConfig *g =
                parse_gpu("[Match]\nVendor=10de\n[Gpu]\nBeforeVfio=sound:reset\nBeforeVfio=kick\n[Reset]\nLadder=flr jump\n", &w);

        assert_warnings(&w, (const char *const[]) { "BeforeVfio", "BeforeVfio", "Ladder", NULL });
        g_assert_null(g->before_vfio);
        g_assert_null(g->ladder);
}

static void test_resets(void) {
        _cleanup_(warnings_free) Warnings w = warnings_new();
        _cleanup_(gpu_config_freep) GpuConfig *g =
                parse_gpu("[Match]\nVendor=10de\nAddress=0000:01:00.0\nAddress=\nVendor=\nDevice=1234\n"
                          "[Gpu]\nAlias=a\nAlias=b\nFunctions=.1\nFunctions=\nFunctions=.2\nAfterVm=keep\n"
                          "AfterVm=\nHostDriver=x\nHostDriver=\n"
                          "[Sleep]\nGpu=host\nOnError=continue\nGpu=unbind\nGpu=\n"
                          "[Session]\nXorgFiles=a.conf\nXorgFiles=b.conf\nXorgFiles=\n",
                          &w);

        assert_warnings(&w, NULL);
        g_assert_null(g->match.address);
        g_assert_false(g->match.has_vendor);
        g_assert_true(g->match.has_device);
        g_assert_cmpstr(g->alias, ==, "b");
        assert_list(g->functions, ".2");
        g_assert_cmpint(g->after_vm, ==, AFTER_VM_HEAL);
        g_assert_null(g->host_driver);
        g_assert_false(g->sleep_given.gpu);
        g_assert_true(g->sleep_given.on_error);
        g_assert_null(g->xorg_files);
}

/* What a `.gpu` file does not say is that of gpuptd.conf, also where it says what the default is. */
static void test_inherit(void) {
        _cleanup_(config_freep) Config *c = config_new();
        _cleanup_(warnings_free) Warnings w = warnings_new();
        static const struct {
                const char *text, *effective;
        } cases[] = {
                { "", "ignore yes remove continue 20 veto" },
                { "VirtualMachine=auto", "auto yes remove continue 20 veto" },
                { "Restartable=no", "ignore no remove continue 20 veto" },
                { "Gpu=keep", "ignore yes keep continue 20 veto" },
                { "OnError=veto", "ignore yes remove veto 20 veto" },
                { "TimeoutSec=3min", "ignore yes remove continue 180 veto" },
                { "LidClosed=auto", "ignore yes remove continue 20 auto" },
                { "Restartable=no\nRestartable=\nGpu=host\nGpu=\nTimeoutSec=5\nTimeoutSec=", "ignore yes remove continue 20 veto" },
                /* A bad value is none, and takes nothing back. */
                { "Gpu=host\nGpu=maybe\nRestartable=2\nTimeoutSec=271", "ignore yes host continue 20 veto" },
        };

        g_assert_cmpint(config_parse_main(c, "f",
                                          "[Sleep]\nVirtualMachine=ignore\nRestartable=on\nGpu=remove\nOnError=continue\n"
                                          "TimeoutSec=20s\nLidClosed=veto\n",
                                          on_warning, &w), ==, 0);
        assert_warnings(&w, NULL);
        assert_sleep(config_sleep_policy(c, NULL), "ignore yes remove continue 20 veto");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *text = g_strdup_printf("[Match]\nVendor=10de\n[Sleep]\n%s\n", cases[i].text);
                _cleanup_(gpu_config_freep) GpuConfig *g = parse_gpu(text, &w);

                g_assert_cmpuint(w.list->len, ==, strstr(cases[i].text, "maybe") ? 3 : 0);
                gpu_config_inherit(g, c);
                assert_sleep(config_sleep_policy(c, g), cases[i].effective);
        }
}

/* 0 in a `.gpu` file is a word of its own: this card is not watched, whatever is said of all. */
static void test_display_timeout(void) {
        static const struct {
                const char *main, *gpu;
                unsigned effective, warnings;
        } cases[] = {
                { "", "", 0, 0 },
                { "DisplayTimeoutSec=2min", "", 120, 0 },
                { "DisplayTimeoutSec=2min", "DisplayTimeoutSec=30", 30, 0 },
                { "DisplayTimeoutSec=2min", "DisplayTimeoutSec=0", 0, 0 },
                { "DisplayTimeoutSec=2min", "DisplayTimeoutSec=0\nDisplayTimeoutSec=", 120, 0 },
                { "DisplayTimeoutSec=2min\nDisplayTimeoutSec=", "DisplayTimeoutSec=1h", 3600, 0 },
                { "DisplayTimeoutSec=3601", "", 0, 1 },
                { "DisplayTimeoutSec=5", "DisplayTimeoutSec=infinity\nDisplayTimeoutSec=-1\nDisplayTimeoutSec=4294967295", 5, 3 },
        };
        _cleanup_(warnings_free) Warnings w = warnings_new();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *main_text = g_strdup_printf("[Session]\n%s\n", cases[i].main),
                                *gpu_text = g_strdup_printf("[Match]\nVendor=10de\n[Session]\n%s\n", cases[i].gpu);
                _cleanup_(config_freep) Config *c = config_new();
                _cleanup_(gpu_config_freep) GpuConfig *g = NULL;

                g_assert_cmpint(config_parse_main(c, "f", main_text, on_warning, &w), ==, 0);
                g = parse_gpu(gpu_text, &w);
                g_assert_cmpuint(w.list->len, ==, cases[i].warnings);
                gpu_config_inherit(g, c);
                g_assert_cmpuint(config_display_timeout(c, g), ==, cases[i].effective);
                if (!*cases[i].gpu)
                        g_assert_cmpuint(config_display_timeout(c, NULL), ==, cases[i].effective);
                g_ptr_array_set_size(w.list, 0);
        }
}

static void test_booleans(void) {
        static const char *const yes[] = { "yes", "y", "true", "t", "on", "1", "YES", "True" };
        static const char *const no[] = { "no", "n", "false", "f", "off", "0", "No", "OFF" };
        _cleanup_(config_freep) Config *c = config_new();
        _cleanup_(warnings_free) Warnings w = warnings_new();

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                g_autofree char *text = g_strdup_printf("[Sleep]\nGate=%s\nRestartable=%s\n", no[i], yes[i]);

                c->gate = true;
                c->sleep.restartable = false;
                g_assert_cmpint(config_parse_main(c, "f", text, on_warning, &w), ==, 0);
                assert_warnings(&w, NULL);
                g_assert_false(c->gate);
                g_assert_true(c->sleep.restartable);
        }
}

/* Every word of the manual page, and no other. */
static void test_sleep_words(void) {
        static const char *const good[] = {
                "VirtualMachine=ignore", "VirtualMachine=pause", "VirtualMachine=suspend", "VirtualMachine=auto",
                "VirtualMachine=hibernate", "VirtualMachine=shutdown", "VirtualMachine=inhibit", "Gpu=keep", "Gpu=unbind",
                "Gpu=host", "Gpu=remove", "OnError=veto", "OnError=continue", "LidClosed=auto", "LidClosed=veto",
                "LidClosed=shutdown", "LidClosed=continue", "TimeoutSec=5", "TimeoutSec=270", "TimeoutSec=1min 5s",
        };
        static const char *const bad[] = {
                "VirtualMachine=Pause", "VirtualMachine=managedsave", "VirtualMachine=pause suspend", "Gpu=vfio", "Gpu=Keep",
                "OnError=ignore", "LidClosed=inhibit", "TimeoutSec=4", "TimeoutSec=0", "TimeoutSec=271", "TimeoutSec=5min",
                "TimeoutSec=infinity", "TimeoutSec=-5", "TimeoutSec=4294967301", "Restartable=maybe", "Restartable=2",
                "Restartable=yes no", "Gate=maybe",
        };
        _cleanup_(warnings_free) Warnings w = warnings_new();

        for (size_t i = 0; i < ELEMENTSOF(good) + ELEMENTSOF(bad); i++) {
                bool is_good = i < ELEMENTSOF(good);
                const char *line = is_good ? good[i] : bad[i - ELEMENTSOF(good)];
                g_autofree char *text = g_strdup_printf("[Sleep]\n%s\n", line);
                _cleanup_(config_freep) Config *c = config_new();

                g_test_message("%s", line);
                g_assert_cmpint(config_parse_main(c, "f", text, on_warning, &w), ==, 0);
                assert_warnings(&w, is_good ? NULL : (const char *const[]) { "f:2: Bad value for", NULL });
                if (!is_good) {
                        assert_sleep(&c->sleep, SLEEP_DEFAULTS);
                        g_assert_true(c->gate);
                }
        }
}

static void test_hook_words(void) {
        static const struct {
                const char *line;
                unsigned timeout_sec;
                HookErrorPolicy on_error;
                bool bad;
        } rows[] = {
                { "TimeoutSec=1", 1, HOOK_ERROR_REFUSE, false },
                { "TimeoutSec=10min", 600, HOOK_ERROR_REFUSE, false },
                { "OnError=continue", 30, HOOK_ERROR_CONTINUE, false },
                { "OnError=continue\nOnError=", 30, HOOK_ERROR_REFUSE, false },
                { "TimeoutSec=5\nTimeoutSec=", 30, HOOK_ERROR_REFUSE, false },
                { "TimeoutSec=0", 30, HOOK_ERROR_REFUSE, true },
                { "TimeoutSec=601", 30, HOOK_ERROR_REFUSE, true },
                { "OnError=veto", 30, HOOK_ERROR_REFUSE, true },
        };
        _cleanup_(warnings_free) Warnings w = warnings_new();

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                g_autofree char *text = g_strdup_printf("[Hooks]\n%s\n", rows[i].line);
                _cleanup_(config_freep) Config *c = config_new();

                g_test_message("%s", rows[i].line);
                g_assert_cmpint(config_parse_main(c, "f", text, on_warning, &w), ==, 0);
                assert_warnings(&w, rows[i].bad ? (const char *const[]) { "f:2: Bad value for", NULL } : NULL);
                g_assert_cmpuint(c->hook_timeout_sec, ==, rows[i].timeout_sec);
                g_assert_cmpint(c->hook_on_error, ==, rows[i].on_error);
        }
}

static void test_language(void) {
        static const char text[] =
                "\xef\xbb\xbf# a comment\n  ; another \xc3\xa4\n\n   \t\n"
                " [Daemon]\t\r\n"
                "  WaitSec\t=  20 \t\r\n"
                "LimitJobs=\\\n# in the middle\n  3\n"
                "[X-Vendor]\nAnything=goes\nnot even an assignment\n"
                "[Daemon]\nX-Mine=1\nLimitLeases=5";
        _cleanup_(config_freep) Config *c = config_new();
        _cleanup_(gpu_config_freep) GpuConfig *g = NULL;
        _cleanup_(warnings_free) Warnings w = warnings_new();

        g_assert_cmpint(config_parse_main(c, "f", text, on_warning, &w), ==, 0);
        assert_warnings(&w, NULL);
        g_assert_cmpuint(c->wait_sec, ==, 20);
        g_assert_cmpuint(c->jobs_per_sender, ==, 3);
        g_assert_cmpuint(c->leases_per_sender, ==, 5);

        g = parse_gpu("[Match]\nVendor=10de\n[Gpu]\nFunctions=.1 \\\n  .2 \\\n\t.3\n", &w);
        assert_warnings(&w, NULL);
        assert_list(g->functions, ".1 .2 .3");
        g = gpu_config_free(g);

        /* An escaped backslash continues nothing; a backslash at the end of the file neither. */
        g = parse_gpu("[Match]\nVendor=10de\nPath=a\\\\\n[Gpu]\nAlias=veto\\", &w);
        assert_warnings(&w, NULL);
        g_assert_cmpstr(g->match.path, ==, "a\\\\");
        g_assert_cmpstr(g->alias, ==, "veto");
}

/* One line for each way to be wrong. */
static const char wrong_text[] =
        "Early=1\n"                     /* 1 */
        "[Daemon]\n"
        "WaitSec=601\n"                 /* 3 */
        "WaitSec=abc\n"
        "WaitSec=-1\n"
        "WaitSec=1d\n"
        "WaitSec=99999999999\n"
        "LimitJobs=0\n"                 /* 8 */
        "LimitJobs=4097\n"
        "LimitJobs=\\\n"                /* 10 */
        "\\\n"
        "x\n"
        "waitsec=1\n"                   /* 13 */
        "no assignment\n"
        "=1\n"
        "WaitSec=2\x01\n"               /* 16 */
        "WaitSec=\xc3\xa4\n"
        "[Unknown]\n"                   /* 18 */
        "Ignored=1\n"
        "[Daemon\n"                     /* 20 */
        "WaitSec=7\n"
        "[]\n"                          /* 22 */
        "[\x02]\n"
        "[Session]\n"
        "LastDisplay=maybe\n"           /* 25 */
        "[Gpu]\n";                      /* only in .gpu files */

static void test_warnings(void) {
        static const char *const expected[] = {
                "f:1: Assignment outside",
                "f:3: Bad value for WaitSec=",
                "f:4: Bad value",
                "f:5: Bad value",
                "f:6: Bad value",
                "f:7: Bad value",
                "f:8: Bad value for LimitJobs=",
                "f:9: Bad value",
                "f:10: Bad value",
                "f:13: Unknown key waitsec= in section [Daemon]",
                "f:14: Line without '='",
                "f:15: Unknown key =",
                "f:16: Line with characters",
                "f:17: Line with characters",
                "f:18: Unknown section [Unknown]",
                "f:20: Section header without ']'",
                "f:22: Unknown section []",
                "f:23: Section header with characters",
                "f:25: Bad value for LastDisplay=",
                "f:26: Unknown section [Gpu]",
                NULL,
        };
        _cleanup_(config_freep) Config *c = config_new();
        _cleanup_(warnings_free) Warnings w = warnings_new();
        g_autofree char *long_value = g_strnfill(1025, 'a'),
                        *long_text = g_strdup_printf("[Daemon]\nWaitSec=%s\n", long_value);

        g_assert_cmpint(config_parse_main(c, "f", wrong_text, on_warning, &w), ==, 0);
        assert_warnings(&w, expected);
        g_assert_cmpuint(c->wait_sec, ==, 15);
        g_assert_cmpuint(c->jobs_per_sender, ==, 16);

        g_assert_cmpint(config_parse_main(c, "f", long_text, on_warning, &w), ==, 0);
        assert_warnings(&w, (const char *const[]) { "f:2: Value of WaitSec= is longer", NULL });
        /* Nobody has to listen. */
        g_assert_cmpint(config_parse_main(c, "f", wrong_text, NULL, NULL), ==, 0);
}

static void test_bad_gpu_values(void) {
        static const char *const lines[] = {
                "[Gpu]\nAlias=a b",
                "[Session]\nXorgFiles=10-nvidia",
                "[Session]\nXorgFiles=../10-nvidia.conf",
                "[Session]\nXorgFiles=/etc/passwd.conf",
                "[Session]\nXorgFiles=/etc/X11/xorg.conf.d/../x.conf",
                "[Session]\nXorgFiles=.hidden.conf",
                "[Session]\nXorgFiles=-x.conf",
                "[Session]\nXorgFiles=.conf",
                "[Session]\nXorgFiles=a.conf:vfio",
                "[Session]\nXorgFiles=a.conf:",
                "[Session]\nXorgFiles=a.conf b",
                "[Session]\nAskCompositors=/usr/bin/sway",
                "[Session]\nAskCompositors=sway -x",
                "[Session]\nDesktops=no",
                "[Gpu]\nAlias=a/b",
                "[Gpu]\nAlias=..",
                "[Gpu]\nHostDriver=-r",
                "[Gpu]\nHostDriver=../x",
                "[Gpu]\nVfioDriver=vfio pci",
                "[Gpu]\nDefault=on",
                "[Gpu]\nAfterVm=Heal",
                "[Gpu]\nIdlePower=off",
                "[Gpu]\nFunctions=.8",
                "[Gpu]\nFunctions=.1x",
                "[Gpu]\nFunctions=1",
                "[Gpu]\nFunctions=10de",
                "[Gpu]\nFunctions=.1 bad",
                "[Gpu]\nFunctions=0000:01:00",
                "[Gpu]\nFunctions=0x10de:1ad8",
                "[Gpu]\nFunctions=10de:0x1ad8",
                "[Session]\nStopUnits=a.socket",
                "[Session]\nStopUnits=.service",
                "[Session]\nStopUnits=a/b.service",
                "[Session]\nStopUnits=a.service b",
                "[Gpu]\nAlias=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "[Gpu]\nFunctions=.1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 .1 "
                ".1 .1 .1 .1 .1",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                g_autofree char *text = g_strdup_printf("[Match]\nVendor=10de\n%s\n", lines[i]);
                _cleanup_(warnings_free) Warnings w = warnings_new();
                _cleanup_(gpu_config_freep) GpuConfig *g = parse_gpu(text, &w);

                g_autofree char *shown = g_strescape(lines[i], NULL);

                g_test_message("%s", shown);
                assert_warnings(&w, (const char *const[]) { "a.gpu:4: Bad value for", NULL });
                g_assert_null(g->alias);
                g_assert_null(g->functions);
                g_assert_null(g->host_driver);
                g_assert_null(g->vfio_driver);
                g_assert_null(g->default_state);
                g_assert_null(g->stop_units);
                g_assert_false(g->match.unusable);
        }
}

static Function card(void) {
        return (Function) {
                .address = "0000:01:00.0",
                .path = (char *) "pci-0000:00:01.0-0000:01:00.0",
                .vendor = 0x10de,
                .device = 0x2684,
                .subsystem_vendor = 0x1043,
                .subsystem_device = 0x88e2,
        };
}

static bool fits(const char *match, bool *ret_warned) {
        g_autofree char *text = g_strdup_printf("[Match]\n%s\n", match);
        _cleanup_(warnings_free) Warnings w = warnings_new();
        _cleanup_(gpu_config_freep) GpuConfig *g = parse_gpu(text, &w);
        GpuConfig *list[] = { g };
        Config c = { .gpus = list, .n_gpus = 1 };
        Function f = card();

        *ret_warned = w.list->len > 0;
        return config_match(&c, &f) != NULL;
}

static void test_match(void) {
        static const struct {
                const char *match;
                bool fits, warned;
        } cases[] = {
                { "Address=0000:01:00.0", true, false }, { "Address=0000:01:00.1", false, false },
                { "Vendor=10de", true, false }, { "Vendor=1002", false, false }, { "Vendor=0x10DE", true, false },
                { "Device=2684", true, false }, { "Device=2685", false, false },
                { "Subsystem=1043:88e2", true, false }, { "Subsystem=1043:88e3", false, false },
                { "Path=pci-0000:00:01.0-0000:01:00.0", true, false }, { "Path=pci-0000:00:01.0-*", true, false },
                { "Path=*-0000:0[12]:00.?", true, false }, { "Path=pci-0000:00:02.0-*", false, false },
                { "Vendor=10de\nDevice=2684\nAddress=0000:01:00.0", true, false },
                { "Vendor=10de\nDevice=0000", false, false },
                /* Nothing in it, or something that would make it fit more cards than was meant. */
                { "", false, true }, { "Vendor=10de\nVendor=", false, true },
                { "Vendor=10de\nAddress=01:00.0", false, true }, { "Vendor=10de\nSerial=1", false, true },
                { "Vendor=10de\nDevice", false, true }, { "Vendor=10de\nDevice=268", false, true },
                { "Vendor=10de\nDevice=26844", false, true }, { "Vendor=10de\nDevice=+684", false, true },
                { "Vendor=10de\nPath=a b", false, true }, { "Vendor=10de\nSubsystem=1043", false, true },
                { "Vendor=10de\nSubsystem=1043:88e2:", false, true }, { "Vendor=10de\nDevice=\xff", false, true },
                /* Elsewhere a bad line is only itself. */
                { "Vendor=10de\n[Sleep]\nGate=no", true, true }, /* it is of the host */
                { "Vendor=10de\n[Gpu]\nAlias=a b", true, true }, { "Vendor=10de\n[Gpu]\nColour=red", true, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_autofree char *shown = g_strescape(cases[i].match, NULL);
                bool warned;

                g_test_message("%s", shown);
                g_assert_cmpint(fits(cases[i].match, &warned), ==, cases[i].fits);
                g_assert_cmpint(warned, ==, cases[i].warned);
        }
}

/* A function of which no path is known. */
static void test_match_no_path(void) {
        _cleanup_(warnings_free) Warnings w = warnings_new();
        _cleanup_(gpu_config_freep) GpuConfig *g = parse_gpu("[Match]\nPath=*\n", &w);
        GpuConfig *list[] = { g };
        Config c = { .gpus = list, .n_gpus = 1 };
        Function f = card();

        g_assert_true(config_match(&c, &f) == g);
        f.path = NULL;
        g_assert_null(config_match(&c, &f));
}

/* Files */

typedef struct Tree {
        char *root;
        Warnings warnings;
        Config *config;
} Tree;

static void tree_set_up(Tree *t, const void *data) {
        static const char *const directories[] = { "etc/gpuptd", "run/gpuptd", "usr/local/lib/gpuptd",
                                                   "usr/lib/gpuptd" };

        t->root = loop_make_dir();
        t->warnings = warnings_new();
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                g_autofree char *path = g_build_filename(t->root, directories[i], "gpuptd.conf.d", NULL);

                g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
        }
}

static void tree_tear_down(Tree *t, const void *data) {
        (void) config_free(t->config);
        warnings_free(&t->warnings);
        loop_remove_dir(t->root);
}

static void put(const Tree *t, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(t->root, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void put_link(const Tree *t, const char *name, const char *target) {
        g_autofree char *path = g_build_filename(t->root, name, NULL);

        g_assert_cmpint(symlink(target, path), ==, 0);
}

static void load(Tree *t) {
        t->config = config_free(t->config);
        g_assert_cmpint(config_load(t->root, on_warning, &t->warnings, &t->config), ==, 0);
}

static void test_load_nothing(Tree *t, const void *data) {
        g_autofree char *nowhere = g_build_filename(t->root, "nowhere", NULL);

        load(t);
        assert_warnings(&t->warnings, NULL);
        g_assert_cmpuint(t->config->wait_sec, ==, 15);
        g_assert_cmpuint(t->config->n_gpus, ==, 0);
        t->config = config_free(t->config);
        g_assert_cmpint(config_load(nowhere, on_warning, &t->warnings, &t->config), ==, 0);
        assert_warnings(&t->warnings, NULL);
}

/* Only the first main file counts. */
static void test_load_main(Tree *t, const void *data) {
        put(t, "usr/lib/gpuptd/gpuptd.conf", "[Daemon]\nWaitSec=1\nLimitJobs=1\n");
        load(t);
        g_assert_cmpuint(t->config->wait_sec, ==, 1);
        put(t, "usr/local/lib/gpuptd/gpuptd.conf", "[Daemon]\nWaitSec=2\n");
        load(t);
        g_assert_cmpuint(t->config->wait_sec, ==, 2);
        g_assert_cmpuint(t->config->jobs_per_sender, ==, 16);
        put(t, "run/gpuptd/gpuptd.conf", "[Daemon]\nWaitSec=3\n");
        load(t);
        g_assert_cmpuint(t->config->wait_sec, ==, 3);
        put(t, "etc/gpuptd/gpuptd.conf", "[Daemon]\nWaitSec=4\n");
        load(t);
        g_assert_cmpuint(t->config->wait_sec, ==, 4);
        put(t, "etc/gpuptd/gpuptd.conf", "");
        load(t);
        g_assert_cmpuint(t->config->wait_sec, ==, 15);
        assert_warnings(&t->warnings, NULL);
}

static void test_load_main_masked(Tree *t, const void *data) {
        put(t, "usr/lib/gpuptd/gpuptd.conf", "[Daemon]\nWaitSec=1\n");
        put_link(t, "etc/gpuptd/gpuptd.conf", "/dev/null");
        load(t);
        g_assert_cmpuint(t->config->wait_sec, ==, 15);
        assert_warnings(&t->warnings, NULL);
}

static void test_load_drop_ins(Tree *t, const void *data) {
        put(t, "etc/gpuptd/gpuptd.conf", "[Daemon]\nWaitSec=1\nLimitJobs=1\nLimitQueries=1\nLimitLeases=1\n");
        /* By name, whatever directory; the same name in an earlier directory hides. */
        put(t, "usr/lib/gpuptd/gpuptd.conf.d/50-b.conf", "[Daemon]\nWaitSec=50\nLimitQueries=5\n");
        put(t, "etc/gpuptd/gpuptd.conf.d/10-a.conf", "[Daemon]\nWaitSec=10\nLimitJobs=10\n");
        put(t, "usr/lib/gpuptd/gpuptd.conf.d/60-c.conf", "[Daemon]\nWaitSec=60\nLimitLeases=6\n");
        put(t, "run/gpuptd/gpuptd.conf.d/60-c.conf", "[Daemon]\nLimitLeases=\n");
        put(t, "usr/lib/gpuptd/gpuptd.conf.d/70-d.conf", "[Daemon]\nWaitSec=70\n");
        put_link(t, "etc/gpuptd/gpuptd.conf.d/70-d.conf", "/dev/null");
        put(t, "usr/lib/gpuptd/gpuptd.conf.d/80-e.conf", "[Daemon]\nWaitSec=80\n");
        put(t, "run/gpuptd/gpuptd.conf.d/80-e.conf", "");
        put(t, "etc/gpuptd/gpuptd.conf.d/90-f.conf.bak", "[Daemon]\nWaitSec=90\n");
        put(t, "etc/gpuptd/gpuptd.conf.d/.91-g.conf", "[Daemon]\nWaitSec=91\n");
        put(t, "etc/gpuptd/gpuptd.conf.d/.conf", "[Daemon]\nWaitSec=92\n");
        load(t);
        assert_warnings(&t->warnings, NULL);
        g_assert_cmpuint(t->config->wait_sec, ==, 50);
        g_assert_cmpuint(t->config->jobs_per_sender, ==, 10);
        g_assert_cmpuint(t->config->queries_per_sender, ==, 5);
        g_assert_cmpuint(t->config->leases_per_sender, ==, 8);
}

static void test_load_gpus(Tree *t, const void *data) {
        Function f = card();
        const GpuConfig *g;

        put(t, "usr/lib/gpuptd/gpuptd.conf", "[Session]\nLastDisplay=allow\n[Sleep]\nTimeoutSec=20\nGpu=host\n");
        put(t, "run/gpuptd/gpuptd.conf.d/50-sleep.conf", "[Sleep]\nGpu=unbind\nRestartable=yes\n");
        put(t, "usr/lib/gpuptd/50-all.gpu", "[Match]\nVendor=10de\n[Gpu]\nAlias=all\n");
        put(t, "etc/gpuptd/60-late.gpu", "[Match]\nAddress=0000:01:00.0\n[Gpu]\nAlias=late\n");
        put(t, "run/gpuptd/70-other.gpu", "[Match]\nVendor=1002\n[Session]\nLastDisplay=protect\n[Sleep]\nTimeoutSec=30\n");
        load(t);
        assert_warnings(&t->warnings, NULL);
        assert_sleep(config_sleep_policy(t->config, NULL), "auto yes unbind veto 20 auto");
        g_assert_cmpuint(t->config->n_gpus, ==, 3);
        g = config_match(t->config, &f);
        g_assert_cmpstr(g->alias, ==, "all");
        g_assert_cmpstr(g->file, ==, "/usr/lib/gpuptd/50-all.gpu");
        g_assert_cmpint(g->last_display, ==, LAST_DISPLAY_ALLOW);
        assert_sleep(config_sleep_policy(t->config, g), "auto yes unbind veto 20 auto");
        f.vendor = 0x1002;
        f.address[5] = 'f';
        g_assert_cmpint(config_match(t->config, &f)->last_display, ==, LAST_DISPLAY_PROTECT);
        assert_sleep(config_sleep_policy(t->config, config_match(t->config, &f)), "auto yes unbind veto 30 auto");

        /* A file of the same name takes the place of the shipped one, or masks it. */
        f = card();
        put(t, "etc/gpuptd/50-all.gpu", "[Match]\nVendor=10de\n[Gpu]\nAlias=mine\n");
        load(t);
        g_assert_cmpstr(config_match(t->config, &f)->alias, ==, "mine");
        put(t, "etc/gpuptd/50-all.gpu", "");
        load(t);
        g_assert_cmpstr(config_match(t->config, &f)->alias, ==, "late");
        assert_warnings(&t->warnings, NULL);
        f.vendor = 0x8086;
        f.address[5] = 'f';
        g_assert_null(config_match(t->config, &f));
}

/* Whatever lies there: a warning at most, and the rest is used. */
static void test_load_strange_files(Tree *t, const void *data) {
        g_autofree char *directory = g_build_filename(t->root, "etc/gpuptd/10-dir.gpu", NULL);
        g_autofree char *fifo = g_build_filename(t->root, "etc/gpuptd/20-fifo.gpu", NULL);
        g_autofree char *binary = g_build_filename(t->root, "etc/gpuptd/30-binary.gpu", NULL);
        g_autofree char *large = g_strnfill(64 * 1024 + 1, '\n');
        static const char *const expected[] = {
                "/etc/gpuptd/10-dir.gpu:0: Cannot read",
                "/etc/gpuptd/20-fifo.gpu:0: Cannot read",
                "/etc/gpuptd/30-binary.gpu:0: The file is not a text",
                "/etc/gpuptd/40-large.gpu:0: The file is larger",
                "/etc/gpuptd/60-empty-match.gpu:0: Nothing in [Match]",
                NULL,
        };

        g_assert_cmpint(mkdir(directory, 0700), ==, 0);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_true(g_file_set_contents(binary, "[Match]\nVendor=10de\0\n", 21, NULL));
        put(t, "etc/gpuptd/40-large.gpu", large);
        put_link(t, "etc/gpuptd/50-dangling.gpu", "nowhere");
        put(t, "usr/lib/gpuptd/50-dangling.gpu", "[Match]\nVendor=10de\n[Gpu]\nAlias=seen\n");
        put(t, "etc/gpuptd/60-empty-match.gpu", "[Gpu]\nAlias=x\n");
        load(t);
        assert_warnings(&t->warnings, expected);
        g_assert_cmpuint(t->config->n_gpus, ==, 2);
        g_assert_cmpstr(t->config->gpus[0]->alias, ==, "seen");
}

static void test_load_too_many(Tree *t, const void *data) {
        for (int i = 0; i < 300; i++) {
                g_autofree char *name = g_strdup_printf("etc/gpuptd/%03d.gpu", i);

                put(t, name, "[Match]\nVendor=10de\n");
        }
        load(t);
        assert_warnings(&t->warnings, (const char *const[]) { "/etc/gpuptd:0: More than 256 files", NULL });
        g_assert_cmpuint(t->config->n_gpus, ==, 256);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config/defaults", test_defaults);
        g_test_add_func("/config/main", test_main);
        g_test_add_func("/config/gpu", test_gpu);
        g_test_add_func("/config/before-vfio", test_before_vfio);
        g_test_add_func("/config/bad-rungs", test_bad_rungs);
        g_test_add_func("/config/resets", test_resets);
        g_test_add_func("/config/inherit", test_inherit);
        g_test_add_func("/config/display-timeout", test_display_timeout);
        g_test_add_func("/config/booleans", test_booleans);
        g_test_add_func("/config/sleep-words", test_sleep_words);
        g_test_add_func("/config/hook-words", test_hook_words);
        g_test_add_func("/config/language", test_language);
        g_test_add_func("/config/warnings", test_warnings);
        g_test_add_func("/config/bad-gpu-values", test_bad_gpu_values);
        g_test_add_func("/config/match", test_match);
        g_test_add_func("/config/match-no-path", test_match_no_path);
#define ADD(path, function) g_test_add("/config/load/" path, Tree, NULL, tree_set_up, function, tree_tear_down)
        ADD("nothing", test_load_nothing);
        ADD("main", test_load_main);
        ADD("main-masked", test_load_main_masked);
        ADD("drop-ins", test_load_drop_ins);
        ADD("gpus", test_load_gpus);
        ADD("strange-files", test_load_strange_files);
        ADD("too-many", test_load_too_many);
#undef ADD
        return g_test_run();
}
