/* SPDX-License-Identifier: GPL-2.0-or-later */

/* libvirt-xml: looks for tags, not at nesting. That is enough, since in what libvirt formats no text and no attribute
 * contains a '<' (virBufferEscapeString()), and the names looked for are nowhere else in a domain. */

#include "vm.d/libvirt-xml.h"

/* The next tag of this name, what is between its angle brackets; NULL at the end. */
static const char *find_tag(const char *from, const char *end, const char *name, size_t *ret_size) {
        size_t n = strlen(name);

        while (from < end) {
                const char *tag = memchr(from, '<', (size_t) (end - from)), *close;

                if (!tag)
                        return NULL;
                tag++;
                close = memchr(tag, '>', (size_t) (end - tag));
                if (!close)
                        return NULL;
                if ((size_t) (close - tag) >= n && memcmp(tag, name, n) == 0 &&
                    ((size_t) (close - tag) == n || strchr(" /\n\t", tag[n]))) {
                        *ret_size = (size_t) (close - tag);
                        return tag;
                }
                from = close + 1;
        }
        return NULL;
}

/* Whether the tag has the attribute with this value: name='value', with either kind of quotes. */
static bool has_attribute(const char *tag, size_t size, const char *name, const char *value) {
        size_t n = strlen(name), k = strlen(value);

        for (size_t i = 1; i + n + k + 3 <= size; i++) {
                const char *p = tag + i + n;

                if (strchr(" \n\t", tag[i - 1]) && memcmp(tag + i, name, n) == 0 && p[0] == '=' && (p[1] == '\'' || p[1] == '"') &&
                    memcmp(p + 2, value, k) == 0 && p[2 + k] == p[1])
                        return true;
        }
        return false;
}

static bool is_enabled(const char *from, const char *end, const char *name) {
        size_t size;
        const char *tag = find_tag(from, end, name, &size);

        return !tag || !has_attribute(tag, size, "enabled", "no");
}

void domain_facts_read(const char *xml, DomainFacts *ret) {
        const char *end = xml + strlen(xml), *pm, *pm_end, *target;
        DomainFacts facts = { .s3 = true, .s4 = true };
        size_t size;

        pm = find_tag(xml, end, "pm", &size);
        if (pm) {
                pm_end = find_tag(pm, end, "/pm", &size) ?: end;
                facts.s3 = is_enabled(pm, pm_end, "suspend-to-mem");
                facts.s4 = is_enabled(pm, pm_end, "suspend-to-disk");
        }
        for (const char *from = xml; (target = find_tag(from, end, "target", &size)); from = target + size)
                if (has_attribute(target, size, "name", "org.qemu.guest_agent.0")) {
                        facts.has_agent = true;
                        facts.agent_connected = has_attribute(target, size, "state", "connected");
                }
        *ret = facts;
}
