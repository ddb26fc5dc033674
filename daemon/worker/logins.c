/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "worker/logins.h"

#include <sys/stat.h>
#include <systemd/sd-login.h>

#include "util/fs.h"

#define ALIAS "display-manager.service"

int login_file_get(const char *session, const char *key, char **ret) {
        _cleanup_free_ char *text = NULL;
        char path[128], *save = NULL;
        size_t n = strlen(key);

        if (!session_id_valid(session))
                return -ENXIO;
        (void) snprintf(path, sizeof(path), "/run/systemd/sessions/%s", session);
        if (read_file_at(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return -ENXIO;
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                if (strncmp(line, key, n) == 0 && line[n] == '=') {
                        *ret = strdup(line + n + 1);
                        return *ret ? 0 : -ENOMEM;
                }
        return -ENXIO;
}

/* What sd-login does not know is "". Such a session may have ended just now. */
static int get_word(int (*get)(const char *session, char **ret), const char *session, char **field) {
        _cleanup_free_ char *word = NULL;

        if (get(session, &word) < 0)
                word = NULL;
        return free_and_strdup(field, strempty(word));
}

/* Of a class that nobody sees (a user's manager, a cron job) there is nothing to say. */
static bool is_of_somebody(const char *class) {
        return startswith(class, "user") || streq(class, "greeter") || streq(class, "lock-screen");
}

static int add_login(Holders *h, const char *session) {
        _cleanup_free_ char *class = NULL, *user = NULL;
        Login *l;
        uid_t uid;
        int r;

        if (!session_id_valid(session) || sd_session_get_uid(session, &uid) < 0)
                return 0;
        r = get_word(sd_session_get_class, session, &class);
        if (r < 0 || !is_of_somebody(class))
                return r;
        l = holders_add_login(h, session, uid);
        if (!l)
                return -ENOMEM;
        if (login_file_get(session, "USER", &user) < 0)
                user = NULL;
        l->class = TAKE_PTR(class);
        r = free_and_strdup(&l->user, strempty(user));
        if (r >= 0)
                r = get_word(sd_session_get_seat, session, &l->seat);
        return r < 0 ? r : get_word(sd_session_get_type, session, &l->type);
}

/* The alias is a link to the unit that it stands for, or to nowhere at all. */
static int find_display_manager(char **ret) {
        for (size_t i = 0; i < UNIT_DIRECTORIES; i++) {
                _cleanup_free_ char *target = NULL;
                char path[128];
                struct stat st;

                (void) snprintf(path, sizeof(path), "%s/" ALIAS, unit_directories[i]);
                if (lstat(path, &st) < 0)
                        continue;
                if (!S_ISLNK(st.st_mode))
                        return free_and_strdup(ret, ALIAS);
                if (readlink_base_at(AT_FDCWD, path, &target) < 0 || streq(target, "null"))
                        return 0;
                return free_and_strdup(ret, service_name_valid(target) ? target : ALIAS);
        }
        return 0;
}

int logins_find(Holders *h) {
        _cleanup_strv_free_ char **sessions = NULL;
        int r;

        r = find_display_manager(&h->display_manager);
        if (r < 0 || sd_get_sessions(&sessions) < 0)
                return r;
        for (char **s = sessions; s && *s && r >= 0; s++)
                r = add_login(h, *s);
        return r;
}

/* Whoever has logged in since the plan was shown has not been thought of, and the display manager takes all desktops with
 * it. */
int verb_check_logins(Work *w) {
        _cleanup_(holders_freep) Holders *h = holders_new();
        int r;

        if (!streq(w->target, "-"))
                return work_fail(w, -EINVAL, "'%s' is no target of this", w->target);
        r = h ? logins_find(h) : -ENOMEM;
        if (r < 0)
                return work_fail(w, r, "listing the sessions");
        for (size_t i = 0; i < h->n_logins; i++) {
                const Login *l = h->logins + i;

                if (login_is_desktop(l) && !strv_contains(w->arguments, l->session))
                        return work_fail(w, -EBUSY, "uid %u has logged in meanwhile (session %s)", l->uid, l->session);
        }
        return 0;
}
