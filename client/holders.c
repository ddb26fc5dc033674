/* SPDX-License-Identifier: GPL-2.0-or-later */

/* holders: the processes and the VM that use a GPU, as text and as a table. Several verbs show them. */

#include "client/holders.h"

#include <inttypes.h>
#include <pwd.h>

static const TableColumn columns[] = {
        { "PID", SCOLS_FL_RIGHT },
        { "COMMAND", SCOLS_FL_WRAP },
        { "USER", 0 },
        { "UNIT", SCOLS_FL_WRAP },
        { "SESSION", 0 },
        { "MACHINE", 0 },
        { "NODES", SCOLS_FL_WRAP },
};

char *vm_text(json_object *gpu) {
        json_object *vm = json_array(gpu, "virtual-machine");
        const char *manager, *name;
        char *text;

        if (!vm || json_object_array_length(vm) < 2)
                return strdup("");
        manager = strempty(json_object_get_string(json_object_array_get_idx(vm, 0)));
        name = strempty(json_object_get_string(json_object_array_get_idx(vm, 1)));

        if (!*manager || !*name)
                return strdup(*name ? name : manager);
        return asprintf(&text, "%s (%s)", name, manager) < 0 ? NULL : text;
}

char *holders_text(json_object *holders) {
        size_t n = json_object_array_length(holders);
        json_object *first;
        char more[32] = "", *text;

        if (n == 0)
                return strdup("");
        if (n > 1)
                (void) snprintf(more, sizeof(more), " +%zu", n - 1);

        first = json_object_array_get_idx(holders, 0);
        if (asprintf(&text, "%s[%" PRIu64 "]%s", json_string(first, "command"), json_number(first, "pid"),
                     more) < 0)
                return NULL;
        return text;
}

/* The name of a user, or the number where there is no name. */
static void user_text(json_object *holder, bool local, char *buffer, size_t size) {
        uint64_t uid = json_number(holder, "uid");
        const struct passwd *pw;

        *buffer = '\0';
        if (!json_has(holder, "uid"))
                return;
        pw = local ? getpwuid((uid_t) uid) : NULL;
        if (pw)
                (void) snprintf(buffer, size, "%s", pw->pw_name);
        else
                (void) snprintf(buffer, size, "%" PRIu64, uid);
}

int holders_table(json_object *holders, bool legend, bool local, struct libscols_table **ret) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = NULL;
        int r;

        r = table_new(columns, ELEMENTSOF(columns), legend, &t);
        if (r < 0)
                return r;

        for (size_t i = 0; i < json_object_array_length(holders); i++) {
                json_object *holder = json_object_array_get_idx(holders, i);
                _cleanup_free_ char *nodes = json_text(json_array(holder, "nodes"), " ");
                char pid[32], user[64];

                if (!nodes)
                        return -ENOMEM;
                (void) snprintf(pid, sizeof(pid), "%" PRIu64, json_number(holder, "pid"));
                user_text(holder, local, user, sizeof(user));

                r = table_add(t, NULL, (const char *const[]) {
                        pid,
                        json_string(holder, "command"),
                        user,
                        json_string(holder, "unit"),
                        json_string(holder, "session"),
                        json_string(holder, "machine"),
                        nodes,
                }, NULL);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(t);
        return 0;
}
