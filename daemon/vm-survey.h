/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* vm-survey: asks the adapters of the VMs that have a card what these can, for the readiness check: what would
 * become of them if the host slept (findings-sleep.c). It goes by the last look at the cards' holders, changes
 * nothing, and is over after VM_SURVEY_TIMEOUT_SEC: who has not answered then has not. */

#include "findings.h"
#include "gpu.h"
#include "vm.h"

#define VM_SURVEY_TIMEOUT_SEC 5U
/* More of them are not asked. */
#define VM_SURVEY_MAX 16U

typedef struct VmSurvey VmSurvey;

/* Never called from within. The survey is still there, and may be freed. */
typedef void (*vm_survey_handler_t)(void *userdata);

VmSurvey *vm_survey_new(void);
VmSurvey *vm_survey_free(VmSurvey *s);
DEFINE_CLEANUP(VmSurvey *, vm_survey_free);

/* The VMs that have it open. One that has several is asked once. */
int vm_survey_add(VmSurvey *s, const Gpu *g);
/* 0: there is nobody to be asked, and the handler is not called; 1: it is. Takes the number of a job, which
 * names the units. */
int vm_survey_begin(VmSurvey *s, Host *h, sd_bus *bus, vm_survey_handler_t handler, void *userdata);
/* What is known now; it points into the survey. Newly allocated. */
int vm_survey_findings(const VmSurvey *s, FindingsVm **ret, size_t *ret_n);
