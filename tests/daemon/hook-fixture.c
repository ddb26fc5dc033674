/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "hook-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#define DIR_TOLD "/run/test-hooks"

/* What it is to do is in files of DIR_TOLD, one for each event; one that hangs reads from a FIFO. */
static const char script[] =
        "#!/bin/sh\n"
        "D=" DIR_TOLD "\n"
        "name=${0##*/}\n"
        "at=$D/$name-$1-$2\n"
        "env | grep -E '^GPUPT_(EVENT|OPERATION|RESULT|GPU|FUNCTIONS|VM|VM_MANAGER|SLEEP|GPUS)=' | sort >$at.env\n"
        "echo $GPUPT_JOB >$at.job\n"
        "echo \"$name $1 $2${GPUPT_RESULT:+ $GPUPT_RESULT}\" >>$D/log\n"
        "[ $# -eq 2 ] || exit 9\n"
        "[ -p $at.fifo ] && { echo >$at.asked; read -r x <$at.fifo; }\n"
        "how=$(cat $at.how 2>/dev/null)\n"
        "case $how in\n"
        "fail) echo; echo 'no, thanks' >&2; echo 'and more'; exit 3 ;;\n"
        "stay) read -r x <$D/never ;;\n"
        "remove*) rm " HOOKS "/${how#remove } ;;\n"
        "open*) chmod 777 " HOOKS "/${how#open } ;;\n"
        "esac\n"
        "exit 0\n";

static char *path_of(const char *name, const char *event, const char *suffix) {
        return g_strdup_printf(DIR_TOLD "/%s-%s.%s", name, event, suffix);
}

void hook_put(const char *name) {
        g_autofree char *path = g_strdup_printf(HOOKS "/%s", name);

        put_file(path, script);
        hook_chmod(name, 0755);
        if (access(DIR_TOLD "/log", F_OK) < 0)
                put_file(DIR_TOLD "/log", "");
        g_assert_true(mkfifo(DIR_TOLD "/never", 0600) == 0 || errno == EEXIST);
}

void hook_chmod(const char *name, unsigned mode) {
        g_autofree char *path = g_strdup_printf(HOOKS "/%s", name);

        g_assert_cmpint(chmod(path, mode), ==, 0);
}

void hook_behaves(const char *name, const char *event, const char *behaviour) {
        g_autofree char *how = path_of(name, event, "how"), *fifo = path_of(name, event, "fifo"), *asked = path_of(name, event, "asked");

        if (g_str_equal(behaviour, "hang")) {
                g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
                g_assert_true(mkfifo(asked, 0600) == 0 || errno == EEXIST);
        } else
                put_file(how, *behaviour ? behaviour : NULL);
}

/* Both ends of a FIFO meet when it is opened. */
void hook_wait(const char *name, const char *event) {
        g_autofree char *path = path_of(name, event, "asked");
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        char text[8];

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint((int) read(fd, text, sizeof(text)), >=, 0);
}

void hook_goes_on(const char *name, const char *event) {
        g_autofree char *path = path_of(name, event, "fifo");
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        /* Should it be called once more, it does not hang again. */
        (void) unlink(path);
        g_assert_cmpint((int) write(fd, "\n", 1), ==, 1);
}

const char *hook_log(Scene *s) {
        g_autofree char *text = NULL;
        char *joined;

        g_assert_true(g_file_get_contents(DIR_TOLD "/log", &text, NULL, NULL));
        put_file(DIR_TOLD "/log", "");
        g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
        joined = g_strjoinv(", ", lines);
        g_ptr_array_add(s->strings, joined);
        return joined;
}

const char *hook_environment(Scene *s, const char *name, const char *event) {
        g_autofree char *path = path_of(name, event, "env"), *text = NULL;
        GString *out = g_string_new(NULL);

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
        for (char **line = lines; *line; line++)
                g_string_append_printf(out, "%s%s", out->len > 0 ? "; " : "", *line + strlen("GPUPT_"));
        g_ptr_array_add(s->strings, out->str);
        return g_string_free(out, false);
}

unsigned hook_job(const char *name, const char *event) {
        g_autofree char *path = path_of(name, event, "job"), *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return (unsigned) strtoul(text, NULL, 10);
}
