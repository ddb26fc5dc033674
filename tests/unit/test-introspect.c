/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-introspect: that what the program says of its interfaces is what is checked in under dbus/, and that
 * both are what other programs' parsers accept. */

#include <gio/gio.h>

#include "util/cleanup.h"

static const struct {
        const char *object, *interface;
} objects[] = {
        { "manager", "org.gpupt1.Manager" },
        { "gpu", "org.gpupt1.Gpu" },
        { "job", "org.gpupt1.Job" },
};

static char *run(int status, const char *const *argv) {
        g_autoptr(GError) error = NULL;
        char *out = NULL;
        int wait_status;

        g_assert_true(g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                                   NULL, &out, NULL, &wait_status, &error));
        g_assert_no_error(error);
        g_assert_true(WIFEXITED(wait_status));
        g_assert_cmpint(WEXITSTATUS(wait_status), ==, status);
        return out;
}

static char *print(const char *object, int status) {
        g_autofree char *option = g_strdup_printf("--bus-introspect=%s", object);

        return run(status, (const char *const[]) { g_getenv("GPUPT_DAEMON"), option, NULL });
}

static char *file_of(const char *interface) {
        g_autofree char *name = g_strdup_printf("%s.xml", interface);

        return g_test_build_filename(G_TEST_DIST, "dbus", name, NULL);
}

static void test_files(void) {
        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                g_autofree char *printed = print(objects[i].object, 0), *path = file_of(objects[i].interface),
                                *text = NULL;

                g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
                g_assert_cmpstr(printed, ==, text);
                g_free(run(0, (const char *const[]) { "xmllint", "--noout", "--nonet", path, NULL }));
        }
}

/* Names for every argument, once each: bindings make parameters of them. */
static void check_arguments(const char *member, GDBusArgInfo **arguments) {
        for (size_t i = 0; arguments && arguments[i]; i++) {
                g_test_message("%s: %s %s", member, arguments[i]->signature, arguments[i]->name);
                g_assert_true(g_variant_is_signature(arguments[i]->signature));
                g_assert_nonnull(arguments[i]->name);
                g_assert_cmpstr(arguments[i]->name, !=, "");
                for (size_t k = 0; k < i; k++)
                        g_assert_cmpstr(arguments[k]->name, !=, arguments[i]->name);
        }
}

static void test_parsed(void) {
        for (size_t i = 0; i < ELEMENTSOF(objects); i++) {
                g_autofree char *printed = print(objects[i].object, 0);
                g_autoptr(GError) error = NULL;
                g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(printed, &error);
                GDBusInterfaceInfo *interface;

                g_assert_no_error(error);
                interface = g_dbus_node_info_lookup_interface(node, objects[i].interface);
                g_assert_nonnull(interface);
                for (GDBusMethodInfo **m = interface->methods; m && *m; m++) {
                        check_arguments((*m)->name, (*m)->in_args);
                        check_arguments((*m)->name, (*m)->out_args);
                }
                for (GDBusSignalInfo **s = interface->signals; s && *s; s++)
                        check_arguments((*s)->name, (*s)->args);
                for (GDBusPropertyInfo **p = interface->properties; p && *p; p++)
                        g_assert_true(g_variant_is_signature((*p)->signature));
        }
}

static void test_no_object(void) {
        static const char *const bad[] = { "", "Gpu", "gpus", "org.gpupt1.Gpu" };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                g_autofree char *printed = print(bad[i], 1);

                g_assert_cmpstr(printed, ==, "");
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/introspect/files", test_files);
        g_test_add_func("/introspect/parsed", test_parsed);
        g_test_add_func("/introspect/no-object", test_no_object);
        return g_test_run();
}
