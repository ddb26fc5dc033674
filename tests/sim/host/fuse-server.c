/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuse-server: serves the tree of node.h as /sys, with the kernel's habits: an attribute without a show function cannot be
 * opened for reading, not even by root; a truncation does nothing; an attribute claims a page.
 *
 * Requests that cannot wait are answered from the event loop. Everything that may (a store, or a show that needs a lock
 * which is taken) gets a thread, so that a hung unbind holds its writer and nobody else. The writer sleeps interruptibly
 * until the first signal and uninterruptibly after it, since FUSE interrupts are not answered: what vfio-pci does too.
 *
 * FUSE takes the inode's lock for a write; with one inode per attribute a hung write to drivers/X/unbind would hold every
 * other unbind of X, which sysfs does not do. So each lookup of a writable attribute gives a new inode. */

#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "host/fuse-server.h"
#include "model/model.h"
#include "util/cleanup.h"

#define NUMBER_MASK 0xffffffffULL
#define FOREVER_SEC 86400.0
#define PAGE_BYTES 4096

static struct fuse_session *session;
static struct fuse_buf buffer;
static time_t boot_time;

static Node *node_of(fuse_ino_t ino) {
        return node_by_number((uint32_t) (ino & NUMBER_MASK));
}

static bool is_writable(const Node *n) {
        return n->kind == NODE_ATTRIBUTE && n->attribute && n->attribute->store;
}

static void fill_attributes(const Node *n, struct stat *st) {
        *st = (struct stat) {
                .st_ino = n->number,
                .st_nlink = 1,
                .st_blksize = PAGE_BYTES,
                .st_mtim.tv_sec = boot_time,
                .st_atim.tv_sec = boot_time,
                .st_ctim.tv_sec = boot_time,
        };
        switch (n->kind) {
        case NODE_DIRECTORY:
                st->st_mode = S_IFDIR | 0755;
                st->st_nlink = 2;
                break;
        case NODE_LINK:
                st->st_mode = S_IFLNK | 0777;
                break;
        case NODE_ATTRIBUTE:
                st->st_mode = S_IFREG | (n->attribute ? n->attribute->mode : 0444);
                st->st_size = n->attribute && n->attribute->size > 0 ? (off_t) n->attribute->size : PAGE_BYTES;
                break;
        }
}

static void op_init(_unused_ void *userdata, struct fuse_conn_info *connection) {
        connection->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
        static uint64_t generation;
        struct fuse_entry_param entry = {};
        Node *directory = node_of(parent), *n;

        n = directory && !directory->removed ? node_find(directory, name) : NULL;
        if (!n) {
                (void) fuse_reply_err(req, ENOENT);
                return;
        }
        entry.ino = n->number;
        if (is_writable(n))
                entry.ino |= ++generation << 32;
        entry.attr_timeout = entry.entry_timeout = n->fixed ? FOREVER_SEC : 0;
        fill_attributes(n, &entry.attr);
        (void) fuse_reply_entry(req, &entry);
}

static void op_forget(fuse_req_t req, _unused_ fuse_ino_t ino, _unused_ uint64_t lookups) {
        fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, _unused_ struct fuse_file_info *fi) {
        const Node *n = node_of(ino);
        struct stat st;

        if (!n) {
                (void) fuse_reply_err(req, ENOENT);
                return;
        }
        fill_attributes(n, &st);
        (void) fuse_reply_attr(req, &st, n->fixed ? FOREVER_SEC : 0);
}

/* A truncation or a new time stamp: accepted, without an effect. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, _unused_ struct stat *wanted, _unused_ int which,
                       struct fuse_file_info *fi) {
        op_getattr(req, ino, fi);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino) {
        const Node *n = node_of(ino);
        g_autofree char *text = n && n->kind == NODE_LINK ? node_link_text(n) : NULL;

        if (text)
                (void) fuse_reply_readlink(req, text);
        else
                (void) fuse_reply_err(req, EINVAL);
}

/* kernfs_fop_open() */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
        const Node *n = node_of(ino);
        int access = fi->flags & O_ACCMODE;

        if (!n || n->removed) {
                (void) fuse_reply_err(req, ENOENT);
                return;
        }
        if ((access != O_WRONLY && n->attribute && !n->attribute->show) || (access != O_RDONLY && !is_writable(n))) {
                (void) fuse_reply_err(req, EACCES);
                return;
        }
        fi->direct_io = 1;
        if (n->attribute && n->attribute->open)
                fi->fh = (uint64_t) (uintptr_t) n->attribute->open(n->object);
        (void) fuse_reply_open(req, fi);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
        const Node *n = node_of(ino);

        if (n && n->attribute && n->attribute->release)
                n->attribute->release((void *) (uintptr_t) fi->fh);
        (void) fuse_reply_err(req, 0);
}

typedef struct Request {
        fuse_req_t req;
        Node *node;
        void *object;
        size_t size;
        off_t offset;
        char data[];
} Request;

static Fault *generic_fault(const Node *n, const char *prefix) {
        g_autofree char *operation = NULL, *full = NULL;
        const Node *owner = node_owner(n, &operation);

        if (!owner)
                return NULL;
        full = g_strconcat(prefix, operation, NULL);
        return fault_take(owner->name, full);
}

/* What a fault of the node concerns: a function, or the bridge of a slot. */
static Device *faulty_device(const Node *n) {
        g_autofree char *operation = NULL;
        const Node *owner = node_owner(n, &operation);

        return device_find(owner->name) ?: slot_bridge(owner->name);
}

static bool generic_fault_armed(const Node *n, const char *prefix) {
        g_autofree char *operation = NULL, *full = NULL;
        const Node *owner = machine.faults->len > 0 ? node_owner(n, &operation) : NULL;

        if (!owner)
                return false;
        full = g_strconcat(prefix, operation, NULL);
        return fault_armed(owner->name, full);
}

static void do_read(void *userdata) {
        g_autofree Request *request = userdata;
        const Node *n = request->node;
        g_autoptr(GString) text = g_string_new(n->text);
        Fault *fault = generic_fault(n, "read:");
        size_t from, left;
        int r;

        r = fault_run(fault, fault ? faulty_device(n) : NULL);
        if (r == 0 && n->removed)
                r = -ENODEV;
        if (r == 0 && n->attribute)
                r = n->attribute->show(request->object, text);
        if (r < 0) {
                (void) fuse_reply_err(request->req, -r);
                return;
        }
        from = MIN((size_t) request->offset, text->len);
        left = text->len - from;
        (void) fuse_reply_buf(request->req, text->str + from, MIN(left, request->size));
}

static void do_write(void *userdata) {
        g_autofree Request *request = userdata;
        const Node *n = request->node;
        Fault *fault = n->attribute->own_faults ? NULL : generic_fault(n, "");
        Device *d = fault ? faulty_device(n) : NULL;
        int r;

        r = fault_run(fault, d);
        if (r == 0 && n->removed)
                r = -ENODEV;
        if (r == 0 && !fault_no_effect(fault))
                r = n->attribute->store(request->object, request->data, request->size, request->offset);
        fault_worsen(fault, d);
        if (r < 0)
                (void) fuse_reply_err(request->req, -r);
        else
                (void) fuse_reply_write(request->req, request->size);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
        Request *request = g_malloc(sizeof(Request));
        Node *n = node_of(ino);
        bool is_file = !n->attribute || !n->attribute->open;

        *request = (Request) {
                .req = req,
                .node = n,
                .object = is_file ? n->object : (void *) (uintptr_t) fi->fh,
                .size = size,
                .offset = is_file ? offset : 0,
        };
        if ((n->attribute && n->attribute->waits && n->attribute->waits(n->object)) || generic_fault_armed(n, "read:"))
                (void) machine_in_thread(do_read, request);
        else
                do_read(request);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *fi) {
        Request *request = g_malloc(sizeof(Request) + size + 1);
        Node *n = node_of(ino);

        *request = (Request) {
                .req = req,
                .node = n,
                .object = n->attribute->open ? (void *) (uintptr_t) fi->fh : n->object,
                .size = size,
                .offset = offset,
        };
        memcpy(request->data, data, size);
        request->data[size] = 0;
        (void) machine_in_thread(do_write, request);
}

/* A directory is listed as it is at opendir(). */
typedef struct Listing {
        unsigned n;
        const Node *nodes[];
} Listing;

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi) {
        const Node *directory = node_of(ino);
        Listing *listing;

        if (!directory || directory->kind != NODE_DIRECTORY) {
                (void) fuse_reply_err(req, ENOTDIR);
                return;
        }
        listing = g_malloc(sizeof(Listing) + (directory->children ? directory->children->len : 0) * sizeof(Node *));
        listing->n = directory->removed || !directory->children ? 0 : directory->children->len;
        for (unsigned i = 0; i < listing->n; i++)
                listing->nodes[i] = g_ptr_array_index(directory->children, i);
        fi->fh = (uint64_t) (uintptr_t) listing;
        (void) fuse_reply_open(req, fi);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi) {
        const Listing *listing = (const Listing *) (uintptr_t) fi->fh;
        g_autofree char *out = g_malloc(size);
        size_t used = 0;

        for (uint64_t i = (uint64_t) offset; i < listing->n + 2U; i++) {
                const Node *n = i >= 2 ? listing->nodes[i - 2] : node_of(ino);
                struct stat st;
                size_t length;

                if (i >= 2 && *n->name == '.') /* node_elsewhere() */
                        continue;
                fill_attributes(n, &st);
                length = fuse_add_direntry(req, out + used, size - used, i == 0 ? "." : i == 1 ? ".." : n->name, &st,
                                           (off_t) i + 1);
                if (length > size - used)
                        break;
                used += length;
        }
        (void) fuse_reply_buf(req, out, used);
}

static void op_releasedir(fuse_req_t req, _unused_ fuse_ino_t ino, struct fuse_file_info *fi) {
        g_free((void *) (uintptr_t) fi->fh);
        (void) fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops operations = {
        .init = op_init,
        .lookup = op_lookup,
        .forget = op_forget,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .open = op_open,
        .release = op_release,
        .read = op_read,
        .write = op_write,
        .opendir = op_opendir,
        .readdir = op_readdir,
        .releasedir = op_releasedir,
};

static int on_request(_unused_ sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents,
                      _unused_ void *userdata) {
        int r;

        /* Several per wake-up: a client that reads a tree asks again before the loop has come round. */
        for (unsigned i = 0; i < 16; i++) {
                r = fuse_session_receive_buf(session, &buffer);
                if (r <= 0)
                        break;
                fuse_session_process_buf(session, &buffer);
        }
        if (fuse_session_exited(session))
                _exit(EXIT_SUCCESS); /* unmounted: the machine is switched off */
        return 0;
}

int fuse_server_start(sd_event *event) {
        struct fuse_args args = FUSE_ARGS_INIT(1, ((char *[]) { (char *) "gpuptd-sim", NULL }));
        g_autofree char *options = NULL, *mountpoint = NULL;
        int fd;

        boot_time = time(NULL);
        fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        options = g_strdup_printf("fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other", fd);
        if (mount("gpuptd-sim", "/sys", "fuse", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0)
                return -errno;

        session = fuse_session_new(&args, &operations, sizeof(operations), NULL);
        if (!session)
                return -EIO;
        mountpoint = g_strdup_printf("/dev/fd/%d", fd);
        if (fuse_session_mount(session, mountpoint) < 0)
                return -EIO;
        return sd_event_add_io(event, NULL, fd, EPOLLIN, on_request, NULL);
}
