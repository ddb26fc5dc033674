/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-guide: gpuptd.guide(7) as it is written: each section on a machine of its kind, with its files in place, its commands typed, and its
 * hook called as the manager of virtual machines would call it. */

#include <errno.h>
#include <gio/gio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define PAGE SOURCE_ROOT "/daemon/gpuptd.guide.7.scd"
#define HOOK "/run/gpuptd-sim/hook"
#define BIN "/run/gpuptd-sim/bin"
#define QEMU_SERVER "/run/gpuptd-sim/qemu-server"

typedef struct Guide {
        const char *title, *topology, *gpu;
        const char *after;        /* the state that the commands leave the card in */
        const char *after_hook;   /* and a VM, if there is a hook */
} Guide;

static const Guide guides[] = {
        { "A DESKTOP WITH TWO CARDS", "desktop", "0000:08:00.0", "host", NULL },
        { "A DESKTOP WITH ONE CARD", "nvidia-pair", "0000:3b:00.0", "host", "host" },
        { "A LAPTOP WHOSE SECOND CARD HAS NO OUTPUT", "laptop", "0000:01:00.0", "host", NULL },
        { "AN AMD PROCESSOR WITH ITS OWN GRAPHICS", "apu", "0000:c5:00.0", "host", NULL },
        { "A PROXMOX VE HOST", "desktop", "0000:08:00.0", "detached", "detached" },
};

/* What a section says. */
typedef struct Section {
        GPtrArray *files;    /* path, text, path, text … */
        GPtrArray *commands; /* of gpuptctl, without that word */
        char *hook;          /* text of the hook script */
        bool proxmox;
} Section;

static void section_done(Section *s) {
        g_ptr_array_unref(s->files);
        g_ptr_array_unref(s->commands);
        g_free(s->hook);
}

/* "# /etc/…" in its first line, or its second one behind "#!". */
static void take_block(Section *s, const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        bool script = startswith(lines[0], "#!");
        const char *path = startswith(lines[script], "# ");

        if (!path || *path != '/')
                g_error("a block that does not say where it goes:\n%s", text);
        if (script) {
                s->hook = g_strdup(text);
                s->proxmox = strstr(text, "hook proxmox");
                return;
        }
        g_ptr_array_add(s->files, g_strdup(path));
        g_ptr_array_add(s->files, g_strdup(text));
}

static void read_section(const char *title, Section *ret) {
        g_autofree char *page = NULL, *heading = g_strdup_printf("\n# %s\n", title);
        g_auto(GStrv) lines = NULL;
        g_autoptr(GString) block = NULL;
        char *begin, *end;

        g_assert_true(g_file_get_contents(PAGE, &page, NULL, NULL));
        begin = strstr(page, heading);
        if (!begin)
                g_error("there is no section '%s'", title);
        begin += strlen(heading);
        /* A file's own comments are no headings. */
        lines = g_strsplit(begin, "\n", -1);
        *ret = (Section){ .files = g_ptr_array_new_with_free_func(g_free),
                          .commands = g_ptr_array_new_with_free_func(g_free) };
        for (char **line = lines; *line; line++)
                if (streq(*line, "```")) {
                        if (block) {
                                take_block(ret, block->str);
                                g_string_free(g_steal_pointer(&block), TRUE);
                        } else
                                block = g_string_new(NULL);
                } else if (block)
                        g_string_append_printf(block, "%s\n", *line);
                else if (startswith(*line, "# "))
                        return;
                else if ((end = (char *) startswith(*line, "\t$ gpuptctl ")) ||
                         (end = (char *) startswith(*line, "\t# gpuptctl ")))
                        g_ptr_array_add(ret->commands, g_strdup(end));
}

static void run(const char *const *argv, const char *input) {
        g_autofree char *line = g_strjoinv(" ", (char **) argv), *out = NULL, *err = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(GSubprocess) process = NULL;

        process = g_subprocess_newv(
                argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE,
                &error);
        g_assert_no_error(error);
        g_assert_true(g_subprocess_communicate_utf8(process, input, NULL, &out, &err, &error));
        g_assert_no_error(error);
        g_test_message("%s\n%s%s", line, out, err);
        if (g_subprocess_get_exit_status(process) != 0)
                g_error("'%s' ends with %i: %s", line, g_subprocess_get_exit_status(process), err);
}

static void type(const char *command) {
        g_autofree char *line = g_strdup_printf("gpuptctl --no-pager %s", command);
        g_auto(GStrv) argv = NULL;

        g_assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
        run((const char *const *) argv, "");
}

/* ---- a virtual machine that starts and stops ---- */

static void call_libvirt(const Guide *g, const char *operation, const char *suboperation) {
        g_autofree char *xml =
                g_strdup_printf("<domain><devices><hostdev mode='subsystem' type='pci' managed='no'><source>"
                                "<address domain='0x0000' bus='0x%.2s' slot='0x%.2s' "
                                "function='0x0'/></source></hostdev></devices></domain>",
                                g->gpu + 5, g->gpu + 8);

        run((const char *const[]) { HOOK, "win10", operation, suboperation, "-", NULL }, xml);
}

static void call_proxmox(const char *phase) {
        run((const char *const[]) { HOOK, "101", phase, NULL }, "");
}

static void run_vm(Scene *s, const Guide *g, const Section *section) {
        put_file(HOOK, section->hook);
        g_assert_cmpint(chmod(HOOK, 0755), ==, 0);
        if (section->proxmox) {
                g_autofree char *configuration = g_strdup_printf("cores: 4\nhostpci0: %.10s,pcie=1\n", g->gpu);

                put_file(QEMU_SERVER "/101.conf", configuration);
                call_proxmox("pre-start");
        } else
                call_libvirt(g, "prepare", "begin");
        wait_state(s, g->gpu, "detached");
        if (section->proxmox)
                call_proxmox("post-stop");
        else {
                call_libvirt(g, "stopped", "end");
                call_libvirt(g, "release", "end");
        }
        wait_state(s, g->gpu, g->after_hook);
}

static void test_guide(const void *data) {
        const Guide *g = data;
        g_autoptr(Scene) s = scene_new_without_daemon(g->topology);
        Section section;

        g_assert_cmpint(g_mkdir_with_parents(BIN, 0755), ==, 0);
        g_assert_true(symlink(getenv("GPUPTCTL"), BIN "/gpuptctl") == 0 || errno == EEXIST);
        read_section(g->title, &section);
        g_assert_cmpuint(section.files->len, >, 0);
        g_assert_cmpuint(section.commands->len, >, 0);
        g_assert_cmpint(!!section.hook, ==, !!g->after_hook);
        for (unsigned i = 0; i < section.files->len; i += 2)
                put_file(g_ptr_array_index(section.files, i), g_ptr_array_index(section.files, i + 1));
        scene_start(s);
        /* Each key and value is one that is understood. */
        g_assert_null(strstr(sim_daemon_log(s->m), ".gpu:"));
        g_assert_null(strstr(sim_daemon_log(s->m), ".conf:"));
        for (unsigned i = 0; i < section.commands->len; i++)
                type(g_ptr_array_index(section.commands, i));
        wait_state(s, g->gpu, g->after);
        if (section.hook)
                run_vm(s, g, &section);
        section_done(&section);
}

/* No section is left out. */
static void test_all(void) {
        static const char *const others[] = { "NAME", "DESCRIPTION", "SEE ALSO" };
        g_autofree char *page = NULL;
        g_auto(GStrv) lines = NULL;
        bool in_block = false;

        g_assert_true(g_file_get_contents(PAGE, &page, NULL, NULL));
        lines = g_strsplit(page, "\n", -1);
        for (char **line = lines; *line; line++) {
                const char *title = startswith(*line, "# ");
                bool known = !title || in_block;

                in_block = in_block != streq(*line, "```");
                for (size_t i = 0; title && i < ELEMENTSOF(others); i++)
                        known = known || streq(title, others[i]);
                for (size_t i = 0; title && i < ELEMENTSOF(guides); i++)
                        known = known || streq(title, guides[i].title);
                if (!known)
                        g_error("the section '%s' is not tried", title);
        }
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_assert_true(g_setenv("GPUPT_QEMU_SERVER_DIR", QEMU_SERVER, TRUE));
        g_assert_true(g_setenv("PATH", BIN ":/usr/bin:/bin:/usr/sbin:/sbin", TRUE));
        g_test_add_func("/guide/all", test_all);
        for (size_t i = 0; i < ELEMENTSOF(guides); i++) {
                g_autofree char *path = g_strdup_printf("/guide/%s-%zu", guides[i].topology, i);

                g_test_add_data_func(path, guides + i, test_guide);
        }
        return g_test_run();
}
