/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-libvirt-xml: a domain that may be anything. Nobody is connected to a channel that is not there. */

#include "fuzz.h"
#include "vm.d/libvirt-xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *xml = fuzz_string(data, size);
        DomainFacts facts;

        domain_facts_read(xml, &facts);
        FUZZ_ASSERT(!facts.agent_connected || facts.has_agent);
        return 0;
}
