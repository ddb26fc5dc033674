/* SPDX-License-Identifier: GPL-2.0-or-later */

/* holders: the answer to a census, read, written and put into a sentence. Pure: it opens nothing. Commands and node
 * names are of other people's making; what leaves here as text for people is clean UTF-8 on one line. */

#include "holders.h"

#include <inttypes.h>

#define HOLDERS_MAX 65536U
#define NODES_MAX 1024U
#define LOGINS_MAX 256U
#define DESCRIBED_MAX 3U /* holders, and nodes of each, that a sentence names */

static void holder_done(Holder *h) {
        free(h->command);
        strv_free(h->nodes);
        free(h->unit);
        free(h->session);
        free(h->machine);
        free(h->vm_manager);
        free(h->vm_name);
}

static void login_done(Login *l) {
        free(l->session);
        free(l->user);
        free(l->seat);
        free(l->type);
        free(l->class);
}

Holders *holders_new(void) {
        return calloc(1, sizeof(Holders));
}

Holders *holders_free(Holders *h) {
        if (!h)
                return NULL;
        for (size_t i = 0; i < h->n; i++)
                holder_done(h->list + i);
        free(h->list);
        for (size_t i = 0; i < h->n_logins; i++)
                login_done(h->logins + i);
        free(h->logins);
        free(h->display_manager);
        free(h);
        return NULL;
}

Holder *holders_add(Holders *h, uint32_t pid, uint64_t start) {
        Holder *list;
        size_t i = h->n;

        list = reallocarray(h->list, h->n + 1, sizeof(Holder));
        if (!list)
                return NULL;
        h->list = list;
        while (i > 0 && list[i - 1].pid > pid)
                i--;
        memmove(list + i + 1, list + i, (h->n - i) * sizeof(Holder));
        h->n++;
        list[i] = (Holder) { .pid = pid, .start = start };
        return list + i;
}

Login *holders_add_login(Holders *h, const char *session, uint32_t uid) {
        Login *list;

        if (h->n_logins >= LOGINS_MAX)
                return NULL;
        list = reallocarray(h->logins, h->n_logins + 1, sizeof(Login));
        if (!list)
                return NULL;
        h->logins = list;
        list[h->n_logins] = (Login) { .session = strdup(session), .uid = uid };
        return list[h->n_logins].session ? list + h->n_logins++ : NULL;
}

bool login_is_desktop(const Login *l) {
        return startswith(l->class, "user") && !isempty(l->seat) &&
               (streq(l->type, "x11") || streq(l->type, "wayland") || streq(l->type, "mir"));
}

static void write_login(const Login *l, FILE *f) {
        char uid[11];

        (void) snprintf(uid, sizeof(uid), "%" PRIu32, l->uid);
        words_write(f, "login", l->session, uid, strempty(l->user), strempty(l->seat), strempty(l->type),
                    strempty(l->class), NULL);
}

static void write_holder(const Holder *h, FILE *f) {
        char pid[11], start[21], uid[11];

        (void) snprintf(pid, sizeof(pid), "%" PRIu32, h->pid);
        (void) snprintf(start, sizeof(start), "%" PRIu64, h->start);
        (void) snprintf(uid, sizeof(uid), "%" PRIu32, h->uid);
        words_write(f, "holder", pid, start, uid, strempty(h->command), NULL);
        for (char *const *node = h->nodes; node && *node; node++)
                words_write(f, "node", *node, NULL);
        if (h->unit)
                words_write(f, "unit", h->unit, NULL);
        if (h->session)
                words_write(f, "session", h->session, NULL);
        if (h->machine)
                words_write(f, "machine", h->machine, NULL);
        if (h->vm_manager)
                words_write(f, "vm", h->vm_manager, strempty(h->vm_name), NULL);
        if (h->is_vm)
                words_write(f, "is-vm", NULL);
        if (h->protected)
                words_write(f, "protected", NULL);
}

void holders_write(const Holders *h, FILE *f) {
        for (size_t i = 0; i < h->n; i++)
                write_holder(h->list + i, f);
        for (size_t i = 0; i < h->n_logins; i++)
                write_login(h->logins + i, f);
        if (h->display_manager)
                words_write(f, "display-manager", h->display_manager, NULL);
}

static int read_holder_line(Holders *h, char *const *words, Holder **ret) {
        uint64_t pid, start, uid;
        Holder *holder;

        if (strv_length(words) != 5 || h->n >= HOLDERS_MAX || parse_u64(words[1], INT32_MAX, &pid) < 0 || pid == 0 ||
            parse_u64(words[2], UINT64_MAX, &start) < 0 || parse_u64(words[3], UINT32_MAX, &uid) < 0)
                return -EBADMSG;
        for (size_t i = 0; i < h->n; i++)
                if (h->list[i].pid == pid)
                        return -EBADMSG;
        holder = holders_add(h, (uint32_t) pid, start);
        if (!holder)
                return -ENOMEM;
        holder->uid = (uint32_t) uid;
        *ret = holder;
        return free_and_strdup(&holder->command, words[4]);
}

static int read_once(char **field, const char *word) {
        return *field ? -EBADMSG : free_and_strdup(field, word);
}

static int read_login(Holders *h, char *const *words) {
        char **fields[4];
        uint64_t uid;
        Login *l;
        int r = 0;

        if (strv_length(words) != 7 || h->n_logins >= LOGINS_MAX || !session_id_valid(words[1]) ||
            parse_u64(words[2], UINT32_MAX, &uid) < 0)
                return -EBADMSG;
        l = holders_add_login(h, words[1], (uint32_t) uid);
        if (!l)
                return -ENOMEM;
        fields[0] = &l->user;
        fields[1] = &l->seat;
        fields[2] = &l->type;
        fields[3] = &l->class;
        for (size_t i = 0; i < ELEMENTSOF(fields) && r >= 0; i++)
                r = free_and_strdup(fields[i], words[3 + i]);
        return r;
}

static int read_detail(Holder *h, char *const *words) {
        size_t n = strv_length(words);
        int r;

        if (n == 1 && streq(words[0], "is-vm"))
                h->is_vm = true;
        else if (n == 1 && streq(words[0], "protected"))
                h->protected = true;
        else if (n == 2 && streq(words[0], "node"))
                return strv_length(h->nodes) >= NODES_MAX ? -EBADMSG : strv_extend(&h->nodes, words[1]);
        else if (n == 2 && streq(words[0], "unit"))
                return read_once(&h->unit, words[1]);
        else if (n == 2 && streq(words[0], "session"))
                return read_once(&h->session, words[1]);
        else if (n == 2 && streq(words[0], "machine"))
                return read_once(&h->machine, words[1]);
        else if (n == 3 && streq(words[0], "vm")) {
                r = read_once(&h->vm_manager, words[1]);
                return r < 0 ? r : read_once(&h->vm_name, words[2]);
        } else
                return -EBADMSG;
        return 0;
}

int holders_read(const char *text, size_t size, Holders **ret) {
        _cleanup_(holders_freep) Holders *h = NULL;
        WordsReader reader = { .text = text, .size = size };
        Holder *holder = NULL;
        int r;

        h = holders_new();
        if (!h)
                return -ENOMEM;

        for (;;) {
                _cleanup_strv_free_ char **words = NULL;

                r = words_reader_next(&reader, &words);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                if (streq(words[0], "holder"))
                        r = read_holder_line(h, words, &holder);
                else if (streq(words[0], "login"))
                        r = read_login(h, words);
                else if (streq(words[0], "display-manager"))
                        r = strv_length(words) != 2 || !service_name_valid(words[1])
                                    ? -EBADMSG
                                    : read_once(&h->display_manager, words[1]);
                else
                        r = holder ? read_detail(holder, words) : -EBADMSG;
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(h);
        return 0;
}

int holders_copy(const Holders *h, Holders **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        holders_write(h, f);
        if (fclose(f) != 0)
                return -ENOMEM;
        return holders_read(text, size, ret);
}

bool holders_contains(const Holders *h, uint32_t pid, uint64_t start) {
        for (size_t i = 0; i < h->n; i++)
                if (h->list[i].pid == pid && h->list[i].start == start)
                        return true;
        return false;
}

/* They hold nodes on behalf of sessions, and end for none. */
static bool is_of_the_host(const Holder *h) {
        static const char *const units[] = { "init.scope", "systemd-logind.service", "gpuptd.service" };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (streq_ptr(h->unit, units[i]))
                        return true;
        return h->pid == 1;
}

bool holder_is_desktop(const Holder *h) {
        return h->protected && !h->is_vm && !is_of_the_host(h);
}

/* "PROGRAM", or "COMM (PROGRAM)" where the process calls itself otherwise: either name will do. */
static bool is_named(const Holder *h, char *const *names) {
        const char *command = strempty(h->command), *program = strstr(command, " (");

        for (char *const *name = names; name && *name; name++) {
                size_t n = strlen(*name);

                if (streq(command, *name))
                        return true;
                if (program && ((strncmp(command, *name, n) == 0 && command + n == program) ||
                                (strncmp(program + 2, *name, n) == 0 && streq(program + 2 + n, ")"))))
                        return true;
        }
        return false;
}

bool holders_are_desktops_named(const Holders *h, char *const *names) {
        bool found = false;

        for (size_t i = 0; i < h->n; i++) {
                if (!holder_is_desktop(h->list + i))
                        continue;
                if (!is_named(h->list + i, names))
                        return false;
                found = true;
        }
        return found;
}

const Holder *holders_find_vm(const Holders *h) {
        for (size_t i = 0; i < h->n; i++)
                if (h->list[i].is_vm)
                        return h->list + i;
        return NULL;
}

/* The length of the UTF-8 sequence at s if it is a well-formed one that may be shown to people, else 0. */
static size_t printable_utf8(const unsigned char *s) {
        static const uint32_t lowest[] = { 0, 0, 0xa0, 0x800, 0x10000 };
        uint32_t c = 0;
        size_t n;

        if (s[0] < 0x80)
                return s[0] >= ' ' && s[0] != 0x7f;
        if ((s[0] & 0xe0) == 0xc0)
                n = 2, c = s[0] & 0x1f;
        else if ((s[0] & 0xf0) == 0xe0)
                n = 3, c = s[0] & 0x0f;
        else if ((s[0] & 0xf8) == 0xf0)
                n = 4, c = s[0] & 0x07;
        else
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        /* Overlong forms, C1 controls, surrogates and what lies past Unicode; separators and marks that change the
         * direction of the text around them. */
        if (c < lowest[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff || (c >= 0x2028 && c <= 0x202e) ||
            (c >= 0x2066 && c <= 0x2069))
                return 0;
        return n;
}

/* A message goes over the bus, which takes nothing but UTF-8: a comm with other bytes must not make the error fail. */
static void put_clean(FILE *f, const char *s) {
        const unsigned char *p = (const unsigned char *) s;

        while (*p) {
                size_t n = printable_utf8(p);

                if (n == 0)
                        fputc('?', f);
                else
                        fwrite(p, 1, n, f);
                p += MAX(n, (size_t) 1);
        }
}

static void describe_holder(const Holder *h, FILE *f) {
        const char *owner = h->unit ?: h->machine;
        size_t n = strv_length(h->nodes);

        put_clean(f, isempty(h->command) ? "a process" : h->command);
        fprintf(f, " (pid %" PRIu32, h->pid);
        if (h->vm_manager && h->is_vm) {
                fputs(", virtual machine ", f);
                put_clean(f, strempty(h->vm_name));
        } else if (owner) {
                fputs(", ", f);
                put_clean(f, owner);
        } else if (h->session) {
                fputs(", session ", f);
                put_clean(f, h->session);
        }
        fputs(") holds ", f);
        for (size_t i = 0; i < MIN(n, (size_t) DESCRIBED_MAX); i++) {
                fputs(i == 0 ? "" : ", ", f);
                put_clean(f, h->nodes[i]);
        }
        if (n == 0)
                fputs("it", f);
        else if (n > DESCRIBED_MAX)
                fprintf(f, " and %zu more", n - DESCRIBED_MAX);
}

char *holders_describe(const Holders *h) {
        char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        if (h->n == 0)
                fputs("nobody holds it", f);
        for (size_t i = 0; i < MIN(h->n, (size_t) DESCRIBED_MAX); i++) {
                fputs(i == 0 ? "" : "; ", f);
                describe_holder(h->list + i, f);
        }
        if (h->n > DESCRIBED_MAX)
                fprintf(f, "; and %zu more", h->n - DESCRIBED_MAX);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }
        return text;
}
