/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* log: to the journal with fields when stderr is the journal's, else plain lines on stderr. Functions below `gpu` and
 * `job` do not log; those above log once (see HACKING.md). log_*_errno() return the (negative) errno they were given. */

#include "util/cleanup.h"

#include <syslog.h>

typedef enum LogTarget {
        LOG_TARGET_CONSOLE, /* stderr */
        LOG_TARGET_JOURNAL,
} LogTarget;

/* Fields of the noun that a message is about: pairs of name, value; NULL-terminated; NULL values are left out. */
typedef struct LogField {
        const char *name, *value;
} LogField;

/* The journal if stderr is connected to it, else stderr. */
void log_open(void);
LogTarget log_target(void);
void log_set_target(LogTarget target);
/* LOG_ERR … LOG_DEBUG; what is less urgent is dropped. */
void log_set_max_level(int level);
int log_max_level(void);

int log_full(int level, int error, const char *message_id, const LogField *fields, const char *file, int line,
             const char *func, const char *format, ...) _printf_(8, 9);

#define LOG_FIELDS(...) ((const LogField[]) { __VA_ARGS__, { NULL, NULL } })

/* error is a negative errno (or 0); %m in the format is its text. */
#define log_with(level, error, id, fields, ...) \
        log_full(level, error, id, fields, __FILE__, __LINE__, __func__, __VA_ARGS__)

#define log_debug(...) ((void) log_with(LOG_DEBUG, 0, NULL, NULL, __VA_ARGS__))
#define log_info(...) ((void) log_with(LOG_INFO, 0, NULL, NULL, __VA_ARGS__))
#define log_notice(...) ((void) log_with(LOG_NOTICE, 0, NULL, NULL, __VA_ARGS__))
#define log_warning(...) ((void) log_with(LOG_WARNING, 0, NULL, NULL, __VA_ARGS__))
#define log_error(...) ((void) log_with(LOG_ERR, 0, NULL, NULL, __VA_ARGS__))
#define log_debug_errno(r, ...) log_with(LOG_DEBUG, r, NULL, NULL, __VA_ARGS__)
#define log_warning_errno(r, ...) log_with(LOG_WARNING, r, NULL, NULL, __VA_ARGS__)
#define log_error_errno(r, ...) log_with(LOG_ERR, r, NULL, NULL, __VA_ARGS__)
#define log_oom() log_error_errno(-ENOMEM, "Out of memory.")
