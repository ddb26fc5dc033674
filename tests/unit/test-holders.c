/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-holders: what a census answers, read back and described; commands and nodes are of other people's making. */

#include "holders.h"

#include <glib.h>

static Holder *add(Holders *h, uint32_t pid, const char *command, const char *node) {
        Holder *holder = holders_add(h, pid, 1000 + pid);

        g_assert_nonnull(holder);
        g_assert_cmpint(free_and_strdup(&holder->command, command), ==, 0);
        if (node)
                g_assert_cmpint(strv_extend(&holder->nodes, node), ==, 0);
        return holder;
}

static void add_login(Holders *h, const char *session, const char *user, const char *seat, const char *type,
                      const char *class) {
        Login *l = holders_add_login(h, session, 1000);

        g_assert_nonnull(l);
        g_assert_cmpint(free_and_strdup(&l->user, user), ==, 0);
        g_assert_cmpint(free_and_strdup(&l->seat, seat), ==, 0);
        g_assert_cmpint(free_and_strdup(&l->type, type), ==, 0);
        g_assert_cmpint(free_and_strdup(&l->class, class), ==, 0);
}

static char *write_text(const Holders *h, size_t *ret_size) {
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_size);

        g_assert_nonnull(f);
        holders_write(h, f);
        g_assert_cmpint(fclose(f), ==, 0);
        return text;
}

static Holders *full_holders(void) {
        Holders *h = holders_new();
        Holder *holder;

        holder = add(h, 900, "qemu-system-x86", "/dev/vfio/7");
        holder->uid = 64055;
        holder->is_vm = true;
        g_assert_cmpint(strv_extend(&holder->nodes, "/dev/vfio/8"), ==, 0);
        g_assert_cmpint(free_and_strdup(&holder->unit, "machine-qemu\\x2d1\\x2dwin10.scope"), ==, 0);
        g_assert_cmpint(free_and_strdup(&holder->machine, "qemu-1-win10"), ==, 0);
        g_assert_cmpint(free_and_strdup(&holder->vm_manager, "libvirt"), ==, 0);
        g_assert_cmpint(free_and_strdup(&holder->vm_name, "win10"), ==, 0);
        holder = add(h, 812, "a command\nof two lines", "/dev/snd/controlC1");
        holder->protected = true;
        g_assert_cmpint(free_and_strdup(&holder->session, "c1"), ==, 0);
        add_login(h, "c1", "anna", "seat0", "wayland", "user");
        add_login(h, "7", "", "", "tty", "user-early");
        g_assert_cmpint(free_and_strdup(&h->display_manager, "gdm.service"), ==, 0);
        return h;
}

static void test_round_trip(void) {
        _cleanup_(holders_freep) Holders *h = full_holders(), *back = NULL;
        _cleanup_free_ char *text = NULL, *again = NULL;
        size_t size, again_size;

        text = write_text(h, &size);
        g_assert_cmpint(holders_read(text, size, &back), ==, 0);
        again = write_text(back, &again_size);
        g_assert_cmpstr(text, ==, again);

        g_assert_cmpuint(back->n, ==, 2);
        g_assert_cmpuint(back->n_logins, ==, 2);
        g_assert_cmpstr(back->logins[0].session, ==, "c1");
        g_assert_cmpstr(back->logins[0].user, ==, "anna");
        g_assert_cmpuint(back->logins[0].uid, ==, 1000);
        g_assert_true(login_is_desktop(back->logins));
        g_assert_false(login_is_desktop(back->logins + 1));
        g_assert_cmpstr(back->display_manager, ==, "gdm.service");
        g_assert_cmpuint(back->list[0].pid, ==, 812);
        g_assert_cmpstr(back->list[0].command, ==, "a command\nof two lines");
        g_assert_true(back->list[0].protected && !back->list[0].is_vm);
        g_assert_cmpstr(back->list[1].unit, ==, "machine-qemu\\x2d1\\x2dwin10.scope");
        g_assert_cmpuint(back->list[1].uid, ==, 64055);
        g_assert_cmpuint(strv_length(back->list[1].nodes), ==, 2);

        g_assert_true(holders_contains(back, 812, 1812));
        g_assert_false(holders_contains(back, 812, 1813));
        g_assert_false(holders_contains(back, 813, 1812));
        g_assert_cmpstr(holders_find_vm(back)->vm_name, ==, "win10");
}

static void test_nobody(void) {
        _cleanup_(holders_freep) Holders *h = NULL;
        _cleanup_free_ char *text = NULL;

        g_assert_cmpint(holders_read("", 0, &h), ==, 0);
        g_assert_cmpuint(h->n, ==, 0);
        g_assert_null(holders_find_vm(h));
        text = holders_describe(h);
        g_assert_cmpstr(text, ==, "nobody holds it");
}

#define HOLDER "holder 812 99 1000 pipewire\n"

static void test_rejects(void) {
        static const char *const texts[] = {
                "\n",
                "node /dev/x\n",
                "holder 812 99 1000\n",
                "holder 0 99 1000 x\n",
                "holder -1 99 1000 x\n",
                "holder 2147483648 99 1000 x\n",
                "holder 812 99 4294967296 x\n",
                "holder 812 x 1000 x\n",
                "holder 812 99 1000 x",
                "holder 812 99 1000 x y\n",
                HOLDER HOLDER,
                HOLDER "node\n",
                HOLDER "node a b\n",
                HOLDER "unit a\nunit b\n",
                HOLDER "session\n",
                "login 1 1000 a seat0 x11\n",
                "login ../1 0 a seat0 x11 user\n",
                "login 1 -1 a seat0 x11 user\n",
                "display-manager gdm\n",
                "display-manager a.service\ndisplay-manager b.service\n",
                HOLDER "vm libvirt\n",
                HOLDER "vm a b\nvm a b\n",
                HOLDER "is-vm yes\n",
                HOLDER "protected 1\n",
                HOLDER "unknown\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Holders *h = NULL;

                g_test_message("%s", texts[i]);
                g_assert_cmpint(holders_read(texts[i], strlen(texts[i]), &h), ==, -EBADMSG);
                g_assert_null(h);
        }
}

static void test_damage(void) {
        _cleanup_(holders_freep) Holders *h = full_holders();
        _cleanup_free_ char *text = NULL;
        size_t size;

        text = write_text(h, &size);
        for (size_t i = 0; i < size; i++)
                for (unsigned byte = 0; byte < 256; byte += 3) {
                        char saved = text[i];
                        Holders *back = NULL;
                        int r;

                        text[i] = (char) byte;
                        r = holders_read(text, size, &back);
                        g_assert_true(r == 0 || r == -EBADMSG);
                        (void) holders_free(back);
                        text[i] = saved;
                }
}

static void assert_description(const Holders *h, const char *expected) {
        _cleanup_free_ char *text = holders_describe(h);

        g_assert_cmpstr(text, ==, expected);
}

/* Whose desktops may be asked: all of them, by what they are called. */
static void test_desktops(void) {
        static const struct {
                const char *command;
                const char *second;
                bool result;
        } rows[] = {
                { "kwin_wayland", NULL, true },
                { "sway", "kwin_wayland", true },
                { "main (kwin_wayland)", NULL, true },
                { "sway (.sway-wrapped)", NULL, true },
                { "gnome-shell", NULL, false },
                { "sway", "gnome-shell", false },
                { "swaylock", NULL, false },
                { "swa", NULL, false },
                { "swaylock (swaylock)", NULL, false },
                { "", NULL, false },
        };
        char *const names[] = { (char *) "sway", (char *) "kwin_wayland", NULL };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                _cleanup_(holders_freep) Holders *h = holders_new();
                Holder *logind = add(h, 500, "systemd-logind", "/dev/dri/card0");

                /* It has the node on behalf of a session; and a game is no desktop. */
                logind->protected = true;
                g_assert_cmpint(free_and_strdup(&logind->unit, "systemd-logind.service"), ==, 0);
                (void) add(h, 600, "game", "/dev/dri/card0");
                g_assert_false(holders_are_desktops_named(h, names));
                add(h, 700, rows[i].command, "/dev/dri/card0")->protected = true;
                if (rows[i].second)
                        add(h, 701, rows[i].second, "/dev/dri/card0")->protected = true;
                g_assert_cmpint(holders_are_desktops_named(h, names), ==, rows[i].result);
                g_assert_false(holders_are_desktops_named(h, NULL));
                /* A VM is none either, whatever it calls itself. */
                h->list[2].is_vm = true;
                if (!rows[i].second)
                        g_assert_false(holders_are_desktops_named(h, names));
        }
}

static void test_describe(void) {
        _cleanup_(holders_freep) Holders *h = holders_new();
        Holder *holder;

        holder = add(h, 812, "pipewire", "/dev/snd/controlC1");
        g_assert_cmpint(free_and_strdup(&holder->unit, "pipewire.service"), ==, 0);
        assert_description(h, "pipewire (pid 812, pipewire.service) holds /dev/snd/controlC1");

        holder = add(h, 813, "", NULL);
        g_assert_cmpint(free_and_strdup(&holder->session, "2"), ==, 0);
        assert_description(h, "pipewire (pid 812, pipewire.service) holds /dev/snd/controlC1; "
                              "a process (pid 813, session 2) holds it");

        holder = add(h, 5, "qemu", "/dev/vfio/7");
        holder->is_vm = true;
        g_assert_cmpint(free_and_strdup(&holder->vm_manager, "libvirt"), ==, 0);
        g_assert_cmpint(free_and_strdup(&holder->vm_name, "win10"), ==, 0);
        for (unsigned i = 0; i < 4; i++)
                g_assert_cmpint(strv_extend(&holder->nodes, "/dev/vfio/8"), ==, 0);
        (void) add(h, 900, "x", "/dev/x");
        (void) add(h, 901, "y", "/dev/x");
        assert_description(
                h, "qemu (pid 5, virtual machine win10) holds /dev/vfio/7, /dev/vfio/8, /dev/vfio/8 and 2 more; "
                   "pipewire (pid 812, pipewire.service) holds /dev/snd/controlC1; "
                   "a process (pid 813, session 2) holds it; and 2 more");
}

/* A message goes over the bus and to terminals. */
static void test_describe_clean(void) {
        static const struct {
                const char *command, *shown;
        } cases[] = {
                { "a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?" }, { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
                { "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80" },
                { "cut \xe2\x82", "cut ??" }, { "\xff\xfe", "??" }, { "\x80", "?" },
                { "\xc0\xaf", "??" },             /* overlong */
                { "\xed\xa0\x80", "???" },        /* a surrogate */
                { "\xf4\x90\x80\x80", "????" },   /* past Unicode */
                { "\xc2\x9b", "??" },             /* CSI of C1 */
                { "\xe2\x80\xae" "abc", "???abc" }, /* right-to-left override */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(holders_freep) Holders *h = holders_new();
                _cleanup_free_ char *text = NULL;
                g_autofree char *expected = g_strdup_printf("%s (pid 7) holds it", cases[i].shown);

                (void) add(h, 7, cases[i].command, NULL);
                text = holders_describe(h);
                g_assert_cmpstr(text, ==, expected);
                g_assert_true(g_utf8_validate(text, -1, NULL));
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/holders/round-trip", test_round_trip);
        g_test_add_func("/holders/nobody", test_nobody);
        g_test_add_func("/holders/rejects", test_rejects);
        g_test_add_func("/holders/damage", test_damage);
        g_test_add_func("/holders/desktops", test_desktops);
        g_test_add_func("/holders/describe", test_describe);
        g_test_add_func("/holders/describe-clean", test_describe_clean);
        return g_test_run();
}
