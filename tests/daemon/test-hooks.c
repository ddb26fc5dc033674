/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-hooks: the administrator's programs are told when a card moves: in which order and words, what their refusal does, that
 * none of them keeps a card from being anywhere for longer than its deadline, and that whoever was told that something is about to
 * happen is told what came of it. */

#include "hook-fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#define CARD "0000:08:00.0"
#define AUDIO "0000:08:00.1"
#define CONFIG "/etc/gpuptd/gpuptd.conf"
/* Whoever hangs is ended soon, and nobody else although the machine may have much to do. */
#define SOON "[Hooks]\nTimeoutSec=5\n"
#define LATE "[Hooks]\nTimeoutSec=10min\n"

static Scene *hook_scene(const char *config) {
        Scene *s = scene_new("desktop", CONFIG, config, NULL);

        hook_put("10-a");
        hook_put("20-b");
        return s;
}

static void move_to(Scene *s, const char *act) {
        if (g_str_equal(act, "detach"))
                return;
        assert_end(s, detach(s, CARD, ""), "done", "");
        (void) hook_log(s);
}

static const JobEnd *move(Scene *s, const char *act) {
        return g_str_equal(act, "detach") ? detach(s, CARD, "") : attach(s, CARD, "");
}

/* Where it is before, or after, that. */
static const char *state_when(const char *when, const char *act) {
        return g_str_equal(act, "detach") == g_str_equal(when, "pre") ? "host" : "detached";
}

static const char *textf(Scene *s, const char *format, ...) G_GNUC_PRINTF(2, 3);
static const char *textf(Scene *s, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_ptr_array_add(s->strings, g_strdup_vprintf(format, ap));
        va_end(ap);
        return s->strings->pdata[s->strings->len - 1];
}

#define assert_log(s, ...) g_assert_cmpstr(hook_log(s), ==, textf(s, __VA_ARGS__))

/* ---- what they are told ---- */

static void test_told(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        const JobEnd *end;

        end = detach(s, CARD, "");
        assert_end(s, end, "done", "");
        g_assert_cmpstr(end->message, ==, CARD " is now with its VFIO driver.");
        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done");
        g_assert_cmpstr(hook_environment(s, "10-a", "pre-detach"), ==,
                        "EVENT=pre-detach; FUNCTIONS=" CARD " " AUDIO "; GPU=" CARD "; OPERATION=detach");
        g_assert_cmpstr(hook_environment(s, "20-b", "post-detach"), ==,
                        "EVENT=post-detach; FUNCTIONS=" CARD " " AUDIO "; GPU=" CARD "; OPERATION=detach; RESULT=done");
        g_assert_cmpuint(hook_job("10-a", "pre-detach"), ==, end->id);
        g_assert_cmpuint(hook_job("20-b", "post-detach"), ==, end->id);

        end = attach(s, CARD, "");
        assert_end(s, end, "done", "");
        assert_log(s, "10-a pre attach, 20-b pre attach, 10-a post attach done, 20-b post attach done");
        g_assert_cmpstr(hook_environment(s, "20-b", "pre-attach"), ==,
                        "EVENT=pre-attach; FUNCTIONS=" CARD " " AUDIO "; GPU=" CARD "; OPERATION=attach");
        g_assert_cmpuint(hook_job("20-b", "post-attach"), ==, end->id);
        assert_as_at_first(s);

        /* What is where it is to be does not move. */
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_log(s, "%s", "");
}

/* Each is a step that is shown before. */
static void test_plan(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        g_auto(GStrv) steps = plan(s, "detach", CARD, "", NULL);
        g_autofree char *text = g_strjoinv("\n", steps);

        assert_has(text, "\nhook 10-a\nhook 20-b\npin-power");
        g_assert_true(g_str_has_suffix(text, "\nhook 10-a\nhook 20-b"));
        assert_log(s, "%s", "");
}

static const JobEnd *phase(Scene *s, const char *vm, const char *name) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *job;

        g_assert_cmpint(sd_bus_call_method(s->caller, GPUPT_BUS_NAME, gpu_path(s, CARD), GPUPT_GPU_INTERFACE, "VmPhase", NULL, &reply,
                                           "sssa{sv}", "libvirt", vm, name, 0),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_read(reply, "o", &job), >=, 0);
        return job_wait(s, job);
}

/* The VM is named; what its manager wrote into the name cannot harm a script. After its stop the card does not change hands. */
static void test_phase(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        const char *phases[] = { "pre-start", "post-start", "pre-stop", "post-stop" };

        for (size_t i = 0; i < ELEMENTSOF(phases); i++) {
                assert_end(s, phase(s, "win (10) $(x)", phases[i]), "done", "");
                if (i == 0) {
                        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done");
                        g_assert_cmpstr(hook_environment(s, "10-a", "post-detach"), ==,
                                        "EVENT=post-detach; FUNCTIONS=" CARD " " AUDIO "; GPU=" CARD
                                        "; OPERATION=phase; RESULT=done; VM=win _10_ __x_; VM_MANAGER=libvirt");
                }
        }
        assert_log(s, "%s", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
        (void) hook_log(s);

        /* Nor does a VM start that a hook refuses. */
        hook_behaves("10-a", "pre-detach", "fail");
        assert_end(s, phase(s, "win10", "pre-start"), "rolled-back", "Failed");
        assert_log(s, "10-a pre detach, 10-a post detach failed");
        assert_as_at_first(s);
}

/* For the life of a command. */
static void test_lease(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        const char *job;
        int fd = acquire(s, CARD, "", &job, NULL);

        g_assert_cmpint(fd, >=, 0);
        assert_end(s, job_wait(s, job), "done", "");
        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done");
        (void) close(fd);
        wait_state(s, CARD, "host");
        assert_log(s, "10-a pre attach, 20-b pre attach, 10-a post attach done, 20-b post attach done");
        assert_as_at_first(s);
}

/* Nobody has asked for it but the VM, by its end. */
static void test_after_vm(void) {
        g_autoptr(Scene) s = scene_new("desktop", "/etc/gpuptd/card.gpu", "[Match]\nAddress=" CARD "\n[Gpu]\nAfterVm=attach\n", NULL);
        pid_t vm;

        assert_end(s, detach(s, CARD, ""), "done", "");
        hook_put("10-a");
        vm = vm_start(s, "win10", "/dev/vfio/15");
        wait_state(s, CARD, "assigned");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "host");
        assert_log(s, "10-a pre attach, 10-a post attach done");
}

/* A reset takes it from its driver and back, and nobody is told. */
static void test_reset(void) {
        g_autoptr(Scene) s = hook_scene(LATE);

        move_to(s, "attach");
        assert_end(s, run_job(s, "Reset", CARD, "method=remove-rescan"), "done", "");
        assert_log(s, "%s", "");
        wait_state(s, CARD, "detached");
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_as_at_first(s);
}

static void take_off_the_bus(Scene *s) {
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" AUDIO "/remove", "1"), ==, 0);
        g_assert_cmpint(sim_write(s->m, "bus/pci/devices/" CARD "/remove", "1"), ==, 0);
        wait_state(s, CARD, "absent");
}

/* The kernel gives it to the host's driver when it is found again: to take it from that again is not what hooks are told of. */
static void test_comes_back(void) {
        g_autoptr(Scene) s = hook_scene(LATE);

        move_to(s, "attach");
        take_off_the_bus(s);
        assert_end(s, run_job(s, "Recover", CARD, ""), "done", "");
        assert_log(s, "%s", "");
        wait_state(s, CARD, "detached");
        take_off_the_bus(s);
        assert_end(s, phase(s, "win10", "pre-start"), "done", "");
        assert_log(s, "%s", "");
        assert_end(s, attach(s, CARD, ""), "done", "");
        (void) hook_log(s);
        assert_as_at_first(s);

        /* But one that the host had. */
        take_off_the_bus(s);
        assert_end(s, phase(s, "win10", "pre-start"), "done", "");
        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done");
}

/* ---- what they answer ---- */

typedef struct Event {
        const char *when, *act;
} Event;

static void assert_still(Scene *s, const Event *e) {
        g_assert_cmpstr(state_of(s, CARD), ==, state_when("pre", e->act));
        if (g_str_equal(e->act, "detach"))
                assert_as_at_first(s);
}

static void assert_refused(Scene *s, const Event *e, const char *error, const char *words) {
        const JobEnd *end = move(s, e->act);

        assert_end(s, end, "rolled-back", error);
        assert_has(end->message, words);
        assert_has(end->message, "20-b");
        assert_has(end->message, CARD);
        assert_has(end->message, "OnError=");
        assert_log(s, "10-a pre %s, 20-b pre %s, 20-b post %s failed, 10-a post %s failed", e->act, e->act, e->act, e->act);
        assert_still(s, e);
}

static void assert_done_all_the_same(Scene *s, const Event *e, const char *words) {
        const JobEnd *end = move(s, e->act);

        assert_end(s, end, "done", "");
        assert_has(end->message, words);
        assert_has(end->message, textf(s, "the hook 20-b has failed (%s %s)", e->when, e->act));
        assert_has(sim_daemon_log(s->m), "the hook 20-b has failed");
        assert_log(s, "10-a pre %s, 20-b pre %s, 10-a post %s done, 20-b post %s done", e->act, e->act, e->act, e->act);
        g_assert_cmpstr(state_of(s, CARD), ==, state_when("post", e->act));
}

static void test_fails(const void *data) {
        const Event *e = data;
        g_autoptr(Scene) s = hook_scene(LATE);

        move_to(s, e->act);
        hook_behaves("20-b", textf(s, "%s-%s", e->when, e->act), "fail");
        if (g_str_equal(e->when, "post"))
                assert_done_all_the_same(s, e, "20-b ended with status 3: no, thanks");
        else
                assert_refused(s, e, "Failed", "20-b ended with status 3: no, thanks");
        assert_has(sim_daemon_log(s->m), "hook 20-b: and more");
        hook_behaves("20-b", textf(s, "%s-%s", e->when, e->act), "");
        if (g_str_equal(e->when, "pre"))
                assert_end(s, move(s, e->act), "done", "");
}

/* It costs its deadline, and nothing else; the daemon answers meanwhile. */
static void test_hangs(const void *data) {
        const Event *e = data;
        g_autoptr(Scene) s = hook_scene(LATE);

        move_to(s, e->act);
        put_file(CONFIG, SOON);
        g_assert_cmpstr(manager_call(s, "Reload", NULL, ""), ==, "");
        hook_behaves("20-b", textf(s, "%s-%s", e->when, e->act), "stay");
        if (g_str_equal(e->when, "post"))
                assert_done_all_the_same(s, e, "did not end in its time");
        else
                assert_refused(s, e, "Timeout", "did not end in its time");
        assert_alive(s);
}

static void test_continue(const void *data) {
        const Event *e = data;
        g_autoptr(Scene) s = hook_scene("[Hooks]\nTimeoutSec=10min\nOnError=continue\n");

        move_to(s, e->act);
        hook_behaves("20-b", textf(s, "pre-%s", e->act), "fail");
        assert_done_all_the_same(s, e, "20-b ended with status 3: no, thanks");
}

/* It cannot be told that it came to nothing: it is all the same that it did. */
static void test_deaf(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        const JobEnd *end;

        hook_behaves("20-b", "pre-detach", "fail");
        hook_behaves("10-a", "post-detach", "fail");
        end = detach(s, CARD, "");
        assert_end(s, end, "rolled-back", "Failed");
        assert_has(end->message, "Everything was undone. But the hook 10-a has failed (post detach)");
        assert_log(s, "10-a pre detach, 20-b pre detach, 20-b post detach failed, 10-a post detach failed");
        assert_as_at_first(s);
}

/* Nor does it keep the card half-way. */
static void test_deaf_hangs(void) {
        g_autoptr(Scene) s = hook_scene(SOON);
        const JobEnd *end;

        hook_behaves("20-b", "pre-detach", "fail");
        hook_behaves("20-b", "post-detach", "stay");
        end = detach(s, CARD, "");
        assert_end(s, end, "rolled-back", "Failed");
        assert_has(end->message, "Everything was undone. But the hook 20-b has failed (post detach): 20-b did not end in its time");
        assert_log(s, "10-a pre detach, 20-b pre detach, 20-b post detach failed, 10-a post detach failed");
        assert_as_at_first(s);
}

/* ---- what else goes wrong ---- */

static void test_rollback(void) {
        g_autoptr(Scene) s = hook_scene(LATE);

        (void) sim_fault(s->m, "vfio-pci", "bind", "errno=EIO");
        assert_end(s, detach(s, CARD, ""), "rolled-back", "Failed");
        assert_log(s, "10-a pre detach, 20-b pre detach, 20-b post detach failed, 10-a post detach failed");
        g_assert_cmpstr(hook_environment(s, "10-a", "post-detach"), ==,
                        "EVENT=post-detach; FUNCTIONS=" CARD " " AUDIO "; GPU=" CARD "; OPERATION=detach; RESULT=failed");
        assert_as_at_first(s);
}

/* Who is in the way is found by the census, after they were told. */
static void test_in_use(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        pid_t player = process_start(s, "player", node_of(s, CARD, "card"));

        assert_end(s, detach(s, CARD, "wait=0"), "rolled-back", "InUse");
        assert_log(s, "10-a pre detach, 20-b pre detach, 20-b post detach failed, 10-a post detach failed");
        sim_let_go(s->m, player);
        assert_as_at_first(s);
}

/* A VM opens the card while a hook thinks: the unbind would wait for its end. */
static void test_opened(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        const JobEnd *end;
        const char *job;
        pid_t vm;

        move_to(s, "attach");
        hook_behaves("20-b", "pre-attach", "hang");
        job = job_start(s, "Attach", CARD, "");
        hook_wait("20-b", "pre-attach");
        vm = vm_start(s, "win10", "/dev/vfio/15");
        hook_goes_on("20-b", "pre-attach");
        end = job_wait(s, job);
        assert_end(s, end, "rolled-back", "InUse");
        assert_log(s, "10-a pre attach, 20-b pre attach, 20-b post attach failed, 10-a post attach failed");
        sim_let_go(s->m, vm);
        wait_state(s, CARD, "detached");
}

/* Nothing is told twice: what is said to be done is not taken back. */
static void test_cancel(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        const char *job;

        hook_behaves("10-a", "pre-detach", "hang");
        job = job_start(s, "Detach", CARD, "");
        hook_wait("10-a", "pre-detach");
        g_assert_cmpstr(job_property(s, job, "Cancellable"), ==, "true");
        g_assert_cmpstr(job_call(s, job, "Cancel", NULL, ""), ==, "");
        hook_goes_on("10-a", "pre-detach");
        assert_end(s, job_wait(s, job), "cancelled", "Cancelled");
        assert_log(s, "10-a pre detach, 10-a post detach failed");
        assert_as_at_first(s);

        hook_behaves("10-a", "post-detach", "hang");
        job = job_start(s, "Detach", CARD, "");
        hook_wait("10-a", "post-detach");
        g_assert_cmpstr(job_property(s, job, "Cancellable"), ==, "false");
        (void) job_call(s, job, "Cancel", NULL, "");
        hook_goes_on("10-a", "post-detach");
        assert_end(s, job_wait(s, job), "done", "");
        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done");
}

/* ---- the daemon dies ---- */

/* One that runs when the daemon dies is waited for, or told again; the others are told once. */
static void assert_told(Scene *s, const Event *e, const char *result) {
        g_auto(GStrv) lines = g_strsplit(hook_log(s), ", ", -1);
        static const char *const names[] = { "10-a", "20-b" }, *const times[] = { "pre", "post" };

        for (size_t i = 0; i < 4; i++) {
                const char *name = names[i % 2], *when = times[i / 2];
                const char *line = textf(s, "%s %s %s%s%s", name, when, e->act, i < 2 ? "" : " ", i < 2 ? "" : result);
                unsigned n = 0;

                for (char **l = lines; *l; l++)
                        n += g_str_equal(*l, line);
                g_test_message("%s: %u times", line, n);
                g_assert_cmpuint(n, >=, 1);
                if (!g_str_equal(name, "10-a") || !g_str_equal(when, e->when))
                        g_assert_cmpuint(n, ==, 1);
        }
        for (char **l = lines; *l; l++)
                if (strstr(*l, " post "))
                        g_assert_true(g_str_has_suffix(*l, result));
}

static void test_killed(const void *data) {
        const Event *e = data;
        g_autoptr(Scene) s = hook_scene(LATE);
        const char *job, *event = textf(s, "%s-%s", e->when, e->act);

        move_to(s, e->act);
        hook_behaves("10-a", event, "hang");
        job = job_start(s, g_str_equal(e->act, "detach") ? "Detach" : "Attach", CARD, "");
        hook_wait("10-a", event);
        sim_daemon_kill(s->m);
        scene_start(s);
        hook_goes_on("10-a", event);
        assert_end(s, job_wait(s, job), "done", "");
        assert_told(s, e, "done");
        g_assert_cmpstr(state_of(s, CARD), ==, state_when("post", e->act));
}

/* A daemon that dies over it again and again gives up: before, all is undone; after, what is done stays done. */
static void test_killed_again(const void *data) {
        const Event *e = data;
        g_autoptr(Scene) s = hook_scene(LATE);
        const char *job, *event = textf(s, "%s-%s", e->when, e->act);
        bool after = g_str_equal(e->when, "post");

        move_to(s, e->act);
        hook_behaves("10-a", event, "hang");
        job = job_start(s, g_str_equal(e->act, "detach") ? "Detach" : "Attach", CARD, "");
        hook_wait("10-a", event);
        for (unsigned i = 0; i < 2; i++) {
                sim_daemon_kill(s->m);
                scene_start(s);
        }
        if (after)
                assert_end(s, job_wait(s, job), "done", "");
        else
                assert_end(s, job_wait(s, job), "rolled-back", "Failed");
        g_assert_cmpstr(state_of(s, CARD), ==, state_when(after ? "post" : "pre", e->act));
        if (after)
                assert_told(s, e, "done");
        else
                assert_log(s, "10-a pre %s, 10-a post %s failed", e->act, e->act);
        hook_goes_on("10-a", event);
}

/* While they are told that it came to nothing. */
static void test_killed_undoing(void) {
        static const Event e = { "post", "detach" };
        g_autoptr(Scene) s = hook_scene(LATE);
        const char *job;

        hook_behaves("20-b", "pre-detach", "fail");
        hook_behaves("10-a", "post-detach", "hang");
        job = job_start(s, "Detach", CARD, "");
        hook_wait("10-a", "post-detach");
        sim_daemon_kill(s->m);
        scene_start(s);
        hook_goes_on("10-a", "post-detach");
        assert_end(s, job_wait(s, job), "rolled-back", "Failed");
        assert_told(s, &e, "failed");
        assert_as_at_first(s);
}

/* ---- who may be one ---- */

static void test_strangers(void) {
        g_autoptr(Scene) s = hook_scene(LATE);
        bool users = sim_have_users();

        hook_put("30-off");
        hook_chmod("30-off", 0644);
        hook_put("40-group");
        hook_chmod("40-group", 0775);
        hook_put("50-foreign");
        if (users)
                g_assert_cmpint(chown(HOOKS "/50-foreign", 1000, 0), ==, 0);
        else
                put_file(HOOKS "/50-foreign", NULL);
        assert_end(s, detach(s, CARD, ""), "done", "");
        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done, 20-b post detach done");
        assert_has(sim_daemon_log(s->m), HOOKS "/40-group is not run as a hook: others than its owner may write to it.");
        if (users)
                assert_has(sim_daemon_log(s->m), HOOKS "/50-foreign is not run as a hook: it does not belong to root.");
        g_assert_null(strstr(sim_daemon_log(s->m), "30-off"));

        /* Whoever may put files there may do anything. */
        g_assert_cmpint(chmod(HOOKS, 0775), ==, 0);
        assert_end(s, attach(s, CARD, ""), "done", "");
        assert_log(s, "%s", "");
        assert_has(sim_daemon_log(s->m), HOOKS " is not used: others than its owner may write to it.");
        g_assert_cmpint(chmod(HOOKS, 0755), ==, 0);
}

/* ID, result and summary of what Check() says of hooks, a line each. */
static const char *check_hooks(Scene *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *id, *result, *summary, *hint;
        GString *out = g_string_new("");

        g_assert_cmpint(sd_bus_call_method(s->caller, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "Check", NULL, &reply,
                                           NULL),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_enter_container(reply, 'a', "(ssss)"), >=, 0);
        while (sd_bus_message_read(reply, "(ssss)", &id, &result, &summary, &hint) > 0)
                if (g_str_equal(id, "software.hooks"))
                        g_string_append_printf(out, "%s %s%s%s\n", result, summary, *hint ? " " : "", hint);
        g_ptr_array_add(s->strings, out->str);
        return g_string_free(out, false);
}

static void test_check(void) {
        g_autoptr(Scene) s = scene_new("desktop", NULL);

        g_assert_cmpstr(check_hooks(s), ==, "");
        hook_put("20-b");
        hook_put("10-a");
        hook_put("30-c");
        hook_chmod("30-c", 0757);
        g_assert_cmpstr(check_hooks(s), ==,
                        "warn " HOOKS "/30-c is not run as a hook: others than its owner may write to it. "
                        "See WHICH FILES ARE HOOKS in gpuptd.hooks(7).\n"
                        "ok Told when a card moves or the host sleeps: 10-a, 20-b\n");
}

/* Between the plan and its turn a hook goes, or comes into other hands. */
static void test_changed(void) {
        static const struct {
                const char *how, *words, *log;
        } rows[] = {
                { "remove 20-b", "it is not there any more", "10-a pre detach, 10-a post detach failed" },
                { "open 20-b", "others than its owner may write to it", "10-a pre detach, 10-a post detach failed" },
        };
        g_autoptr(Scene) s = hook_scene(LATE);
        const JobEnd *end;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                hook_put("20-b");
                hook_behaves("10-a", "pre-detach", rows[i].how);
                end = detach(s, CARD, "");
                assert_end(s, end, "rolled-back", "Failed");
                assert_has(end->message, HOOKS "/20-b was not run: ");
                assert_has(end->message, rows[i].words);
                assert_log(s, "%s", rows[i].log);
                assert_as_at_first(s);
        }
        /* Who is not there after it has nothing to be told. */
        hook_put("20-b");
        hook_behaves("10-a", "pre-detach", "");
        hook_behaves("10-a", "post-detach", "remove 20-b");
        end = detach(s, CARD, "");
        assert_end(s, end, "done", "");
        assert_has(end->message, "the hook 20-b has failed (post detach)");
        assert_log(s, "10-a pre detach, 20-b pre detach, 10-a post detach done");
}

static void add(const char *name, const Event *e, GTestDataFunc test) {
        g_autofree char *path = g_strdup_printf("/hooks/%s/%s-%s", name, e->when, e->act);

        g_test_add_data_func(path, e, test);
}

int main(int argc, char *argv[]) {
        static const Event events[] = { { "pre", "detach" }, { "post", "detach" }, { "pre", "attach" }, { "post", "attach" } };

        sim_init(&argc, &argv);
        g_test_add_func("/hooks/told", test_told);
        g_test_add_func("/hooks/plan", test_plan);
        g_test_add_func("/hooks/phase", test_phase);
        g_test_add_func("/hooks/lease", test_lease);
        g_test_add_func("/hooks/after-vm", test_after_vm);
        g_test_add_func("/hooks/reset", test_reset);
        g_test_add_func("/hooks/comes-back", test_comes_back);
        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                add("fails", events + i, test_fails);
                add("hangs", events + i, test_hangs);
                add("killed", events + i, test_killed);
                add("killed-again", events + i, test_killed_again);
                if (g_str_equal(events[i].when, "pre"))
                        add("continue", events + i, test_continue);
        }
        g_test_add_func("/hooks/deaf", test_deaf);
        g_test_add_func("/hooks/deaf-hangs", test_deaf_hangs);
        g_test_add_func("/hooks/killed-undoing", test_killed_undoing);
        g_test_add_func("/hooks/rollback", test_rollback);
        g_test_add_func("/hooks/in-use", test_in_use);
        g_test_add_func("/hooks/opened", test_opened);
        g_test_add_func("/hooks/cancel", test_cancel);
        g_test_add_func("/hooks/strangers", test_strangers);
        g_test_add_func("/hooks/check", test_check);
        g_test_add_func("/hooks/changed", test_changed);
        return g_test_run();
}
