/* SPDX-License-Identifier: GPL-2.0-or-later */

/* log: one function that sends a message with its fields. The journal is used if stderr is connected to it
 * ($JOURNAL_STREAM, systemd.exec(5)); elsewhere a message is a line with the level in front. */

#include "util/log.h"

#include <endian.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

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

/* A field as journald's native protocol has it (systemd, docs/JOURNAL_NATIVE_PROTOCOL.md): a value with a line break is sent with
 * its length in front, as a little-endian number of 64 bits. */
static void write_field(FILE *f, const char *name, const char *value) {
        uint64_t size = strlen(value), length = htole64(size);

        if (!strchr(value, '\n')) {
                fprintf(f, "%s=%s\n", name, value);
                return;
        }
        fprintf(f, "%s\n", name);
        fwrite(&length, sizeof(length), 1, f);
        fwrite(value, 1, size, f);
        fputc('\n', f);
}

/* sd_journal_send() waits while journald does not read its socket, and on Linux 6.1 journald itself waits for a driver
 * that hangs: it reads the `uevent` of the device that a line of the kernel is about. A message that cannot be sent at
 * once is lost; the daemon is not. */
static void send_datagram(const char *data, size_t size) {
        static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
        static int fd = -EBADF;

        if (fd < 0)
                fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd >= 0)
                (void) sendto(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *) &address, sizeof(address));
}

static void send_journal(int level, int error, const char *message_id, const LogField *fields, const char *file,
                         int line, const char *func, const char *message) {
        _cleanup_free_ char *data = NULL;
        char number[16];
        size_t size;
        FILE *f = open_memstream(&data, &size);

        if (!f)
                return;
        write_field(f, "MESSAGE", message);
        write_field(f, "SYSLOG_IDENTIFIER", program_invocation_short_name);
        (void) snprintf(number, sizeof(number), "%i", level);
        write_field(f, "PRIORITY", number);
        write_field(f, "CODE_FILE", file);
        (void) snprintf(number, sizeof(number), "%i", line);
        write_field(f, "CODE_LINE", number);
        write_field(f, "CODE_FUNC", func);
        if (error < 0) {
                (void) snprintf(number, sizeof(number), "%i", -error);
                write_field(f, "ERRNO", number);
        }
        if (message_id)
                write_field(f, "MESSAGE_ID", message_id);
        for (; fields && fields->name; fields++)
                if (!isempty(fields->value))
                        write_field(f, fields->name, fields->value);
        if (fclose(f) == 0)
                send_datagram(data, size);
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
