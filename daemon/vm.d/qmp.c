/* SPDX-License-Identifier: GPL-2.0-or-later */

/* qmp: owns one connection and the message on its way. Knows commands by name only; what they mean is the adapter's. */

#include "vm.d/qmp.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SENTINEL 0xff /* docs/interop/qemu-ga.rst, guest-sync-delimited */
#define CHUNK 16384U
#define CONNECT_RETRY_USEC UINT64_C(50000)

struct QmpReader {
        json_tokener *tokener;
        uint8_t buffer[CHUNK];
        size_t begin, end;
        size_t size; /* of the message so far */
        bool skip;
        int error;
};

struct Qmp {
        int fd;
        bool agent;
        QmpReader *reader;
        uint64_t serial; /* of the request on its way */
        unsigned events;
        char error[ADAPTER_TEXT_MAX];
};

/* ---- From bytes to messages */

int qmp_reader_new(QmpReader **ret) {
        QmpReader *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        r->tokener = json_tokener_new_ex(QMP_DEPTH_MAX);
        if (!r->tokener) {
                free(r);
                return -ENOMEM;
        }
        json_tokener_set_flags(r->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS | JSON_TOKENER_VALIDATE_UTF8);
        *ret = r;
        return 0;
}

QmpReader *qmp_reader_free(QmpReader *r) {
        if (!r)
                return NULL;
        json_tokener_free(r->tokener);
        free(r);
        return NULL;
}

void qmp_reader_skip(QmpReader *r) {
        r->skip = true;
}

size_t qmp_reader_room(const QmpReader *r) {
        return sizeof(r->buffer) - r->end;
}

void qmp_reader_add(QmpReader *r, const void *data, size_t size) {
        assert(size <= qmp_reader_room(r));
        memcpy(r->buffer + r->end, data, size);
        r->end += size;
}

static void skip_to_sentinel(QmpReader *r) {
        uint8_t *sentinel = memchr(r->buffer + r->begin, SENTINEL, r->end - r->begin);

        r->begin = sentinel ? (size_t) (sentinel - r->buffer) : r->end;
        while (r->begin < r->end && r->buffer[r->begin] == SENTINEL) {
                r->begin++;
                r->skip = false;
        }
}

/* Messages are told apart by their syntax, not by lines: `pretty=on` makes many lines of one. */
static int next_message(QmpReader *r, json_object **ret) {
        _cleanup_(json_object_putp) json_object *o = NULL;
        const char *text = (const char *) r->buffer + r->begin;
        size_t n = r->end - r->begin;
        enum json_tokener_error error;
        const char *sentinel;

        if (n == 0)
                return 0;
        /* The tokener looks at the byte behind a message, too, and would not like it. */
        sentinel = memchr(text, SENTINEL, n);
        if (sentinel)
                n = (size_t) (sentinel - text);
        /* And it takes a NUL for the end of its text. */
        if (n == 0 || memchr(text, '\0', n))
                return -EPROTO;
        o = json_tokener_parse_ex(r->tokener, text, (int) n);
        error = json_tokener_get_error(r->tokener);
        if (error == json_tokener_continue) {
                r->begin += n;
                r->size += n;
                return sentinel ? -EPROTO : r->size > QMP_MESSAGE_MAX ? -EMSGSIZE : 0;
        }
        if (error != json_tokener_success || !json_object_is_type(o, json_type_object))
                return -EPROTO;
        r->begin += json_tokener_get_parse_end(r->tokener);
        json_tokener_reset(r->tokener);
        r->size = 0;
        *ret = TAKE_PTR(o);
        return 1;
}

int qmp_reader_next(QmpReader *r, json_object **ret) {
        int k;

        if (r->error < 0)
                return r->error;
        if (r->skip)
                skip_to_sentinel(r);
        k = next_message(r, ret);
        if (k < 0)
                r->error = k;
        if (r->begin == r->end)
                r->begin = r->end = 0;
        return k;
}

/* ---- From messages to answers */

static const struct {
        const char *name;
        QmpEvent event;
} event_table[] = {
        { "SHUTDOWN", QMP_EVENT_SHUTDOWN },
        { "SUSPEND", QMP_EVENT_SUSPEND },
        { "SUSPEND_DISK", QMP_EVENT_SUSPEND_DISK },
        { "WAKEUP", QMP_EVENT_WAKEUP },
};

static void note_event(Qmp *q, const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(event_table); i++)
                if (streq(name, event_table[i].name))
                        q->events |= event_table[i].event;
}

/* 1 if there was something to read, 0 if not now, -ECONNRESET at the end. */
static int fill(Qmp *q) {
        uint8_t data[CHUNK];
        size_t room = qmp_reader_room(q->reader);
        ssize_t k;

        k = recv(q->fd, data, room, MSG_DONTWAIT);
        if (k < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (k == 0)
                return -ECONNRESET;
        qmp_reader_add(q->reader, data, (size_t) k);
        return 1;
}

static int wait_for(const Qmp *q, short events, uint64_t deadline_usec) {
        struct pollfd p = { .fd = q->fd, .events = events };
        int r;

        r = RET_NERRNO(poll(&p, 1, adapter_poll_msec(deadline_usec)));
        if (r == -EINTR)
                return 0;
        return r < 0 ? r : r == 0 ? -ETIMEDOUT : 0;
}

/* The deadline holds for a peer that never stops talking, too. */
static int next(Qmp *q, uint64_t deadline_usec, json_object **ret) {
        for (;;) {
                int r;

                if (adapter_now() >= deadline_usec)
                        return -ETIMEDOUT;
                r = qmp_reader_next(q->reader, ret);
                if (r != 0)
                        return r;
                r = fill(q);
                if (r == 0)
                        r = wait_for(q, POLLIN, deadline_usec);
                if (r < 0)
                        return r;
        }
}

/* 1 for an answer to the last request, with what it returned; 0 for an event or what is for nobody. */
static int take(Qmp *q, json_object *message, json_object **ret) {
        const char *event = adapter_json_string(message, "event"), *text;
        json_object *id, *error, *value;

        if (event) {
                note_event(q, event);
                return 0;
        }
        /* Agents before QEMU 5.0 give no id back; they are in step since they were opened. */
        id = adapter_json_member(message, "id", json_type_int);
        if (!q->agent && (!id || json_object_get_uint64(id) != q->serial))
                return 0;
        error = adapter_json_member(message, "error", json_type_object);
        if (error) {
                text = adapter_json_string(error, "desc");
                (void) snprintf(q->error, sizeof(q->error), "%s", text ?: "an error without a description");
                return -EREMOTEIO;
        }
        if (!json_object_object_get_ex(message, "return", &value))
                return q->agent ? -EPROTO : 0;
        if (ret)
                *ret = json_object_get(value);
        return 1;
}

static int send_all(Qmp *q, const char *text, size_t size, uint64_t deadline_usec) {
        while (size > 0) {
                ssize_t k = send(q->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
                int r;

                if (k < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (k >= 0) {
                        text += k;
                        size -= (size_t) k;
                        continue;
                }
                r = wait_for(q, POLLOUT, deadline_usec);
                if (r < 0)
                        return r;
        }
        return 0;
}

int qmp_send(Qmp *q, const char *command, json_object *arguments, uint64_t deadline_usec) {
        _cleanup_(json_object_putp) json_object *request = json_object_new_object(), *owned = arguments;
        json_object *name = json_object_new_string(command), *id = json_object_new_uint64(++q->serial);
        const char *text;
        size_t size;
        int r;

        if (!request || !name || !id)
                adapter_out_of_memory();
        (void) json_object_object_add(request, "execute", name);
        if (arguments)
                (void) json_object_object_add(request, "arguments", TAKE_PTR(owned));
        if (q->agent)
                json_object_put(id);
        else
                (void) json_object_object_add(request, "id", id);
        text = json_object_to_json_string_length(request, JSON_C_TO_STRING_PLAIN, &size);
        if (!text)
                adapter_out_of_memory();
        r = send_all(q, text, size, deadline_usec);
        return r < 0 ? r : send_all(q, "\n", 1, deadline_usec);
}

int qmp_call(Qmp *q, const char *command, json_object *arguments, uint64_t deadline_usec, json_object **ret) {
        int r;

        r = qmp_send(q, command, arguments, deadline_usec);
        while (r >= 0) {
                _cleanup_(json_object_putp) json_object *message = NULL;

                r = next(q, deadline_usec, &message);
                if (r < 0)
                        break;
                r = take(q, message, ret);
                if (r > 0)
                        return 0;
        }
        return r;
}

/* All that has been read already. */
static int drain(Qmp *q) {
        for (;;) {
                _cleanup_(json_object_putp) json_object *message = NULL;
                int r;

                r = qmp_reader_next(q->reader, &message);
                if (r > 0)
                        r = take(q, message, NULL);
                else if (r == 0)
                        return 0;
                if (r < 0)
                        return r;
        }
}

int qmp_dispatch(Qmp *q) {
        int r;

        r = drain(q);
        if (r >= 0)
                r = fill(q);
        return r < 0 ? r : drain(q);
}

/* ---- Connections */

/* The listener's process, as it was when it began to listen: net/unix/af_unix.c unix_listen(). */
static int check_peer(int fd, pid_t server) {
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        return peer.pid == server ? 0 : -EPERM;
}

static int connect_socket(int socket_fd, uint64_t deadline_usec, int *ret) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;

        /* By way of the descriptor: a path may be longer than an address, and point elsewhere by now. */
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", socket_fd);
        fd = RET_NERRNO(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (fd < 0)
                return fd;
        for (;;) {
                if (connect(fd, (struct sockaddr *) &address, sizeof(address)) >= 0)
                        break;
                /* The queue is full, and nothing tells when it is not. */
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (adapter_now() >= deadline_usec)
                        return -ETIMEDOUT;
                (void) poll(NULL, 0, adapter_poll_msec(MIN(deadline_usec, adapter_now() + CONNECT_RETRY_USEC)));
        }
        *ret = TAKE_FD(fd);
        return 0;
}

static int open_connection(int socket_fd, pid_t server, bool agent, uint64_t deadline_usec, Qmp **ret) {
        _cleanup_(qmp_closep) Qmp *q = calloc(1, sizeof(*q));
        int r;

        if (!q)
                return -ENOMEM;
        *q = (Qmp) { .fd = -EBADF, .agent = agent };
        r = qmp_reader_new(&q->reader);
        if (r >= 0)
                r = connect_socket(socket_fd, deadline_usec, &q->fd);
        if (r >= 0)
                r = check_peer(q->fd, server);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}

int qmp_open(int socket_fd, pid_t server, uint64_t deadline_usec, Qmp **ret) {
        _cleanup_(json_object_putp) json_object *greeting = NULL;
        _cleanup_(qmp_closep) Qmp *q = NULL;
        int r;

        r = open_connection(socket_fd, server, false, deadline_usec, &q);
        if (r >= 0)
                r = next(q, deadline_usec, &greeting);
        if (r < 0)
                return r;
        if (!adapter_json_member(greeting, "QMP", json_type_object))
                return -EPROTO;
        r = qmp_call(q, "qmp_capabilities", NULL, deadline_usec, NULL);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}

/* What an agent was asked for by somebody before may be answered first: guest-sync-delimited puts a byte before its answer
 * that is in no JSON, and gives our number back. */
static int synchronize(Qmp *q, uint64_t deadline_usec) {
        json_object *arguments = json_object_new_object();
        uint32_t number;
        int r;

        if (getrandom(&number, sizeof(number), 0) != sizeof(number))
                number = (uint32_t) adapter_now();
        number &= INT32_MAX;
        if (!arguments || json_object_object_add(arguments, "id", json_object_new_int64(number)) < 0)
                adapter_out_of_memory();
        r = send_all(q, "\xff", 1, deadline_usec);
        if (r >= 0)
                r = qmp_send(q, "guest-sync-delimited", arguments, deadline_usec);
        else
                json_object_put(arguments);
        while (r >= 0) {
                _cleanup_(json_object_putp) json_object *message = NULL;
                json_object *returned;

                qmp_reader_skip(q->reader);
                r = next(q, deadline_usec, &message);
                if (r < 0)
                        break;
                returned = adapter_json_member(message, "return", json_type_int);
                if (returned && json_object_get_int64(returned) == number)
                        return 0;
        }
        return r;
}

int qmp_open_agent(int socket_fd, pid_t server, uint64_t deadline_usec, Qmp **ret) {
        _cleanup_(qmp_closep) Qmp *q = NULL;
        int r;

        r = open_connection(socket_fd, server, true, deadline_usec, &q);
        if (r >= 0)
                r = synchronize(q, deadline_usec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}

Qmp *qmp_close(Qmp *q) {
        if (!q)
                return NULL;
        (void) safe_close(q->fd);
        (void) qmp_reader_free(q->reader);
        free(q);
        return NULL;
}

unsigned qmp_events(const Qmp *q) {
        return q->events;
}

const char *qmp_error(const Qmp *q) {
        return q->error;
}

int qmp_fd(const Qmp *q) {
        return q->fd;
}
