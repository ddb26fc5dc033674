/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* request-internal: what the files of the request share. Nobody else includes this. */

#include "manager-defaults.h"
#include "polkit.h"
#include "request.h"
#include "rom-read.h"

struct Request {
        Manager *manager; /* weak */
        RequestKind kind;
        sd_bus_message *message;
        char *gpu;        /* address */
        unsigned job;     /* of REQUEST_CANCEL */
        Operation operation;
        PlanOptions options;
        bool access_action; /* the access option needs an action of its own */
        uint32_t uid;
        Holders *shown;
        ScanWaiter *look;
        CensusWaiter *census;
        bool joined;        /* that census was running before */
        PolkitQuery *query;
        RomRead *rom; /* weak */
        bool vfio;    /* of REQUEST_DEFAULT */
        DefaultWaiter *waiter;
        LIST_FIELDS(Request, requests);
};

int request_new(Manager *m, RequestKind kind, const char *gpu, sd_bus_message *message, Request **ret, sd_bus_error *error);
Request *request_free(Request *q);
DEFINE_CLEANUP(Request *, request_free);
/* Answers with the error (or, without one, with what the errno is) and lets go. */
void request_fail(Request *q, int r, sd_bus_error *error);
/* What polkit said, as an error; 0 if it said yes. */
int request_check_verdict(PolkitVerdict verdict, sd_bus_error *error);
