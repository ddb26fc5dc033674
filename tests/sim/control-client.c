/* SPDX-License-Identifier: GPL-2.0-or-later */

/* control-client: see control-client.h. One connection, one line, one answer: "ok TEXT" or "error ERRNO TEXT". */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control-client.h"
#include "host/control.h"
#include "util/cleanup.h"

static int errno_of(const char *answer) {
        g_auto(GStrv) words = g_strsplit(answer, " ", 3);

        for (int e = 1; words[0] && words[1] && e < 134; e++)
                if (streq_ptr(strerrorname_np(e), words[1]))
                        return -e;
        return -EPROTO;
}

int control_ask(char *const *words, char **ret_text) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = CONTROL_SOCKET };
        g_autoptr(GString) line = g_string_new(NULL), answer = g_string_new(NULL);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char c;

        for (char *const *w = words; *w; w++)
                g_string_append_printf(line, "%s%s", w == words ? "" : " ", *w);
        (void) g_string_append_c(line, '\n');
        *ret_text = NULL;
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -ENOENT;
        if (send(fd, line->str, line->len, MSG_NOSIGNAL) < 0)
                return -errno;
        while (recv(fd, &c, 1, 0) == 1 && c != '\n')
                (void) g_string_append_c(answer, c);
        if (!startswith(answer->str, "ok")) {
                *ret_text = g_strdup(answer->str);
                return errno_of(answer->str);
        }
        *ret_text = g_strstrip(g_strcompress(answer->str + STRLEN("ok")));
        return 0;
}
