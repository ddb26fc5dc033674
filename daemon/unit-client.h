/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* unit-client: starts and stops units of systemd1 and tells when that is over, and how. What it asks for goes on when
 * the daemon dies: the unit is systemd's. */

#include <systemd/sd-bus.h>

#include "util/cleanup.h"

typedef struct UnitClient UnitClient;
typedef struct UnitOperation UnitOperation;

typedef enum UnitAction {
        UNIT_START, /* reset-failed first: after some handovers a unit is at its StartLimitBurst= */
        UNIT_STOP,  /* a unit that is not loaded or not active is left alone */
} UnitAction;

/* error is 0, or a negative errno with a text that says what systemd said. The operation is freed after the call. */
typedef void (*unit_handler_t)(int error, const char *text, void *userdata);
/* Of UNIT_STOP: the unit is active, and has not been asked to stop yet. Negative: nor will it be, and that is the error. */
typedef int (*unit_active_handler_t)(void *userdata);

int unit_client_new(sd_bus *bus, UnitClient **ret);
UnitClient *unit_client_free(UnitClient *c);
DEFINE_CLEANUP(UnitClient *, unit_client_free);
/* The bus that systemd1 is on. */
sd_bus *unit_client_bus(const UnitClient *c);

int unit_client_do(UnitClient *c, UnitAction action, const char *unit, unit_active_handler_t active,
                   unit_handler_t handler, void *userdata, UnitOperation **ret);
/* Stops listening; the handler is not called. */
UnitOperation *unit_operation_free(UnitOperation *o);
DEFINE_CLEANUP(UnitOperation *, unit_operation_free);

/* The name of an instance of one of our own templates ("gpuptd-modprobe@%s.service"), with the instance escaped as
 * systemd-escape(1) does. Newly allocated. */
char *unit_instance_name(const char *format, const char *instance);
