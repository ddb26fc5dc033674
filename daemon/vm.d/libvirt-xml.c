/* SPDX-License-Identifier: GPL-2.0-or-later */

/* libvirt-xml: looks for tags, not at nesting. That is enough, since the names looked for are nowhere else in a domain. */

#include "vm.d/libvirt-xml.h"

#include "util/xml.h"

void domain_facts_read(const char *xml, DomainFacts *ret) {
        DomainFacts facts = { .s3 = true, .s4 = true };
        bool in_pm = false;
        XmlReader reader;
        XmlTag tag;

        xml_reader_init(&reader, xml, strlen(xml));
        while (xml_reader_next(&reader, &tag) > 0) {
                if (xml_tag_is(&tag, "pm"))
                        in_pm = !tag.closes;
                else if (in_pm && xml_tag_is(&tag, "suspend-to-mem") && xml_tag_has(&tag, "enabled", "no"))
                        facts.s3 = false;
                else if (in_pm && xml_tag_is(&tag, "suspend-to-disk") && xml_tag_has(&tag, "enabled", "no"))
                        facts.s4 = false;
                else if (xml_tag_is(&tag, "target") && xml_tag_has(&tag, "name", "org.qemu.guest_agent.0")) {
                        facts.has_agent = true;
                        facts.agent_connected = xml_tag_has(&tag, "state", "connected");
                }
        }
        *ret = facts;
}
