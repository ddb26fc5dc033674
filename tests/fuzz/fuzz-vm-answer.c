/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fuzz-vm-answer: an adapter that may say anything. The first two bytes are the verb (from 'a' on, in the order of the enum)
 * and the exit status ('/' is none, then '0'), the rest is what it prints. */

#include "fuzz.h"
#include "vm-answer.h"

/* One line of limited length that a terminal survives. */
static void assert_clean(const char *s, size_t max) {
        FUZZ_ASSERT(s && strlen(s) <= max);
        for (; *s; s++)
                FUZZ_ASSERT((unsigned char) *s >= ' ' && *s != 0x7f);
}

static void assert_hint(bool can, const char *hint) {
        if (!hint)
                return;
        FUZZ_ASSERT(!can && *hint);
        assert_clean(hint, 1023);
}

static void assert_answer(VmVerb verb, int status, const VmAnswer *a) {
        bool identified = verb == VM_IDENTIFY && a->result == VM_DONE;

        assert_clean(a->reason, 1023);
        assert_clean(a->error, 31);
        FUZZ_ASSERT(a->state >= 0 && a->state < _VM_STATE_MAX);
        FUZZ_ASSERT((a->result == VM_DONE) == isempty(a->reason));
        FUZZ_ASSERT(a->result != VM_DONE || (status == 0 && isempty(a->error)));
        FUZZ_ASSERT(a->result != VM_TIMED_OUT || status == 1);
        FUZZ_ASSERT(a->result != VM_NOT_MINE || (status == 2 && verb == VM_IDENTIFY));
        FUZZ_ASSERT(a->result != VM_NOT_SUPPORTED || status == 3);

        FUZZ_ASSERT(identified == !!a->id && identified == !!a->name);
        if (identified) {
                FUZZ_ASSERT(vm_id_valid(a->id) && *a->name);
                assert_clean(a->id, VM_ID_MAX);
                assert_clean(a->name, 255);
        }
        FUZZ_ASSERT(verb == VM_CAPABILITIES || !(a->agent || a->s3 || a->s4 || a->restart));
        assert_hint(a->agent, a->hint_agent);
        assert_hint(a->s3, a->hint_s3);
        assert_hint(a->s4, a->hint_s4);
        assert_hint(a->restart, a->hint_restart);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* Of exactly its size, and without a NUL behind it: so is what a program prints. */
        _cleanup_free_ char *output = size > 2 ? malloc(size - 2) : NULL;
        VmAnswer a;
        VmVerb verb;
        int status;

        if (size < 2 || (size > 2 && !output))
                return 0;
        verb = (VmVerb) ((data[0] + _VM_VERB_MAX * 16U - 'a') % _VM_VERB_MAX);
        status = data[1] - '0';
        if (output)
                memcpy(output, data + 2, size - 2);
        FUZZ_ASSERT(vm_answer_parse(verb, status, output, size - 2, &a) == 0);
        assert_answer(verb, status, &a);
        vm_answer_done(&a);
        return 0;
}
