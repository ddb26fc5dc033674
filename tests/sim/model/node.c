/* SPDX-License-Identifier: GPL-2.0-or-later */

/* node: see node.h. Nodes are never freed: a process is one machine with one life, and an open file may outlive the node
 * that it was opened on. */

#include "model/node.h"

#include <stdarg.h>
#include <string.h>

#include "util/cleanup.h"

/* From this number of children on a directory is searched by hash. */
#define CHILDREN_LINEAR_MAX 48U

static GPtrArray *nodes;

static Node *node_new(Node *parent, const char *name, NodeKind kind) {
        Node *n;

        if (!nodes) {
                nodes = g_ptr_array_new();
                g_ptr_array_add(nodes, NULL); /* number 0 is invalid for FUSE */
        }

        n = g_new(Node, 1);
        *n = (Node) {
                .parent = parent,
                .name = g_strdup(name),
                .kind = kind,
                .number = nodes->len,
        };
        g_ptr_array_add(nodes, n);
        if (!parent)
                return n;

        if (!parent->children)
                parent->children = g_ptr_array_new();
        g_ptr_array_add(parent->children, n);

        if (!parent->by_name && parent->children->len > CHILDREN_LINEAR_MAX) {
                parent->by_name = g_hash_table_new(g_str_hash, g_str_equal);
                for (unsigned i = 0; i < parent->children->len; i++) {
                        Node *c = g_ptr_array_index(parent->children, i);

                        g_hash_table_insert(parent->by_name, c->name, c);
                }
        } else if (parent->by_name)
                g_hash_table_insert(parent->by_name, n->name, n);
        return n;
}

Node *node_root(void) {
        if (!nodes) {
                Node *root = node_new(NULL, "", NODE_DIRECTORY);

                root->fixed = true;
        }
        return g_ptr_array_index(nodes, 1);
}

Node *node_elsewhere(void) {
        return node_add_path(node_root(), ".elsewhere");
}

Node *node_by_number(uint32_t number) {
        return nodes && number < nodes->len ? g_ptr_array_index(nodes, number) : NULL;
}

Node *node_add_directory(Node *parent, const char *name) {
        return node_new(parent, name, NODE_DIRECTORY);
}

Node *node_add_link(Node *parent, const char *name, Node *target) {
        Node *n = node_new(parent, name, NODE_LINK);

        n->target = target;
        return n;
}

Node *node_add_text(Node *parent, const char *name, const char *format, ...) {
        Node *n = node_new(parent, name, NODE_ATTRIBUTE);
        va_list ap;

        va_start(ap, format);
        n->text = g_strdup_vprintf(format, ap);
        va_end(ap);
        return n;
}

void node_set_text(Node *n, const char *format, ...) {
        va_list ap;

        g_free(n->text);
        va_start(ap, format);
        n->text = g_strdup_vprintf(format, ap);
        va_end(ap);
}

Node *node_add_attribute(Node *parent, const Attribute *attribute, void *object) {
        Node *n;

        if (attribute->visible && !attribute->visible(object))
                return NULL;
        n = node_new(parent, attribute->name, NODE_ATTRIBUTE);
        n->attribute = attribute;
        n->object = object;
        return n;
}

void node_add_attributes(Node *parent, const Attribute *table, void *object) {
        for (const Attribute *a = table; a->name; a++)
                (void) node_add_attribute(parent, a, object);
}

Node *node_add_path(Node *parent, const char *path) {
        g_auto(GStrv) words = g_strsplit(path, "/", -1);

        for (char **w = words; *w; w++) {
                Node *n = node_find(parent, *w);

                if (!n) {
                        n = node_add_directory(parent, *w);
                        n->fixed = true;
                }
                parent = n;
        }
        return parent;
}

static void node_mark_removed(Node *n) {
        n->removed = true;
        for (unsigned i = 0; n->children && i < n->children->len; i++)
                node_mark_removed(g_ptr_array_index(n->children, i));
}

void node_remove(Node *n) {
        if (!n || n->removed)
                return;
        if (n->parent->by_name)
                (void) g_hash_table_remove(n->parent->by_name, n->name);
        (void) g_ptr_array_remove(n->parent->children, n);
        node_mark_removed(n);
}

void node_remove_child(Node *parent, const char *name) {
        node_remove(node_find(parent, name));
}

Node *node_find(const Node *parent, const char *name) {
        if (!parent || !parent->children)
                return NULL;
        if (parent->by_name)
                return g_hash_table_lookup(parent->by_name, name);

        for (unsigned i = 0; i < parent->children->len; i++) {
                Node *c = g_ptr_array_index(parent->children, i);

                if (streq(c->name, name))
                        return c;
        }
        return NULL;
}

char *node_path(const Node *n) {
        GString *path = g_string_new(n->name);

        for (n = n->parent; n && n->parent; n = n->parent) {
                g_string_prepend_c(path, '/');
                g_string_prepend(path, n->name);
        }
        return g_string_free(path, false);
}

char *node_link_text(const Node *link) {
        g_autofree char *target = node_path(link->target), *here = node_path(link->parent);
        const char *t = target, *h = here;
        GString *text = g_string_new(NULL);

        /* Drop the directories that both share, climb out of the rest: as kernfs_get_target_path() does. */
        for (;;) {
                size_t tl = strcspn(t, "/"), hl = strcspn(h, "/");

                if (tl != hl || tl == 0 || memcmp(t, h, tl) != 0 || !t[tl])
                        break;
                t += tl + 1;
                h += hl;
                if (*h == '/')
                        h++;
        }
        while (*h) {
                g_string_append(text, "../");
                h += strcspn(h, "/");
                if (*h == '/')
                        h++;
        }
        g_string_append(text, t);
        return g_string_free(text, false);
}

const Node *node_owner(const Node *n, char **ret_operation) {
        GString *operation = g_string_new(n->name);

        for (n = n->parent; n; n = n->parent) {
                if (n->is_owner) {
                        *ret_operation = g_string_free(operation, false);
                        return n;
                }
                g_string_prepend_c(operation, '/');
                g_string_prepend(operation, n->name);
        }
        (void) g_string_free(operation, true);
        return NULL;
}
