/* SPDX-License-Identifier: GPL-2.0-or-later */

/* qemu-command-line: QEMU's own syntax of options (util/qemu-option.c), as much as it takes to find its sockets. */

#include "vm.d/qemu-command-line.h"

#include <json-c/json.h>

#define ARGUMENTS_MAX 8192U
#define AGENT_PORT "org.qemu.guest_agent.0"

/* A character device, and who uses it. */
typedef struct Chardev {
        char *id, *path;
        bool listens;
} Chardev;

typedef struct Parser {
        QemuCommandLine *c;
        Chardev *chardevs;
        size_t n_chardevs;
        char **qmp_chardevs; /* names, in their order */
        char *agent;         /* name of the chardev */
} Parser;

QemuCommandLine *qemu_command_line_free(QemuCommandLine *c) {
        if (!c)
                return NULL;
        free(c->name);
        free(c->id);
        (void) strv_free(c->monitors);
        free(c->agent_path);
        free(c->agent_chardev);
        free(c);
        return NULL;
}

static void parser_done(Parser *p) {
        for (size_t i = 0; i < p->n_chardevs; i++) {
                free(p->chardevs[i].id);
                free(p->chardevs[i].path);
        }
        free(p->chardevs);
        (void) strv_free(p->qmp_chardevs);
        free(p->agent);
}

/* The length of "key=va,,lue" up to the comma that ends it: two are one in the value. */
static size_t option_length(const char *s) {
        size_t n = 0;

        while (s[n] && (s[n] != ',' || s[n + 1] == ','))
                n += s[n] == ',' ? 2 : 1;
        return n;
}

/* The value of a key, the last one if there are several, unescaped; the first option may be a value alone, which is then
 * that of `implied`. A key alone has the value "on", with "no" before it "off". *ret is NULL if it is not there. */
static int get_option(const char *options, const char *implied, const char *key, char **ret) {
        _cleanup_free_ char *value = NULL;

        for (const char *s = options;;) {
                size_t n = option_length(s), k = strcspn(s, "=,"), from = 0;
                const char *plain = NULL;
                bool found;

                if (k < n && s[k] == '=') {
                        found = k == strlen(key) && memcmp(s, key, k) == 0;
                        from = k + 1;
                } else if (s == options && implied)
                        found = streq(implied, key);
                else {
                        found = n == strlen(key) && memcmp(s, key, n) == 0;
                        plain = "on";
                        if (!found && n == strlen(key) + 2 && startswith(s, "no") && memcmp(s + 2, key, n - 2) == 0) {
                                found = true;
                                plain = "off";
                        }
                }
                if (found) {
                        char *v = plain ? strdup(plain) : strndup(s + from, n - from);
                        size_t w = 0;

                        if (!v)
                                return -ENOMEM;
                        for (size_t i = 0; v[i]; i += v[i] == ',' && v[i + 1] == ',' ? 2 : 1)
                                v[w++] = v[i];
                        v[w] = '\0';
                        free(value);
                        value = v;
                }
                if (!s[n])
                        break;
                s += n + 1;
        }
        *ret = TAKE_PTR(value);
        return 0;
}

/* qapi/util.c qapi_bool_parse() */
static bool is_on(const char *value) {
        return value && (streq(value, "on") || streq(value, "yes") || streq(value, "true") || streq(value, "y"));
}

static int get_listener(const char *options, const char *implied, char **ret_path, bool *ret_listens) {
        _cleanup_free_ char *path = NULL, *server = NULL, *abstract = NULL;
        int r;

        r = get_option(options, implied, "path", &path);
        if (r >= 0)
                r = get_option(options, implied, "server", &server);
        if (r >= 0)
                r = get_option(options, implied, "abstract", &abstract);
        if (r < 0)
                return r;
        *ret_listens = !isempty(path) && is_on(server) && !is_on(abstract);
        *ret_path = TAKE_PTR(path);
        return 0;
}

static int add_monitor(QemuCommandLine *c, const char *path) {
        if (strv_length(c->monitors) >= QEMU_MONITORS_MAX || strv_contains(c->monitors, path))
                return 0;
        return strv_extend(&c->monitors, path);
}

/* -qmp unix:PATH,server=on,wait=off | chardev:NAME | stdio … */
static int parse_qmp(Parser *p, const char *value) {
        _cleanup_free_ char *path = NULL;
        const char *rest;
        bool listens;
        int r;

        rest = startswith(value, "chardev:");
        if (rest)
                return strv_extend(&p->qmp_chardevs, rest);
        rest = startswith(value, "unix:");
        if (!rest) {
                p->c->has_closed_qmp = true;
                return 0;
        }
        r = get_listener(rest, "path", &path, &listens);
        if (r < 0)
                return r;
        if (!listens) {
                p->c->has_closed_qmp = true;
                return 0;
        }
        return add_monitor(p->c, path);
}

/* -mon [chardev=]NAME,mode=control */
static int parse_mon(Parser *p, const char *value) {
        _cleanup_free_ char *chardev = NULL, *mode = NULL;
        int r;

        r = get_option(value, "chardev", "chardev", &chardev);
        if (r >= 0)
                r = get_option(value, "chardev", "mode", &mode);
        if (r < 0 || !chardev || !streq_ptr(mode, "control"))
                return r;
        return strv_extend(&p->qmp_chardevs, chardev);
}

/* -chardev socket,id=NAME,path=PATH,server=on,wait=off */
static int parse_chardev(Parser *p, const char *value) {
        _cleanup_free_ char *backend = NULL, *id = NULL, *path = NULL;
        Chardev *more;
        bool listens;
        int r;

        r = get_option(value, "backend", "backend", &backend);
        if (r >= 0)
                r = get_option(value, "backend", "id", &id);
        if (r >= 0)
                r = get_listener(value, "backend", &path, &listens);
        if (r < 0 || !id || !streq_ptr(backend, "socket"))
                return r;
        more = reallocarray(p->chardevs, p->n_chardevs + 1, sizeof(*more));
        if (!more)
                return -ENOMEM;
        p->chardevs = more;
        p->chardevs[p->n_chardevs++] = (Chardev) { .id = TAKE_PTR(id), .path = TAKE_PTR(path), .listens = listens };
        return 0;
}

static int json_option(const char *text, const char *key, char **ret) {
        json_object *o = json_tokener_parse(text), *value;
        int r = 0;

        if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) &&
            json_object_is_type(value, json_type_string)) {
                *ret = strdup(json_object_get_string(value));
                r = *ret ? 0 : -ENOMEM;
        }
        json_object_put(o);
        return r;
}

/* -device virtserialport,chardev=NAME,name=org.qemu.guest_agent.0, or the same as JSON */
static int parse_device(Parser *p, const char *value) {
        _cleanup_free_ char *name = NULL, *chardev = NULL;
        int r;

        if (!strstr(value, AGENT_PORT))
                return 0;
        r = *value == '{' ? json_option(value, "name", &name) : get_option(value, "driver", "name", &name);
        if (r >= 0)
                r = *value == '{' ? json_option(value, "chardev", &chardev) : get_option(value, "driver", "chardev", &chardev);
        if (r < 0 || !chardev || !streq_ptr(name, AGENT_PORT))
                return r;
        return free_and_strdup(&p->agent, chardev);
}

/* -global PIIX4_PM.disable_s3=1; ICH9-LPC's has the same name */
static int parse_global(Parser *p, const char *value) {
        const char *property = strchr(value, '.'), *equals = property ? strchr(property, '=') : NULL;
        size_t n = equals ? (size_t) (equals - property - 1) : 0;
        bool disabled;

        if (n != STRLEN("disable_s3"))
                return 0;
        disabled = !streq(equals + 1, "0");
        if (memcmp(property + 1, "disable_s3", n) == 0)
                p->c->s3_disabled = disabled;
        else if (memcmp(property + 1, "disable_s4", n) == 0)
                p->c->s4_disabled = disabled;
        return 0;
}

/* -name [guest=]NAME,debug-threads=on */
static int parse_name(Parser *p, const char *value) {
        free(p->c->name);
        p->c->name = NULL;
        return get_option(value, "guest", "guest", &p->c->name);
}

static int parse_id(Parser *p, const char *value) {
        return free_and_strdup(&p->c->id, value);
}

static const struct {
        const char *name;
        int (*parse)(Parser *p, const char *value);
} option_table[] = {
        { "chardev", parse_chardev }, { "device", parse_device }, { "global", parse_global },
        { "id", parse_id },           { "mon", parse_mon },       { "name", parse_name },
        { "qmp", parse_qmp },         { "qmp-pretty", parse_qmp },
};

static int resolve_chardevs(Parser *p) {
        for (char **name = p->qmp_chardevs; name && *name; name++) {
                const char *path = NULL;
                int r;

                for (size_t i = 0; i < p->n_chardevs; i++)
                        if (streq(p->chardevs[i].id, *name) && p->chardevs[i].listens)
                                path = p->chardevs[i].path;
                if (!path) {
                        p->c->has_closed_qmp = true;
                        continue;
                }
                r = add_monitor(p->c, path);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; p->agent && i < p->n_chardevs; i++)
                if (streq(p->chardevs[i].id, p->agent) && p->chardevs[i].listens && !p->c->agent_path) {
                        p->c->agent_path = TAKE_PTR(p->chardevs[i].path);
                        p->c->agent_chardev = TAKE_PTR(p->agent);
                }
        return 0;
}

static int parse_words(Parser *p, char *const *words, size_t n) {
        for (size_t i = 1; i + 1 < n; i++) {
                const char *option = startswith(words[i], "-");
                int r = 0;

                if (!option)
                        continue;
                /* softmmu/vl.c lookup_opt(): two dashes are one. */
                option += *option == '-';
                for (size_t k = 0; k < ELEMENTSOF(option_table); k++)
                        if (streq(option, option_table[k].name)) {
                                r = option_table[k].parse(p, words[++i]);
                                break;
                        }
                if (r < 0)
                        return r;
        }
        return resolve_chardevs(p);
}

int qemu_command_line_parse(const char *text, size_t size, QemuCommandLine **ret) {
        _cleanup_(qemu_command_line_freep) QemuCommandLine *c = calloc(1, sizeof(*c));
        _cleanup_(parser_done) Parser p = { .c = c };
        _cleanup_free_ char *copy = NULL;
        _cleanup_free_ char **words = calloc(ARGUMENTS_MAX, sizeof(char *));
        size_t n = 0;
        int r;

        /* The last word of a process that wrote over its arguments may have no NUL. */
        copy = malloc(size + 1);
        if (!c || !words || !copy)
                return -ENOMEM;
        memcpy(copy, text, size);
        copy[size] = '\0';
        for (size_t i = 0; i < size && n < ARGUMENTS_MAX; i += strlen(copy + i) + 1)
                words[n++] = copy + i;
        r = parse_words(&p, words, n);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
