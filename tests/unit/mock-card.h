/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* mock-card: the properties of mock-daemon's first GPU that say what kind of a card it is. */

#include <systemd/sd-bus.h>

#include "tests/unit/mock-daemon.h"

bool mock_card_has(MockCard card, const char *property);
int mock_card_append(sd_bus_message *reply, MockCard card, const char *property);
