/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* node: the tree of directories, attributes and links that the simulated kernel shows as /sys. It knows nothing of PCI;
 * the model hangs its objects into it, the FUSE server serves it. All of it is used under the machine's lock. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum NodeKind {
        NODE_DIRECTORY,
        NODE_ATTRIBUTE,
        NODE_LINK,
} NodeKind;

typedef struct Node Node;
typedef struct Attribute Attribute;

/* What a kind of attribute does. `show` appends the whole content; `store` gets the bytes of one write(2) and returns 0
 * or a negative errno. `object` is what the attribute was hung in with. */
struct Attribute {
        const char *name;
        mode_t mode;
        int (*show)(void *object, GString *out);
        int (*store)(void *object, const char *data, size_t n, off_t offset);
        size_t size;                         /* shown as st_size; 0 means the page that every text attribute claims */
        bool (*visible)(const void *object); /* asked once, when the attribute is hung in; NULL means always */
        bool (*waits)(const void *object);   /* would `show` have to wait for a lock now? NULL means never */
        bool own_faults;                     /* its code has fault points of its own: the generic one is left out */
        /* A character device: `open` makes what `show` and `store` get instead of `object`, `release` ends it; offsets mean
         * nothing. NULL for both in attributes. */
        void *(*open)(void *object);
        void (*release)(void *opened);
};

struct Node {
        Node *parent;
        char *name;
        NodeKind kind;
        bool removed;  /* taken out of the tree; open files answer ENODEV */
        bool fixed;    /* never goes away: clients may cache the name */
        bool is_owner; /* a device, driver or module: what faults are aimed at */
        uint32_t number;

        GPtrArray *children; /* NODE_DIRECTORY: of Node, in order of creation */
        GHashTable *by_name; /* the same by name, once there are many */

        const Attribute *attribute; /* NODE_ATTRIBUTE with code, else .text */
        void *object;
        char *text;

        Node *target; /* NODE_LINK; shown as a relative path, as sysfs does */
};

/* Numbers are given once and never reused; number 1 is the root. A removed node stays readable by number. */
Node *node_root(void);
/* A directory that no listing of /sys shows: what is mounted from there to where the machine has it (/proc/acpi, /dev). */
Node *node_elsewhere(void);
Node *node_by_number(uint32_t number);

Node *node_add_directory(Node *parent, const char *name);
Node *node_add_link(Node *parent, const char *name, Node *target);
Node *node_add_text(Node *parent, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
Node *node_add_attribute(Node *parent, const Attribute *attribute, void *object);
void node_add_attributes(Node *parent, const Attribute *table, void *object);

/* mkdir -p below `parent`, for paths such as "bus/pci/drivers". All of it is fixed. */
Node *node_add_path(Node *parent, const char *path);

/* Takes the node and everything below it out of the tree; NULL is fine. */
void node_remove(Node *n);
void node_remove_child(Node *parent, const char *name);
void node_set_text(Node *n, const char *format, ...) G_GNUC_PRINTF(2, 3);

Node *node_find(const Node *parent, const char *name);

/* The path below /sys, without a leading slash: "devices/pci0000:00/0000:00:01.0". Free with g_free(). */
char *node_path(const Node *n);
char *node_link_text(const Node *link);

/* The device, driver or module that the node belongs to, and the path below it ("power/control"); *ret_operation is
 * freed with g_free(). NULL for nodes that belong to none. */
const Node *node_owner(const Node *n, char **ret_operation);
