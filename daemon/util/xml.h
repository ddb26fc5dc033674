/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* xml: the tags of a document, one after the other, with their attributes; text is passed over. Enough for what libvirt
 * formats, and strict: what it would never write (a document type, attributes without quotes, a tag in a tag) is an error.
 * Entities are not resolved: nothing that is looked for has any. */

#include "util/cleanup.h"

typedef struct XmlTag {
        const char *name;       /* not NUL-terminated, as the next */
        size_t name_size;
        const char *attributes;
        size_t attributes_size;
        bool opens, closes;     /* <x>, </x>; <x/> is both */
} XmlTag;

typedef struct XmlReader {
        const char *position, *end;
} XmlReader;

void xml_reader_init(XmlReader *r, const char *text, size_t size);

/* 1 and the next tag, 0 at the end, -EBADMSG where the text is not of this form. */
int xml_reader_next(XmlReader *r, XmlTag *ret);

bool xml_tag_is(const XmlTag *t, const char *name);
/* The value of an attribute and its size; NULL without it. */
const char *xml_tag_get(const XmlTag *t, const char *name, size_t *ret_size);
bool xml_tag_has(const XmlTag *t, const char *name, const char *value);
