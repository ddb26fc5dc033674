/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-uses: a companion that the host cannot spare: the USB controller of the card has the disk of a mounted file system,
 * or the only network that is up. Both come and go without a word to the daemon, so what counts is how it is when somebody
 * asks. */

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:01:00.0"
#define USB "0000:01:00.2"
#define OTHER "0000:02:00.0"
#define PLACE "/run/my data"

static Scene *scene(void) {
        Scene *s = scene_new("twins", NULL);

        (void) sim_command(s->m, "block " USB " sda 8:0");
        (void) sim_command(s->m, "block " USB " sda1 8:1");
        return s;
}

static void mount_from(const char *source, const char *place) {
        g_assert_true(mkdir(place, 0755) == 0 || errno == EEXIST);
        g_assert_cmpint(mount(source, place, "tmpfs", 0, NULL), ==, 0);
}

/* The job looks for itself; and once that is known, the call is refused. Nothing is touched. */
static void assert_in_use(Scene *s, const char *what) {
        const JobEnd *ends[] = { detach(s, CARD, ""), detach(s, CARD, "") };

        for (size_t i = 0; i < 2; i++) {
                if (i == 1 || !streq(ends[i]->result, "failed"))
                        assert_end(s, ends[i], "refused", "InUse");
                assert_has(ends[i]->error, "InUse");
                assert_has(ends[i]->message, USB);
                assert_has(ends[i]->message, what);
        }
        assert_as_at_first(s);
}

static void assert_round(Scene *s, const char *gpu) {
        assert_end(s, detach(s, gpu, ""), "done", "");
        assert_end(s, attach(s, gpu, ""), "done", "");
        assert_as_at_first(s);
}

static void test_mounted(void) {
        g_autoptr(Scene) s = scene();

        mount_from("/dev/sda1", PLACE);
        assert_in_use(s, PLACE);
        /* Of no concern to the other card, nor to a plan without that function. */
        assert_round(s, OTHER);
        assert_end(s, detach(s, CARD, "functions=" CARD ",0000:01:00.1"), "refused", "GroupNotViable");
        g_assert_cmpint(umount(PLACE), ==, 0);
        assert_round(s, CARD);
}

/* On a volume that is built upon the disk. */
static void test_stacked(void) {
        g_autoptr(Scene) s = scene();

        (void) sim_command(s->m, "block sda1 dm-0 253:0");
        (void) sim_command(s->m, "block dm-0 dm-1 253:1");
        mount_from("/dev/dm-1", PLACE);
        assert_in_use(s, PLACE);
        g_assert_cmpint(umount(PLACE), ==, 0);
        assert_round(s, CARD);
}

static void test_last_network(void) {
        g_autoptr(Scene) s = scene();

        (void) sim_command(s->m, "net virtual lo unknown");
        (void) sim_command(s->m, "net " USB " enx00e04c up");
        assert_in_use(s, "enx00e04c");
        /* Another one that is up will do, and one that is down is none. */
        (void) sim_command(s->m, "net 0000:02:00.2 eth0 down");
        assert_in_use(s, "enx00e04c");
        (void) sim_command(s->m, "net 0000:02:00.2 eth0 up");
        assert_round(s, CARD);
        (void) sim_command(s->m, "net " USB " enx00e04c down");
        assert_round(s, CARD);
}

/* The plan is refused for what is known, and not for what is over. */
static void test_plan(void) {
        g_autoptr(Scene) s = scene();
        g_auto(GStrv) steps = NULL;
        const char *error = NULL;

        mount_from("/dev/sda1", PLACE);
        assert_in_use(s, PLACE);
        g_assert_null(plan(s, "detach", CARD, "", &error));
        g_assert_cmpstr(error, ==, GPUPT_ERROR_IN_USE);
        g_assert_cmpint(umount(PLACE), ==, 0);
        steps = plan(s, "detach", CARD, "", &error);
        g_assert_nonnull(steps);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/uses/mounted", test_mounted);
        g_test_add_func("/uses/stacked", test_stacked);
        g_test_add_func("/uses/last-network", test_last_network);
        g_test_add_func("/uses/plan", test_plan);
        return g_test_run();
}
