/* SPDX-License-Identifier: GPL-2.0-or-later */

/* adapter: owns the arguments, the answer and the clock of one run. Does not know what a VM is. */

#include "vm.d/adapter.h"

#include <signal.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/time.h>
#include <time.h>

#include "util/words.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define TIMEOUT_MAX_SEC 86400U
/* Linux: no pid is above 2^22 (include/linux/threads.h PID_MAX_LIMIT). */
#define PID_LIMIT (4U * 1024U * 1024U)
/* A verb ends at its deadline by itself. One that hangs in a library or the kernel has so much longer. */
#define WATCHDOG_GRACE_SEC 2U

static const char *const adapter_verb_table[_ADAPTER_VERB_MAX] = {
        [VERB_IDENTIFY] = "identify",   [VERB_STATUS] = "status",   [VERB_CAPABILITIES] = "capabilities",
        [VERB_PAUSE] = "pause",         [VERB_RESUME] = "resume",   [VERB_SUSPEND] = "suspend",
        [VERB_WAKE] = "wake",           [VERB_START] = "start",     [VERB_HIBERNATE] = "hibernate",
        [VERB_SHUTDOWN] = "shutdown",   [VERB_KILL] = "kill",
};
DEFINE_STRING_TABLE(adapter_verb, AdapterVerb);

static const char *const vm_state_table[_VM_STATE_MAX] = {
        [VM_RUNNING] = "running", [VM_PAUSED] = "paused", [VM_SUSPENDED] = "suspended", [VM_BUSY] = "busy",
        [VM_CRASHED] = "crashed", [VM_OFF] = "off",       [VM_GONE] = "gone",           [VM_UNKNOWN] = "unknown",
};
DEFINE_STRING_TABLE(vm_state, VmState);

static const char *const adapter_error_table[_ADAPTER_ERROR_MAX] = {
        [ERROR_INVALID] = "invalid",         [ERROR_TIMEOUT] = "timeout",   [ERROR_UNREACHABLE] = "unreachable",
        [ERROR_PROTOCOL] = "protocol",       [ERROR_REFUSED] = "refused",   [ERROR_UNVERIFIED] = "unverified",
        [ERROR_SYSTEM] = "system",
};
DEFINE_STRING_TABLE(adapter_error, AdapterError);

/* In seconds; gpuptd.vm.d(7) has the same. */
static const unsigned default_timeout[_ADAPTER_VERB_MAX] = {
        [VERB_IDENTIFY] = 10, [VERB_STATUS] = 10,    [VERB_CAPABILITIES] = 20, [VERB_PAUSE] = 20,
        [VERB_RESUME] = 20,   [VERB_SUSPEND] = 90,   [VERB_WAKE] = 60,         [VERB_HIBERNATE] = 240,
        [VERB_SHUTDOWN] = 180, [VERB_START] = 120,   [VERB_KILL] = 30,
};

/* What the watchdog writes: put together before it is armed, since a signal handler cannot. */
static char watchdog_answer[512];
static size_t watchdog_answer_size;

static void write_out(const char *text, size_t size) {
        while (size > 0) {
                ssize_t k = write(STDOUT_FILENO, text, size);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k <= 0)
                        return;
                text += k;
                size -= (size_t) k;
        }
}

static void on_alarm(int signal_number) {
        write_out(watchdog_answer, watchdog_answer_size);
        _exit(ADAPTER_FAILED);
}

static void arm_watchdog(const Adapter *adapter, AdapterVerb verb, unsigned timeout_sec) {
        const struct sigaction action = { .sa_handler = on_alarm };
        const struct itimerval timer = { .it_value.tv_sec = (time_t) (timeout_sec + WATCHDOG_GRACE_SEC) };

        watchdog_answer_size = (size_t) snprintf(watchdog_answer, sizeof(watchdog_answer),
                                                 "{\"adapter\":\"%s\",\"verb\":\"%s\",\"error\":\"timeout\","
                                                 "\"reason\":\"no answer within %u s\"}\n",
                                                 adapter->name, adapter_verb_to_string(verb), timeout_sec);
        (void) sigaction(SIGALRM, &action, NULL);
        (void) setitimer(ITIMER_REAL, &timer, NULL);
}

void adapter_out_of_memory(void) {
        static const char text[] = "{\"error\":\"system\",\"reason\":\"out of memory\"}\n";

        write_out(text, sizeof(text) - 1);
        _exit(ADAPTER_FAILED);
}

uint64_t adapter_now(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

uint64_t adapter_within(const AdapterCall *c, uint64_t usec) {
        return MIN(c->deadline_usec, adapter_now() + usec);
}

int adapter_poll_msec(uint64_t deadline_usec) {
        uint64_t now = adapter_now();

        return deadline_usec <= now ? 0 : (int) MIN((deadline_usec - now + 999) / 1000, (uint64_t) INT32_MAX);
}

bool adapter_pause(const AdapterCall *c, unsigned msec) {
        (void) poll(NULL, 0, adapter_poll_msec(adapter_within(c, msec * UINT64_C(1000))));
        return adapter_now() < c->deadline_usec;
}

static void add(json_object *o, const char *key, json_object *value) {
        if (!value || json_object_object_add(o, key, value) < 0)
                adapter_out_of_memory();
}

/* The length of the UTF-8 sequence of a printable character that begins here, 0 if there is none. */
static size_t printable(const unsigned char *s) {
        size_t n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : (*s & 0xf0) == 0xe0 ? 3 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;

        if (n == 0 || *s < ' ' || *s == 0x7f)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        if ((*s == 0xc2 && s[1] < 0xa0) || (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] >= 0xa0) ||
            (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] >= 0x90))
                return 0;
        return n;
}

static json_object *clean_string(const char *value) {
        char buffer[ADAPTER_TEXT_MAX];
        size_t n = 0;

        for (const char *p = value; *p;) {
                size_t k = printable((const unsigned char *) p);

                if (n + MAX(k, (size_t) 1) >= sizeof(buffer))
                        break;
                if (k == 0)
                        buffer[n++] = '?';
                else
                        memcpy(buffer + n, p, k);
                n += k;
                p += MAX(k, (size_t) 1);
        }
        return json_object_new_string_len(buffer, (int) n);
}

void adapter_set(AdapterCall *c, const char *key, const char *value) {
        add(c->answer, key, clean_string(value));
}

void adapter_set_number(AdapterCall *c, const char *key, uint64_t value) {
        add(c->answer, key, json_object_new_uint64(value));
}

void adapter_set_flag(AdapterCall *c, const char *key, bool value) {
        add(c->answer, key, json_object_new_boolean(value));
}

void adapter_set_state(AdapterCall *c, VmState state, const char *detail) {
        adapter_set(c, "state", vm_state_to_string(state));
        if (detail)
                adapter_set(c, "detail", detail);
}

void adapter_set_capability(AdapterCall *c, const char *name, bool value, const char *hint) {
        json_object *hints = adapter_json_member(c->answer, "hints", json_type_object);

        adapter_set_flag(c, name, value);
        if (value || !hint)
                return;
        if (!hints) {
                hints = json_object_new_object();
                add(c->answer, "hints", hints);
        }
        add(hints, name, clean_string(hint));
}

AdapterResult adapter_done(AdapterCall *c, VmState state, bool changed) {
        adapter_set_state(c, state, NULL);
        adapter_set_flag(c, "changed", changed);
        return ADAPTER_OK;
}

static void set_reason(AdapterCall *c, const char *format, va_list ap) {
        _cleanup_free_ char *reason = NULL;

        if (vasprintf(&reason, format, ap) < 0)
                adapter_out_of_memory();
        adapter_set(c, "reason", reason);
}

AdapterResult adapter_fail(AdapterCall *c, AdapterError error, const char *format, ...) {
        va_list ap;

        adapter_set(c, "error", adapter_error_to_string(error));
        va_start(ap, format);
        set_reason(c, format, ap);
        va_end(ap);
        return ADAPTER_FAILED;
}

AdapterError adapter_error_from_errno(int error) {
        switch (error) {
        case -ETIMEDOUT:
                return ERROR_TIMEOUT;
        case -EPROTO:
        case -EMSGSIZE:
                return ERROR_PROTOCOL;
        case -EREMOTEIO:
                return ERROR_REFUSED;
        case -ECONNREFUSED:
        case -ECONNRESET:
        case -EPIPE:
        case -ENOENT:
        case -ENOTSOCK:
        case -ESRCH:
        case -EACCES:
        case -EPERM:
                return ERROR_UNREACHABLE;
        default:
                return ERROR_SYSTEM;
        }
}

AdapterResult adapter_not_mine(AdapterCall *c, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        set_reason(c, format, ap);
        va_end(ap);
        return ADAPTER_NOT_MINE;
}

AdapterResult adapter_not_supported(AdapterCall *c, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        set_reason(c, format, ap);
        va_end(ap);
        return ADAPTER_NOT_SUPPORTED;
}

json_object *adapter_json_member(json_object *o, const char *key, enum json_type type) {
        json_object *value;

        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &value) ||
            !json_object_is_type(value, type))
                return NULL;
        return value;
}

const char *adapter_json_string(json_object *o, const char *key) {
        json_object *value = adapter_json_member(o, key, json_type_string);
        const char *s = value ? json_object_get_string(value) : NULL;
        int n = value ? json_object_get_string_len(value) : 0;

        return s && n < (int) ADAPTER_TEXT_MAX && strlen(s) == (size_t) n ? s : NULL;
}

/* ---- One run */

static bool is_id(const char *s) {
        if (isempty(s) || *s == '-' || strlen(s) >= ADAPTER_ID_MAX)
                return false;
        while (*s) {
                size_t n = printable((const unsigned char *) s);

                if (n == 0)
                        return false;
                s += n;
        }
        return true;
}

/* Options may stand anywhere before the ID, as daemon and people like it. False if there is none of that. */
static bool parse_options(int *argc, char *argv[], unsigned *timeout_sec) {
        int n = 1;

        for (int i = 1; i < *argc; i++) {
                const char *value = startswith(argv[i], "--timeout=");
                uint64_t seconds;

                if (!value) {
                        argv[n++] = argv[i];
                        continue;
                }
                if (parse_u64(value, TIMEOUT_MAX_SEC, &seconds) < 0 || seconds == 0)
                        return false;
                *timeout_sec = (unsigned) seconds;
        }
        *argc = n;
        return true;
}

static void set_verbs(const Adapter *adapter, AdapterCall *c) {
        json_object *verbs = json_object_new_array();

        add(c->answer, "verbs", verbs);
        for (AdapterVerb v = 0; v < _ADAPTER_VERB_MAX; v++) {
                json_object *name = adapter->verbs[v] ? json_object_new_string(adapter_verb_to_string(v)) : NULL;

                if (adapter->verbs[v] && (!name || json_object_array_add(verbs, name) < 0))
                        adapter_out_of_memory();
        }
}

static AdapterResult run(const Adapter *adapter, AdapterCall *c, int argc, char *argv[]) {
        unsigned timeout_sec = 0;
        uint64_t pid;

        if (!parse_options(&argc, argv, &timeout_sec))
                return adapter_fail(c, ERROR_INVALID, "--timeout= takes seconds, from 1 to %u", TIMEOUT_MAX_SEC);
        if (argc < 2)
                return adapter_fail(c, ERROR_INVALID, "usage: %s [--timeout=SEC] identify PID | VERB ID", adapter->name);
        adapter_set(c, "verb", argv[1]);
        c->verb = adapter_verb_from_string(argv[1]);
        if (c->verb < 0)
                return adapter_not_supported(c, "there is no verb '%s'", argv[1]);
        if (argc != 3)
                return adapter_fail(c, ERROR_INVALID, "'%s' takes one argument", argv[1]);

        if (c->verb == VERB_IDENTIFY) {
                if (parse_u64(argv[2], PID_LIMIT, &pid) < 0 || pid == 0)
                        return adapter_fail(c, ERROR_INVALID, "'%s' is not the number of a process", argv[2]);
                c->pid = (pid_t) pid;
        } else {
                if (!is_id(argv[2]))
                        return adapter_fail(c, ERROR_INVALID, "this is not an ID that 'identify' gives");
                c->id = argv[2];
                adapter_set(c, "id", c->id);
        }
        if (!adapter->verbs[c->verb])
                return adapter_not_supported(c, "'%s' cannot be done to a VM of this kind", argv[1]);

        if (timeout_sec == 0)
                timeout_sec = default_timeout[c->verb];
        c->deadline_usec = adapter_now() + timeout_sec * USEC_PER_SEC;
        arm_watchdog(adapter, c->verb, timeout_sec);
        if (c->verb == VERB_CAPABILITIES)
                set_verbs(adapter, c);
        return adapter->verbs[c->verb](c);
}

int adapter_main(const Adapter *adapter, int argc, char *argv[]) {
        _cleanup_(json_object_putp) json_object *answer = json_object_new_object();
        AdapterCall c = { .verb = _ADAPTER_VERB_INVALID, .answer = answer };
        AdapterResult result;
        const char *text;
        sigset_t alarm_set;
        size_t size;

        if (!answer)
                adapter_out_of_memory();
        /* A peer that closes while it is written to is an error of the write. */
        (void) signal(SIGPIPE, SIG_IGN);
        adapter_set(&c, "adapter", adapter->name);
        result = run(adapter, &c, argc, argv);

        (void) sigemptyset(&alarm_set);
        (void) sigaddset(&alarm_set, SIGALRM);
        (void) sigprocmask(SIG_BLOCK, &alarm_set, NULL);
        text = json_object_to_json_string_length(answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
        if (!text)
                adapter_out_of_memory();
        write_out(text, size);
        write_out("\n", 1);
        return (int) result;
}
