/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-holders: who holds a card is asked, waited for, named, and ended only where the caller said so and only those
 * whom he was shown. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fixture.h"
#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define RADEON "0000:09:00.0"
#define ACL "system.posix_acl_access"

static const char *control_node(Scene *s, const char *audio) {
        g_autofree char *directory = g_strdup_printf("/sys/bus/pci/devices/%s/sound", audio);
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        const char *card = g_dir_read_name(dir);
        char *path = g_strdup_printf("/dev/snd/controlC%s", card + STRLEN("card"));

        g_ptr_array_add(s->strings, path);
        return path;
}

/* Until the job waits for its holders. */
static void wait_for_wait(Scene *s, const char *job, unsigned seconds) {
        g_autofree char *text = g_strdup_printf("wait up to %u s until nobody holds %s", seconds, CARD);

        sim_wait_property(s->m, job, GPUPT_JOB_INTERFACE, "Description", text);
}

static char *pid_text(pid_t pid) {
        return g_strdup_printf("pid %d", pid);
}

static void assert_running(pid_t pid) {
        g_assert_cmpint(kill(pid, 0), ==, 0);
}

static void test_in_use(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *nodes[] = { node_of(s, CARD, "card"), node_of(s, CARD, "renderD"), control_node(s, AUDIO) };

        for (size_t i = 0; i < ELEMENTSOF(nodes); i++) {
                pid_t holder = sim_hold_node(s->m, nodes[i]);
                g_autofree char *who = pid_text(holder), *line = g_strdup_printf("pid=%d", holder);
                const JobEnd *end = detach(s, CARD, "wait=0");

                assert_end(s, end, "rolled-back", "InUse");
                assert_has(end->message, who);
                assert_has(end->message, nodes[i]);
                assert_has(end->message, CARD);
                assert_has(holders_of(s, CARD), line);
                assert_has(holders_of(s, CARD), nodes[i]);
                assert_as_at_first(s);
                g_assert_cmpstr(state_of(s, CARD), ==, "host");
                assert_running(holder);
                sim_let_go(s->m, holder);
        }
        g_assert_cmpstr(holders_of(s, CARD), ==, "[]");
        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
}

/* A mapping outlives its descriptor. */
static void test_mapping(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *node = node_of(s, CARD, "renderD");
        pid_t holder = fork();

        if (holder == 0) {
                int fd = open(node, O_RDWR | O_CLOEXEC);

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
                        _exit(EXIT_FAILURE);
                (void) close(fd);
                for (;;)
                        (void) pause();
        }
        (void) sim_command(s->m, "wait-held %s yes", node);
        assert_end(s, detach(s, CARD, "wait=0"), "rolled-back", "InUse");
        sim_let_go(s->m, holder);
        assert_end(s, detach(s, CARD, "wait=0"), "done", "");
}

static void test_lets_go(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t holder = sim_hold_node(s->m, node_of(s, CARD, "card"));
        const char *job = job_start(s, "Detach", CARD, "wait=600");

        wait_for_wait(s, job, 600);
        assert_alive(s);
        sim_let_go(s->m, holder);
        assert_end(s, job_wait(s, job), "done", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void test_cancel(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t holder = sim_hold_node(s->m, node_of(s, CARD, "card"));
        const char *job = job_start(s, "Detach", CARD, "wait=600");

        wait_for_wait(s, job, 600);
        g_assert_cmpstr(job_property(s, job, "Cancellable"), ==, "true");
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        assert_as_at_first(s);
        assert_running(holder);
        /* The job's object is gone. */
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, SD_BUS_ERROR_UNKNOWN_OBJECT);
}

/* Whoever listens is asked, with the nodes, and may let go by himself. */
static void test_asked(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        g_autoptr(SimRecorder) signals = sim_recorder_new(s->m);
        const char *node = node_of(s, CARD, "card"), *path, *one;
        pid_t holder = sim_hold_node(s->m, node);
        const char *job = job_start(s, "Detach", CARD, "wait=600");
        sd_bus_message *m = sim_recorder_wait(signals, "ReleaseRequested");
        bool named = false;

        g_assert_cmpint(sd_bus_message_read(m, "o", &path), >=, 0);
        g_assert_cmpstr(path, ==, gpu_path(s, CARD));
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "s"), >=, 0);
        while (sd_bus_message_read(m, "s", &one) > 0)
                named = named || streq(one, node);
        g_assert_true(named);
        sim_let_go(s->m, holder);
        assert_end(s, job_wait(s, job), "done", "");
}

/* Sound servers go by the ACL that the seat gives them: it is dropped for the time, and put back. */
static void test_sound_acl(void) {
        /* version 2; user::rw-, user:1000:rw-, group::rw-, mask::rw-, other::--- */
        static const unsigned char acl[] = {
                2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0xe8, 3, 0, 0, 4, 0, 6, 0, 255, 255, 255, 255,
                16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        };
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *node = control_node(s, AUDIO), *job;
        unsigned char now[256];
        pid_t holder;

        if (!sim_have_users()) {
                g_test_skip("another user than one's own cannot be named in these namespaces");
                return;
        }
        g_assert_cmpint(setxattr(node, ACL, acl, sizeof(acl), 0), ==, 0);
        holder = sim_hold_node(s->m, node);
        job = job_start(s, "Detach", CARD, "wait=600");
        wait_for_wait(s, job, 600);
        g_assert_cmpint(getxattr(node, ACL, now, sizeof(now)), ==, -1);
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        g_assert_cmpint(getxattr(node, ACL, now, sizeof(now)), ==, (ssize_t) sizeof(acl));
        g_assert_cmpmem(now, sizeof(acl), acl, sizeof(acl));
        sim_let_go(s->m, holder);
}

/* ---- force ---- */

static void test_force(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t holder = sim_hold_node(s->m, node_of(s, CARD, "card"));
        pid_t bystander = sim_hold_node(s->m, node_of(s, RADEON, "card"));
        g_autofree char *step = g_strdup_printf("end %d", holder);
        g_auto(GStrv) steps = plan(s, "detach", CARD, "force wait=0", NULL);

        g_assert_true(g_strv_contains((const char *const *) steps, step));
        assert_end(s, detach(s, CARD, "force wait=0"), "done", "");
        g_assert_cmpint(sim_wait_ended(s->m, holder), ==, SIGTERM);
        assert_running(bystander);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
        sim_let_go(s->m, bystander);
}

static void test_force_stubborn(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t holder = sim_hold_node_as(s->m, node_of(s, CARD, "card"), 0, true);

        assert_end(s, detach(s, CARD, "force wait=0"), "done", "");
        g_assert_cmpint(sim_wait_ended(s->m, holder), ==, SIGKILL);
}

/* Who came after the plan was shown is not ended, but named. */
static void test_force_newcomer(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *node = node_of(s, CARD, "card"), *job;
        pid_t shown = sim_hold_node(s->m, node), newcomer;
        unsigned fault = sim_fault(s->m, CARD, "driver_override", "hang");
        g_autofree char *who = NULL;
        const JobEnd *end;

        job = job_start(s, "Detach", CARD, "force wait=0");
        sim_fault_wait(s->m, fault);
        newcomer = sim_hold_node(s->m, node_of(s, CARD, "renderD"));
        sim_fault_release(s->m, fault);
        end = job_wait(s, job);
        assert_end(s, end, "rolled-back", "InUse");
        who = pid_text(newcomer);
        assert_has(end->message, who);
        assert_running(newcomer);
        g_assert_cmpint(sim_wait_ended(s->m, shown), ==, SIGTERM);
        assert_as_at_first(s);
        sim_let_go(s->m, newcomer);
}

/* Who lets go when asked is not ended, whatever he was shown as. */
static void test_force_lets_go(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        const char *job, *node = node_of(s, CARD, "card");
        pid_t holder = sim_hold_node(s->m, node), other = process_start(s, "player", node_of(s, CARD, "renderD"));
        unsigned fault = sim_fault(s->m, CARD, "driver_override", "hang");

        job = job_start(s, "Detach", CARD, "force wait=0");
        sim_fault_wait(s->m, fault);
        sim_let_go(s->m, other);
        sim_fault_release(s->m, fault);
        assert_end(s, job_wait(s, job), "done", "");
        g_assert_cmpint(sim_wait_ended(s->m, holder), ==, SIGTERM);
}

/* A display server is ended by nobody's force. */
static void test_force_protected(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        pid_t server = process_start(s, "Xorg", node_of(s, CARD, "card"));
        pid_t leader = sim_hold_node(s->m, node_of(s, CARD, "renderD"));
        g_auto(GStrv) steps = plan(s, "detach", CARD, "force wait=0", NULL);
        g_autofree char *step = g_strdup_printf("end %d", server);
        const JobEnd *end;

        g_assert_false(g_strv_contains((const char *const *) steps, step));
        end = detach(s, CARD, "force wait=0");
        assert_end(s, end, "rolled-back", "InUse");
        assert_has(end->message, "Xorg");
        assert_running(server);
        g_assert_cmpint(sim_wait_ended(s->m, leader), ==, SIGTERM);
        assert_as_at_first(s);
        sim_let_go(s->m, server);
}

/* Of other people's processes an unprivileged caller sees what he needs to know whom to ask. */
static void test_privacy(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);
        sd_bus *user;
        pid_t foreign, own;
        const char *seen;
        g_autofree char *own_line = NULL;

        if (!sim_have_users()) {
                g_test_skip("another user than one's own does not exist in these namespaces");
                return;
        }
        user = sim_bus_new(s->m, 1000);
        foreign = sim_hold_node(s->m, node_of(s, CARD, "card"));
        own = sim_hold_node_as(s->m, node_of(s, CARD, "renderD"), 1000, false);
        seen = holders_of(s, CARD);
        assert_has(seen, "uid=0");
        assert_has(seen, "uid=1000");
        s->caller = user;
        seen = holders_of(s, CARD);
        g_assert_null(strstr(seen, "uid=0"));
        assert_has(seen, "uid=1000");
        own_line = g_strdup_printf("pid=%d", foreign);
        assert_has(seen, own_line);
        sim_let_go(s->m, foreign);
        sim_let_go(s->m, own);
        (void) sd_bus_close_unref(user);
}

int main(int argc, char *argv[]) {
        sim_init(&argc, &argv);
        g_test_add_func("/holders/in-use", test_in_use);
        g_test_add_func("/holders/mapping", test_mapping);
        g_test_add_func("/holders/lets-go", test_lets_go);
        g_test_add_func("/holders/cancel", test_cancel);
        g_test_add_func("/holders/asked", test_asked);
        g_test_add_func("/holders/sound-acl", test_sound_acl);
        g_test_add_func("/holders/force", test_force);
        g_test_add_func("/holders/force-stubborn", test_force_stubborn);
        g_test_add_func("/holders/force-newcomer", test_force_newcomer);
        g_test_add_func("/holders/force-lets-go", test_force_lets_go);
        g_test_add_func("/holders/force-protected", test_force_protected);
        g_test_add_func("/holders/privacy", test_privacy);
        return g_test_run();
}
