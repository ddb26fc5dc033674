/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* libvirt-xml: the few facts that libvirt has in a domain's XML and nowhere else. Pure. The text is what libvirt formats
 * (virDomainGetXMLDesc()), so it is well-formed, but its values are the domain's. */

#include "util/cleanup.h"

typedef struct DomainFacts {
        bool s3, s4;          /* <pm>; without a word about it, on, as QEMU has it */
        bool has_agent;       /* there is a channel for an agent */
        bool agent_connected; /* and somebody in the guest has it open */
} DomainFacts;

void domain_facts_read(const char *xml, DomainFacts *ret);
