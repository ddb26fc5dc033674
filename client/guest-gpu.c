/* SPDX-License-Identifier: GPL-2.0-or-later */

/* guest-gpu: a GPU as its guest will see it. Owns the rules of what the daemon's word has to look like; does not know
 * for whom it is written down. */

#include "client/guest-gpu.h"

#include "client/function.h"
#include "client/quote.h"
#include "client/report.h"
#include "dbus/names.h"

#define VENDOR_AMD_GPU 0x1002U
#define VENDOR_AMD_HOST 0x1022U

void guest_gpu_done(GuestGpu *g) {
        free(g->label);
        *g = (GuestGpu) {};
}

/* -EBADMSG for what is no number of so many bits. */
static int read_number(json_object *o, const char *key, uint64_t max, uint64_t *ret) {
        *ret = json_number(o, key);
        return *ret > max ? -EBADMSG : 0;
}

static int read_function(json_object *o, GuestFunction *ret) {
        uint64_t class, vendor, device;
        GuestFunction f = {};
        int r;

        r = pci_address_parse(json_string(o, "address"), &f.address);
        if (r >= 0)
                r = read_number(o, "class", 0xffffff, &class);
        if (r >= 0)
                r = read_number(o, "vendor", UINT16_MAX, &vendor);
        if (r >= 0)
                r = read_number(o, "device", UINT16_MAX, &device);
        if (r < 0)
                return -EBADMSG;

        (void) pci_address_format(&f.address, f.name);
        f.class = (uint32_t) class;
        f.vendor = (uint16_t) vendor;
        f.device = (uint16_t) device;
        *ret = f;
        return 0;
}

/* The one that the GPU is called after comes first: a slot without a function 0 is an empty one to a guest. */
static int add_function(GuestGpu *g, const char *display, const GuestFunction *f) {
        size_t i = g->n_functions;

        for (size_t k = 0; k < i; k++)
                if (streq(g->functions[k].name, f->name))
                        return -EBADMSG;
        if (i >= GUEST_FUNCTIONS_MAX)
                return -E2BIG;
        while (i > 0 && !streq(g->functions[i - 1].name, display) &&
               (streq(f->name, display) || pci_address_compare(&f->address, &g->functions[i - 1].address) < 0)) {
                g->functions[i] = g->functions[i - 1];
                i--;
        }
        g->functions[i] = *f;
        g->n_functions++;
        return 0;
}

static int read_functions(json_object *functions, const char *display, GuestGpu *g) {
        size_t n = functions ? json_object_array_length(functions) : 0;
        GuestFunction f;
        int r;

        for (size_t i = 0; i < n; i++) {
                r = read_function(json_object_array_get_idx(functions, i), &f);
                if (r >= 0)
                        r = add_function(g, display, &f);
                if (r < 0)
                        return r;
        }
        return n > 0 && streq(g->functions[0].name, display) ? 0 : -EBADMSG;
}

/* What is known of a GPU is also known while it is not on the bus; of its functions the addresses alone are, then. */
static int read_ids(json_object *gpu, GuestGpu *g) {
        static const struct {
                const char *key;
                uint64_t max;
        } keys[] = {
                { "vendor-id", UINT16_MAX }, { "device-id", UINT16_MAX }, { "class", 0xffffff },
                { "subsystem-vendor-id", UINT16_MAX }, { "subsystem-id", UINT16_MAX },
        };
        GuestFunction *display = &g->functions[0];
        uint64_t values[ELEMENTSOF(keys)];

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (read_number(gpu, keys[i].key, keys[i].max, &values[i]) < 0)
                        return -EBADMSG;

        display->vendor = display->vendor ?: (uint16_t) values[0];
        display->device = display->device ?: (uint16_t) values[1];
        display->class = display->class ?: (uint32_t) values[2];
        g->sub_vendor = (uint16_t) values[3];
        g->sub_device = (uint16_t) values[4];
        return 0;
}

static int read_properties(json_object *gpu, const char *display, GuestGpu *g) {
        _cleanup_free_ char *model = function_name(json_string(gpu, "name"));
        int r;

        if (!model)
                return -ENOMEM;
        r = read_functions(json_array(gpu, "functions"), display, g);
        if (r >= 0)
                r = read_ids(gpu, g);
        if (r < 0)
                return r;

        g->boot_vga = json_truth(gpu, "boot-vga");
        g->label = quote_comment(*model ? model : display);
        return g->label ? 0 : -ENOMEM;
}

/* The graphics of an AMD processor share a slot with the rest of it (its secure processor, its USB), which has the vendor
 * id of AMD's processors; a card has nothing of the kind. */
static bool has_processor_beside(json_object *groups, const GuestFunction *display) {
        size_t n = groups && json_object_is_type(groups, json_type_array) ? json_object_array_length(groups) : 0;
        PciAddress address;

        for (size_t i = 0; i < n; i++) {
                json_object *o = json_object_array_get_idx(groups, i);

                if (json_number(o, "vendor") == VENDOR_AMD_HOST &&
                    pci_address_parse(json_string(o, "address"), &address) >= 0 &&
                    pci_address_same_slot(&address, &display->address))
                        return true;
        }
        return false;
}

static int report_bad(const GpuChoice *choice, int r) {
        if (r == -E2BIG)
                report_note("%s has more than %u functions, which is as many as a guest's slot takes.", choice->address,
                            GUEST_FUNCTIONS_MAX);
        else if (r == -EBADMSG)
                report_note("What gpuptd says about %s makes no sense.", choice->address);
        else
                return r;
        return EXIT_FAILED;
}

int guest_gpu_read(Client *c, const GpuChoice *choice, GuestGpu *ret) {
        _cleanup_(json_object_putp) json_object *properties = NULL, *groups = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(guest_gpu_done) GuestGpu g = {};
        int r;

        r = client_get_properties(c, choice->path, GPUPT_GPU_INTERFACE, &properties, &error);
        if (r < 0)
                return (int) report_error(choice->address, &error, r);
        r = read_properties(properties, choice->address, &g);
        if (r < 0)
                return report_bad(choice, r);

        if (g.functions[0].vendor == VENDOR_AMD_GPU) {
                r = client_query(c, GPUPT_OBJECT_PATH, GPUPT_MANAGER_INTERFACE, "ListGroups", &groups, &error);
                if (r < 0)
                        return (int) report_error(choice->address, &error, r);
                g.integrated = has_processor_beside(groups, &g.functions[0]);
        }

        *ret = g;
        g = (GuestGpu) {};
        return 0;
}
