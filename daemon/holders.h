/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* holders: who keeps a GPU busy, as data: the answer to a census. The worker finds them (/proc: open files and mappings)
 * and attributes them to unit, session and machine (sd-login); here they are read, compared and put into words. With them
 * comes who is logged in, since a holder may be part of somebody's desktop. */

#include "util/words.h"

typedef struct Holder {
        uint32_t pid;
        uint64_t start;  /* field 22 of /proc/PID/stat, in clock ticks since boot: with the pid, who it is */
        uint32_t uid;
        char *command;   /* comm, then the program's name if it differs; sanitised by whoever prints it */
        char **nodes;    /* device nodes that it has open or mapped */
        char *unit;      /* "pipewire.service", "machine-qemu….scope"; NULL if none */
        char *session;   /* logind session, or NULL */
        char *machine;   /* name at machined ("qemu-1-win10"), or NULL */
        char *vm_manager, *vm_name; /* what the VM calls itself: ("libvirt", "win10"), ("qemu", "win10" or the pid); NULL if no VM */
        bool is_vm;      /* it has a VFIO node open */
        bool protected;  /* PID 1, logind, gpuptd, a compositor or display server, a session leader: never ended by force */
} Holder;

/* A session of somebody who sits before the host, or of the greeter that waits for one. */
typedef struct Login {
        char *session; /* logind's id */
        uint32_t uid;
        char *user;    /* the name; "": not known */
        char *seat;    /* "": it comes from afar */
        char *type;    /* "x11", "wayland", "mir", "tty", "unspecified", "web", "" */
        char *class;   /* "user" and what begins so, "greeter", "lock-screen" */
} Login;

typedef struct Holders {
        Holder *list; /* sorted by pid */
        size_t n;
        Login *logins;
        size_t n_logins;
        char *display_manager; /* the unit that display-manager.service stands for; NULL: there is none */
} Holders;

Holders *holders_new(void);
Holders *holders_free(Holders *h);
DEFINE_CLEANUP(Holders *, holders_free);
Holder *holders_add(Holders *h, uint32_t pid, uint64_t start);

/* All of the login but its session and its uid is NULL, and the caller's to fill. NULL: no memory, or too many. */
Login *holders_add_login(Holders *h, const char *session, uint32_t uid);
/* Somebody's desktop on a seat: it ends with the display manager. */
bool login_is_desktop(const Login *l);

/* Word lines: `holder PID START UID COMMAND`, then for it `node PATH`…, `unit NAME`, `session ID`, `machine NAME`,
 * `vm MANAGER NAME`, `is-vm`, `protected`; after them `login SESSION UID USER SEAT TYPE CLASS`… and `display-manager UNIT`.
 * -EBADMSG as in snapshot_read(). */
void holders_write(const Holders *h, FILE *f);
int holders_read(const char *text, size_t size, Holders **ret);

int holders_copy(const Holders *h, Holders **ret);

bool holders_contains(const Holders *h, uint32_t pid, uint64_t start);
/* The first holder that is a VM, or NULL. */
const Holder *holders_find_vm(const Holders *h);

/* A compositor, a display server, or a session's own leader: ended by nothing but the end of its desktop. */
bool holder_is_desktop(const Holder *h);
/* Whether there is one of these, and all of them are programs of these names. */
bool holders_are_desktops_named(const Holders *h, char *const *names);

/* "pipewire (pid 812, pipewire.service) holds /dev/snd/controlC1; … and 3 more": for error messages. Control characters
 * are replaced. Newly allocated. */
char *holders_describe(const Holders *h);
