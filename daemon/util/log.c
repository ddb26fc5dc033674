/* SPDX-License-Identifier: GPL-2.0-or-later */

/* log: one function that sends a message with its fields. The journal is used if stderr is connected to it
 * ($JOURNAL_STREAM, systemd.exec(5)); elsewhere a message is a line with the level in front. */

#define SD_JOURNAL_SUPPRESS_LOCATION

#include "util/log.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

enum { FIELDS_MAX = 16 };

static int max_level = LOG_INFO;
static LogTarget target = LOG_TARGET_CONSOLE;

void log_open(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        target = LOG_TARGET_CONSOLE;
        if (stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) >= 0 &&
            st.st_dev == device && st.st_ino == inode)
                target = LOG_TARGET_JOURNAL;
}

LogTarget log_target(void) {
        return target;
}

void log_set_target(LogTarget new_target) {
        target = new_target;
}

void log_set_max_level(int level) {
        max_level = level;
}

int log_max_level(void) {
        return max_level;
}

static void send_journal(int level, int error, const char *message_id, const LogField *fields, const char *file,
                         int line, const char *func, const char *message) {
        struct iovec iov[FIELDS_MAX + 7];
        char *owned[FIELDS_MAX + 7];
        size_t n = 0;

#define ADD_FIELD(...)                                                                \
        do {                                                                          \
                int _k_ = asprintf(owned + n, __VA_ARGS__);                           \
                if (_k_ >= 0) {                                                       \
                        iov[n] = (struct iovec) { owned[n], (size_t) _k_ };           \
                        n++;                                                          \
                }                                                                     \
        } while (false)

        ADD_FIELD("MESSAGE=%s", message);
        ADD_FIELD("PRIORITY=%i", level);
        ADD_FIELD("CODE_FILE=%s", file);
        ADD_FIELD("CODE_LINE=%i", line);
        ADD_FIELD("CODE_FUNC=%s", func);
        if (error < 0)
                ADD_FIELD("ERRNO=%i", -error);
        if (message_id)
                ADD_FIELD("MESSAGE_ID=%s", message_id);
        for (size_t i = 0; fields && i < FIELDS_MAX && fields[i].name; i++)
                if (!isempty(fields[i].value))
                        ADD_FIELD("%s=%s", fields[i].name, fields[i].value);
#undef ADD_FIELD

        (void) sd_journal_sendv(iov, (int) n);
        while (n > 0)
                free(owned[--n]);
}

int log_full(int level, int error, const char *message_id, const LogField *fields, const char *file, int line,
             const char *func, const char *format, ...) {
        static const char *const level_names[] = {
                [LOG_EMERG] = "emergency", [LOG_ALERT] = "alert", [LOG_CRIT] = "critical", [LOG_ERR] = "error",
                [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
        };
        _cleanup_free_ char *message = NULL;
        va_list ap;
        int k;

        if (level > max_level)
                return error;

        errno = error < 0 ? -error : 0;
        va_start(ap, format);
        k = vasprintf(&message, format, ap);
        va_end(ap);
        if (k < 0)
                return error;

        if (target == LOG_TARGET_JOURNAL)
                send_journal(level, error, message_id, fields, file, line, func, message);
        else
                fprintf(stderr, "%s: %s\n", level_names[level & 7], message);
        return error;
}
