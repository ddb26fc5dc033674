/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sleep-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#define VM_DIR "/run/test-vm"
#define ADAPTER_DIR "/run/test-vm.d"

/* What it is told is in files of VM_DIR; a verb that hangs reads from a FIFO of its name. */
static const char adapter[] =
        "#!/bin/sh\n"
        "D=" VM_DIR "\n"
        "case $1 in --timeout=*) shift ;; esac\n"
        "verb=$1\n"
        "how=$(cat $D/$verb.how 2>/dev/null)\n"
        "at=$verb\n"
        "[ $verb = identify ] && { echo $2 >$D/pid; [ -p $D/identify-$2.fifo ] && at=identify-$2; }\n"
        "echo $verb >>$D/log\n"
        "[ -p $D/$at.fifo ] && { echo >$D/$at.asked; read -r x <$D/$at.fifo; }\n"
        "case $how in\n"
        "fail) echo '{\"error\":\"refused\",\"reason\":\"it says no\"}'; exit 1 ;;\n"
        "lies) echo '{\"state\":\"running\",\"changed\":true}'; exit 0 ;;\n"
        "garbage) echo 'no json'; exit 0 ;;\n"
        "esac\n"
        "state=$(cat $D/state)\n"
        "can() { grep -qw $1 $D/can && echo true || echo false; }\n"
        "become() { echo $1 >$D/state; echo \"{\\\"state\\\":\\\"$1\\\",\\\"changed\\\":true}\"; }\n"
        "end() { become off; kill -9 $(cat $D/pid) 2>/dev/null; }\n"
        "case $verb in\n"
        "identify) echo '{\"id\":\"vm-1\",\"name\":\"win10\"}' ;;\n"
        "status) echo \"{\\\"state\\\":\\\"$state\\\"}\" ;;\n"
        "capabilities) echo \"{\\\"state\\\":\\\"$state\\\",\\\"agent\\\":true,\\\"s3\\\":$(can s3),\\\"s4\\\":$(can "
        "s4),\\\"restart\\\":$(can restart)}\" ;;\n"
        "pause) become paused ;;\n"
        "suspend) become suspended ;;\n"
        "resume | wake | start) become running ;;\n"
        "hibernate | shutdown | kill) end ;;\n"
        "*) exit 3 ;;\n"
        "esac\n";

static void put_word(const char *name, const char *text) {
        g_autofree char *path = g_strdup_printf(VM_DIR "/%s", name);

        put_file(path, text);
}

Scene *sleep_scene(const char *policy) {
        static const char *const environment[] = { "GPUPT_VM_DIR=" ADAPTER_DIR, NULL };
        g_autofree char *config =
                g_strdup_printf("[Match]\nAddress=" CARD "\n[Gpu]\nAfterVm=heal\n[Sleep]\n%s\n", policy);
        Scene *s = scene_new_without_daemon("desktop");

        s->environment = environment;
        put_file("/etc/gpuptd/card.gpu", config);
        put_file(ADAPTER_DIR "/test", adapter);
        g_assert_cmpint(chmod(ADAPTER_DIR "/test", 0755), ==, 0);
        put_word("state", "running\n");
        put_word("can", "\n");
        put_word("log", "");
        scene_start(s);
        assert_end(s, detach(s, CARD, ""), "done", "");
        return s;
}

pid_t vm_opens(Scene *s) {
        pid_t pid = vm_start(s, "win10", VFIO_NODE);

        wait_state(s, CARD, "assigned");
        return pid;
}

void vm_can(const char *capabilities) {
        g_autofree char *line = g_strdup_printf("%s\n", capabilities);

        put_word("can", line);
}

void vm_says(const char *state) {
        g_autofree char *line = g_strdup_printf("%s\n", state);

        put_word("state", line);
}

void vm_behaves(const char *verb, const char *behaviour) {
        g_autofree char *how = g_strdup_printf("%s.how", verb), *fifo = g_strdup_printf(VM_DIR "/%s.fifo", verb),
                        *asked = g_strdup_printf(VM_DIR "/%s.asked", verb);

        if (g_str_equal(behaviour, "hang")) {
                g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
                g_assert_true(mkfifo(asked, 0600) == 0 || errno == EEXIST);
        } else
                put_word(how, *behaviour ? behaviour : NULL);
}


/* Both ends of a FIFO meet when it is opened. */
void vm_wait_asked(Scene *s, const char *verb) {
        g_autofree char *path = g_strdup_printf(VM_DIR "/%s.asked", verb);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[8];

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(read(fd, text, sizeof(text)), >=, 0);
}

void vm_goes_on(const char *verb) {
        g_autofree char *path = g_strdup_printf(VM_DIR "/%s.fifo", verb);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        (void) unlink(path);
        g_assert_cmpint(write(fd, "\n", 1), ==, 1);
}

const char *vm_log(Scene *s) {
        static const char *const questions[] = { "identify", "status", "capabilities", NULL };
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        GString *out = g_string_new(NULL);

        g_assert_true(g_file_get_contents(VM_DIR "/log", &text, NULL, NULL));
        put_word("log", "");
        lines = g_strsplit(text, "\n", -1);
        for (char **l = lines; *l; l++)
                if (**l && !g_strv_contains(questions, *l))
                        g_string_append_printf(out, "%s%s", out->len > 0 ? " " : "", *l);
        g_ptr_array_add(s->strings, out->str);
        return g_string_free(out, false);
}

const char *vm_state(Scene *s) {
        char *text = NULL;

        g_assert_true(g_file_get_contents(VM_DIR "/state", &text, NULL, NULL));
        g_ptr_array_add(s->strings, text);
        return g_strchomp(text);
}

/* ---- the gate ---- */

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Gate *g = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        g->answered = true;
        g->error = g_strdup(e ? short_name(e->name) : "");
        g->message = g_strdup(e ? e->message : "");
        return 0;
}

Gate *gate_call(Scene *s, const char *method) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        Gate *g = g_new0(Gate, 1);

        g->scene = s;
        g->bus = sim_bus_new(s->m, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(g->bus, &m, GPUPT_BUS_NAME, GPUPT_OBJECT_PATH,
                                                       GPUPT_MANAGER_INTERFACE, method),
                        >=, 0);
        if (g_str_equal(method, "PrepareSleep"))
                g_assert_cmpint(sd_bus_message_append(m, "s", ""), >=, 0);
        g_assert_cmpint(sd_bus_call_async(g->bus, &g->slot, m, on_answer, g, UINT64_MAX), >=, 0);
        g_assert_cmpint(sd_bus_flush(g->bus), >=, 0);
        return g;
}

const char *gate_wait(Gate *g) {
        gint64 deadline = g_get_monotonic_time() + sim_deadline_sec() * G_USEC_PER_SEC;

        while (!g->answered) {
                if (g_get_monotonic_time() >= deadline)
                        g_error("The gate was not answered.\n%s", sim_daemon_log(g->scene->m));
                if (sd_bus_process(g->bus, NULL) == 0)
                        (void) sd_bus_wait(g->bus, 100000);
        }
        return g->error;
}

void gate_free(Gate *g) {
        sd_bus_slot_unref(g->slot);
        sd_bus_flush_close_unref(g->bus);
        g_free(g->error);
        g_free(g->message);
        g_free(g);
}

const char *gate(Scene *s, const char *method) {
        Gate *g = gate_call(s, method);
        char *error = g_strdup(gate_wait(g));

        g_ptr_array_add(s->strings, error);
        gate_free(g);
        return error;
}

/* ---- the report ---- */

const char *last_sleep(Scene *s, const char *key) {
        const char *text = property_text(s, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "LastSleep"), *at;
        g_autofree char *begin = g_strdup_printf("%s=", key);

        if (!key[0])
                return text;
        at = strstr(text, begin);
        if (!at)
                return "";
        at += strlen(begin);
        g_ptr_array_add(s->strings, g_strndup(at, strcspn(at, " }")));
        return s->strings->pdata[s->strings->len - 1];
}

const char *host_job_end(Scene *s, SimRecorder *signals) {
        const char *gpu, *result, *error;

        for (;;) {
                sd_bus_message *m = sim_recorder_wait(signals, "JobRemoved");

                g_assert_cmpint(sd_bus_message_read(m, "uosss", NULL, NULL, &gpu, &result, &error), >=, 0);
                if (*gpu)
                        continue;
                g_ptr_array_add(s->strings, g_strdup_printf("%s%s%s", result, *error ? " " : "", short_name(error)));
                return s->strings->pdata[s->strings->len - 1];
        }
}
