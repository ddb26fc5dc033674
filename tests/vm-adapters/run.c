/* SPDX-License-Identifier: GPL-2.0-or-later */

/* run: owns nothing beyond the call. */

#include "run.h"

#include <string.h>
#include <sys/wait.h>

#include "util/cleanup.h"

Run *run_adapter(const char *adapter, char *const *environment, const char *const *arguments) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autoptr(GError) error = NULL;
        Run *r = g_new0(Run, 1);
        size_t n;
        int status;

        g_ptr_array_add(argv, (char *) adapter);
        for (const char *const *a = arguments; *a; a++)
                g_ptr_array_add(argv, (char *) *a);
        g_ptr_array_add(argv, NULL);
        g_spawn_sync(NULL, (char **) argv->pdata, (char **) environment, G_SPAWN_DEFAULT, NULL, NULL, &r->output, NULL, &status, &error);
        g_assert_no_error(error);
        r->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        n = strlen(r->output);
        g_test_message("%s %s: %d %s", adapter, arguments[0] ?: "", r->status, r->output);
        g_assert_true(n > 0 && strchr(r->output, '\n') == r->output + n - 1);
        r->answer = json_tokener_parse(r->output);
        g_assert_true(json_object_is_type(r->answer, json_type_object));
        return r;
}

void run_free(Run *r) {
        g_free(r->output);
        json_object_put(r->answer);
        g_free(r);
}

const char *run_string(const Run *r, const char *key) {
        json_object *value;

        return json_object_object_get_ex(r->answer, key, &value) ? json_object_get_string(value) : "";
}

bool run_flag(const Run *r, const char *key) {
        json_object *value;

        return json_object_object_get_ex(r->answer, key, &value) && json_object_get_boolean(value);
}

void run_assert(const Run *r, int wanted, const char *file, int line) {
        if (r->status == wanted)
                return;
        g_error("%s:%d: exit status %d instead of %d: %s", file, line, r->status, wanted, r->output);
}
