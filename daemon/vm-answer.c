/* SPDX-License-Identifier: GPL-2.0-or-later */

/* vm-answer: reads what an adapter said. Owns the limits on it, and the words of the protocol. No I/O. The
 * adapters of gpuptd keep to gpuptd.vm.d(7); those of others may be mistaken, and what a guest calls itself gets
 * in here, too. */

#include "vm-answer.h"

#include <json-c/json.h>
#include <stdarg.h>

/* Objects and arrays in each other. An answer has two of them; what nobody knows may have a few more. */
#define DEPTH_MAX 8
/* What is for people is cut off here, in bytes without the NUL. */
#define NAME_SIZE_MAX 255U
#define TEXT_SIZE_MAX 1023U
#define ERROR_SIZE_MAX 31U

/* The exit status: gpuptd.vm.d(7). */
enum { STATUS_DONE, STATUS_FAILED, STATUS_NOT_MINE, STATUS_NOT_SUPPORTED };

static const char *const vm_verb_table[_VM_VERB_MAX] = {
        [VM_IDENTIFY] = "identify", [VM_STATUS] = "status", [VM_CAPABILITIES] = "capabilities",
        [VM_PAUSE] = "pause",       [VM_RESUME] = "resume", [VM_SUSPEND] = "suspend",
        [VM_WAKE] = "wake",         [VM_START] = "start",   [VM_HIBERNATE] = "hibernate",
        [VM_SHUTDOWN] = "shutdown", [VM_KILL] = "kill",
};

static const char *const vm_state_table[_VM_STATE_MAX] = {
        [VM_RUNNING] = "running", [VM_PAUSED] = "paused", [VM_SUSPENDED] = "suspended", [VM_BUSY] = "busy",
        [VM_CRASHED] = "crashed", [VM_OFF] = "off",       [VM_GONE] = "gone",           [VM_UNKNOWN] = "unknown",
};

DEFINE_STRING_TABLE(vm_verb, VmVerb);
DEFINE_STRING_TABLE(vm_state, VmState);

DEFINE_CLEANUP(json_tokener *, json_tokener_free);
DEFINE_CLEANUP(json_object *, json_object_put);

/* An object of the answer, and the first of its members that is not of the type that it should be. */
typedef struct Reader {
        json_object *object;
        const char *wrong;
} Reader;

void vm_answer_done(VmAnswer *a) {
        free(a->reason);
        free(a->error);
        free(a->id);
        free(a->name);
        free(a->hint_agent);
        free(a->hint_s3);
        free(a->hint_s4);
        free(a->hint_restart);
        *a = (VmAnswer) {};
}

static char *copy(const char *s) {
        return s ? strdup(s) : NULL;
}

void vm_answer_copy_capabilities(const VmAnswer *a, VmAnswer *ret) {
        *ret = (VmAnswer) { .state = a->state, .agent = a->agent, .s3 = a->s3, .s4 = a->s4, .restart = a->restart,
                            .hint_agent = copy(a->hint_agent), .hint_s3 = copy(a->hint_s3),
                            .hint_s4 = copy(a->hint_s4), .hint_restart = copy(a->hint_restart) };
}

/* ---- Text */

/* The bytes of the UTF-8 sequence that begins a text of `size` bytes, if it is a well-formed one that people may
 * be shown, else 0: RFC 3629, without control characters, and without what breaks lines or turns the text around
 * it. */
static size_t printable_length(const char *text, size_t size) {
        static const uint32_t lowest[] = { 0, ' ', 0xa0, 0x800, 0x10000 };
        const unsigned char *s = (const unsigned char *) text;
        size_t n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
        uint32_t c = n == 1 ? s[0] : n > 0 ? s[0] & (0x7fU >> n) : 0;

        if (n == 0 || n > size)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        if (c < lowest[n] || c == 0x7f || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff ||
            (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
                return 0;
        return n;
}

/* A copy of at most `max` bytes that is one line of clean text. NULL: out of memory. */
static char *clean(const char *s, size_t size, size_t max) {
        char *text = malloc(MIN(size, max) + 1);
        size_t n = 0;

        if (!text)
                return NULL;
        while (size > 0) {
                size_t k = printable_length(s, size), taken = MAX(k, (size_t) 1);

                if (n + taken > max)
                        break;
                if (k > 0)
                        memcpy(text + n, s, k);
                else
                        text[n] = *s == '\n' || *s == '\t' ? ' ' : '?';
                n += taken;
                s += taken;
                size -= taken;
        }
        text[n] = '\0';
        return text;
}

bool vm_id_valid(const char *id) {
        size_t size = strlen(strempty(id));

        if (size == 0 || size > VM_ID_MAX || *id == '-')
                return false;
        while (size > 0) {
                size_t n = printable_length(id, size);

                if (n == 0)
                        return false;
                id += n;
                size -= n;
        }
        return true;
}

/* ---- Members: what is missing is not wrong; what is there has to have its type. */

static json_object *get(Reader *r, const char *key, enum json_type type) {
        json_object *value;

        if (!json_object_object_get_ex(r->object, key, &value))
                return NULL;
        if (json_object_is_type(value, type))
                return value;
        if (!r->wrong)
                r->wrong = key;
        return NULL;
}

static void get_flag(Reader *r, const char *key, bool *ret) {
        json_object *value = get(r, key, json_type_boolean);

        if (value)
                *ret = json_object_get_boolean(value);
}

/* An empty one says as much as none. */
static int get_text(Reader *r, const char *key, size_t max, char **ret) {
        json_object *value = get(r, key, json_type_string);

        if (!value || json_object_get_string_len(value) == 0)
                return 0;
        *ret = clean(json_object_get_string(value), (size_t) json_object_get_string_len(value), max);
        return *ret ? 0 : -ENOMEM;
}

/* What is taken as it is, or not at all. NULL: it is not there, or has a NUL in it. */
static const char *get_word(Reader *r, const char *key) {
        json_object *value = get(r, key, json_type_string);
        const char *s = value ? json_object_get_string(value) : NULL;

        return s && strlen(s) == (size_t) json_object_get_string_len(value) ? s : NULL;
}

/* A state of a later version is one that we do not know. */
static void get_state(Reader *r, VmState *ret) {
        VmState state = vm_state_from_string(get_word(r, "state"));

        *ret = state < 0 ? VM_UNKNOWN : state;
}

/* *ret is NULL if there is none that is one. */
static int get_id(Reader *r, char **ret) {
        const char *id = get_word(r, "id");

        if (!vm_id_valid(id))
                return 0;
        *ret = strdup(id);
        return *ret ? 0 : -ENOMEM;
}

static int get_capabilities(Reader *r, VmAnswer *a) {
        json_object *object = get(r, "hints", json_type_object);
        Reader hints = { .object = object };
        const struct {
                const char *key;
                bool *flag;
                char **hint;
        } capabilities[] = {
                { "agent", &a->agent, &a->hint_agent },
                { "s3", &a->s3, &a->hint_s3 },
                { "s4", &a->s4, &a->hint_s4 },
                { "restart", &a->restart, &a->hint_restart },
        };
        int result = 0;

        for (size_t i = 0; i < ELEMENTSOF(capabilities) && result >= 0; i++) {
                get_flag(r, capabilities[i].key, capabilities[i].flag);
                if (object && !*capabilities[i].flag)
                        result = get_text(&hints, capabilities[i].key, TEXT_SIZE_MAX, capabilities[i].hint);
        }
        if (hints.wrong && !r->wrong)
                r->wrong = "hints";
        return result;
}

/* ---- The answer */

static int parse(const char *text, size_t size, int flags, json_object **ret, enum json_tokener_error *ret_error) {
        _cleanup_(json_tokener_freep) json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);

        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, flags);
        *ret = json_tokener_parse_ex(tokener, text, (int) size);
        *ret_error = json_tokener_get_error(tokener);
        return 0;
}

/* Whether the form is that of JSON, and nothing follows. json-c 0.18 takes bytes from 0x80 on for control characters where it is to be
 * strict (json_tokener.c, a comparison of a plain char), so for that they are letters. */
static int parse_strictly(const char *text, size_t size, enum json_tokener_error *ret_error) {
        _cleanup_(json_object_putp) json_object *object = NULL;
        _cleanup_free_ char *ascii = malloc(size);

        if (!ascii)
                return -ENOMEM;
        for (size_t i = 0; i < size; i++)
                ascii[i] = (unsigned char) text[i] < 0x80 ? text[i] : 'x';
        return parse(ascii, size, JSON_TOKENER_STRICT, &object, ret_error);
}

/* One object, and nothing else. *ret is NULL, and *ret_why a sentence, if it is not that. */
static int parse_object(const char *output, size_t size, json_object **ret, const char **ret_why) {
        _cleanup_(json_object_putp) json_object *object = NULL;
        enum json_tokener_error error;
        int r;

        *ret = NULL;
        if (size > VM_OUTPUT_MAX + 1) { /* a newline */
                *ret_why = "its answer is longer than 64 KiB";
                return 0;
        }
        /* The tokener takes a NUL for the end of the text, whatever is behind it. */
        if (size == 0 || memchr(output, '\0', size)) {
                *ret_why = size == 0 ? "it gave no answer" : "its answer is not text";
                return 0;
        }
        r = parse_strictly(output, size, &error);
        if (r >= 0 && error == json_tokener_success)
                r = parse(output, size, 0, &object, &error);
        if (r < 0)
                return r;
        if (error == json_tokener_continue)
                *ret_why = "its answer ends in the middle";
        else if (error == json_tokener_error_depth)
                *ret_why = "its answer is nested too deep";
        else if (error != json_tokener_success || !json_object_is_type(object, json_type_object))
                *ret_why = "its answer is not one JSON object";
        else
                *ret = TAKE_PTR(object);
        return 0;
}

/* What an answer to this verb has, at this exit status. */
static int read_members(Reader *r, VmVerb verb, int status, VmAnswer *a) {
        int result = 0;

        if (verb != VM_IDENTIFY)
                get_state(r, &a->state);
        if (status == STATUS_FAILED)
                result = get_text(r, "error", ERROR_SIZE_MAX, &a->error);
        if (result >= 0 && status != STATUS_DONE)
                result = get_text(r, "reason", TEXT_SIZE_MAX, &a->reason);
        if (result < 0 || status != STATUS_DONE)
                return result;

        if (verb == VM_CAPABILITIES)
                return get_capabilities(r, a);
        if (verb == VM_IDENTIFY) {
                result = get_id(r, &a->id);
                if (result >= 0)
                        result = get_text(r, "name", NAME_SIZE_MAX, &a->name);
                if (result >= 0 && a->id && isempty(a->name))
                        result = free_and_strdup(&a->name, a->id);
                return result;
        }
        if (verb != VM_STATUS)
                get_flag(r, "changed", &a->changed);
        return 0;
}

static VmResult result_from(int status, const char *error) {
        switch (status) {
        case STATUS_DONE:
                return VM_DONE;
        case STATUS_NOT_MINE:
                return VM_NOT_MINE;
        case STATUS_NOT_SUPPORTED:
                return VM_NOT_SUPPORTED;
        default:
                return streq_ptr(error, "timeout") ? VM_TIMED_OUT : VM_FAILED;
        }
}

/* Whatever there was before: an answer that does not fit is none. */
static _printf_(2, 3) int fail(VmAnswer *a, const char *format, ...) {
        va_list ap;
        int n;

        vm_answer_done(a);
        *a = (VmAnswer) { .result = VM_FAILED, .state = VM_UNKNOWN, .changed = true };
        va_start(ap, format);
        n = vasprintf(&a->reason, format, ap);
        va_end(ap);
        if (n < 0) {
                a->reason = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int read_answer(VmVerb verb, int status, const char *output, size_t size, VmAnswer *a) {
        _cleanup_(json_object_putp) json_object *object = NULL;
        const char *why = NULL;
        Reader reader = {};
        int r;

        if (status < STATUS_DONE || status > STATUS_NOT_SUPPORTED)
                return status < 0 ? fail(a, "it was ended") : fail(a, "it ended with the unknown status %i", status);
        if (status == STATUS_NOT_MINE && verb != VM_IDENTIFY)
                return fail(a, "it answers '%s' as it may only answer 'identify' (status %i)", vm_verb_to_string(verb),
                            status);
        r = parse_object(output, size, &object, &why);
        if (r < 0)
                return r;
        if (!object)
                return fail(a, "%s", why);

        reader.object = object;
        r = read_members(&reader, verb, status, a);
        if (r < 0)
                return r;
        if (reader.wrong)
                return fail(a, "'%s' of its answer is of the wrong type", reader.wrong);
        if (verb == VM_IDENTIFY && status == STATUS_DONE && !a->id)
                return fail(a, "its answer has no ID that is one");
        a->result = result_from(status, a->error);
        if (a->result != VM_DONE && isempty(a->reason))
                return free_and_strdup(&a->reason, "it gives no reason");
        return 0;
}

int vm_answer_parse(VmVerb verb, int status, const char *output, size_t size, VmAnswer *ret) {
        _cleanup_(vm_answer_done) VmAnswer a = { .result = VM_FAILED, .state = VM_UNKNOWN, .changed = true };
        int r;

        assert(verb >= 0 && verb < _VM_VERB_MAX);
        r = read_answer(verb, status, output, size, &a);
        if (r >= 0 && !a.reason)
                r = free_and_strdup(&a.reason, "");
        if (r >= 0 && !a.error)
                r = free_and_strdup(&a.error, "");
        if (r < 0)
                return r;
        *ret = a;
        a = (VmAnswer) {};
        return 0;
}
