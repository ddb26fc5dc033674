/* SPDX-License-Identifier: GPL-2.0-or-later */

/* test-client-guest: what is written for the guest that gets a card: its configuration and its scripts. Others parse all of
 * it, so it is compared to the letter, and names of somebody else's making are in it as little as can be. */

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "tests/unit/client-fixture.h"
#include "tests/unit/loop.h"

static const MockScript plain = { .n_gpus = 1 };
static const MockScript two = { .n_gpus = 2 };
static const MockScript four = { .n_gpus = 1, .card = MOCK_CARD_FOUR };
static const MockScript apu = { .n_gpus = 1, .card = MOCK_CARD_APU };
static const MockScript radeon = { .n_gpus = 1, .card = MOCK_CARD_RADEON };
static const MockScript laptop = { .n_gpus = 1, .card = MOCK_CARD_LAPTOP };
static const MockScript hostile = { .n_gpus = 1, .card = MOCK_CARD_HOSTILE };
static const MockScript senseless = { .n_gpus = 1, .card = MOCK_CARD_SENSELESS };
static const MockScript twice = { .n_gpus = 1, .card = MOCK_CARD_TWICE };
static const MockScript headless = { .n_gpus = 1, .card = MOCK_CARD_HEADLESS };
static const MockScript nine = { .n_gpus = 1, .card = MOCK_CARD_NINE };
static const MockScript absent = { .n_gpus = 1, .card = MOCK_CARD_ABSENT };

/* Runs it, which has to succeed without a word on stderr. */
static const char *output_of(Fixture *f, const char *line) {
        g_assert_cmpint(client(f, line), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        return f->out;
}

/* What one program reads from stdin and prints; it has to succeed. */
static char *piped(const char *const *argv, const char *input) {
        g_autoptr(GSubprocess) process = NULL;
        g_autoptr(GError) error = NULL;
        char *out = NULL;

        process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
        g_assert_no_error(error);
        g_assert_true(g_subprocess_communicate_utf8(process, input, NULL, &out, NULL, &error));
        g_assert_no_error(error);
        g_assert_true(g_subprocess_get_successful(process));
        return out;
}

/* The words that a shell makes of a line. */
static GStrv words_of(const char *line) {
        g_autofree char *script = g_strdup_printf("printf '%%s\\n' %s", line), *out = NULL;

        out = piped((const char *const[]) { "sh", "-c", script, NULL }, NULL);
        return g_strsplit(g_strchomp(out), "\n", -1);
}

/* Elements, as XML's own tool reads them back. */
static void assert_xml(const char *elements, const char *xpath, const char *value) {
        g_autofree char *document = g_strdup_printf("<domain>%s</domain>", elements), *out = NULL,
                        *expression = g_strdup_printf("string(%s)", xpath);

        out = piped((const char *const[]) { "xmllint", "--nonet", "--xpath", expression, "-", NULL }, document);
        g_assert_cmpstr(g_strchomp(out), ==, value);
}

/* ---- xml ---- */

#define SOURCE(function)                                                                               \
        "<hostdev mode='subsystem' type='pci' managed='no'>\n"                                         \
        "  <source>\n"                                                                                 \
        "    <address domain='0x0000' bus='0x01' slot='0x00' function='" function "'/>\n"              \
        "  </source>\n"
#define GUEST(function, more)                                                                          \
        "  <address type='pci' domain='0x0000' bus='0x0e' slot='0x00' function='" function "'" more "/>\n" \
        "</hostdev>\n"
#define COMMENT(name) "<!-- " name ". The bus 0x0e is a free pcie-root-port of the guest's. -->\n"
#define PORT "-device pcie-root-port,id=gpu-0000-01-00-0,bus=pcie.0,chassis=129 "
#define ON_PORT(n) ",bus=gpu-0000-01-00-0,addr=00." n

#define FOUR_XML                                                                                       \
        COMMENT("NVIDIA TU104 [GeForce RTX 2080]")                                                     \
        SOURCE("0x0") GUEST("0x0", " multifunction='on'")                                              \
        SOURCE("0x1") GUEST("0x1", "") SOURCE("0x2") GUEST("0x2", "") SOURCE("0x3") GUEST("0x3", "")
#define FOUR_QEMU                                                                                      \
        PORT "-device vfio-pci,host=0000:01:00.0" ON_PORT("0") ",multifunction=on"                     \
        " -device vfio-pci,host=0000:01:00.1" ON_PORT("1") " -device vfio-pci,host=0000:01:00.2" ON_PORT("2") \
        " -device vfio-pci,host=0000:01:00.3" ON_PORT("3") "\n"
#define FOUR_QM                                                                                        \
        "qm set VMID --hostpci0 '0000:01:00.0;0000:01:00.1;0000:01:00.2;0000:01:00.3,pcie=1,x-vga=1'\n"

static void test_four(Fixture *f, gconstpointer data) {
        g_assert_cmpstr(output_of(f, "xml 01:00.0 --format=libvirt"), ==, FOUR_XML);
        assert_xml(f->out, "count(/domain/hostdev)", "4");
        g_assert_cmpstr(output_of(f, "xml --format=qemu"), ==, FOUR_QEMU);
        g_assert_cmpstr(output_of(f, "xml --format=proxmox"), ==, FOUR_QM);
        g_assert_cmpstr(output_of(f, "xml"), ==,
                        "libvirt: for 'virsh edit'\n" FOUR_XML "\nQEMU: arguments, for -machine q35\n" FOUR_QEMU
                        "\nProxmox VE: for a machine of type q35\n" FOUR_QM);
}

static void test_apu(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "xml --format=libvirt"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, COMMENT("AMD Phoenix3") SOURCE("0x0") GUEST("0x0", " multifunction='on'") SOURCE("0x1")
                        GUEST("0x1", ""));
        assert_has(f->err, "The guest needs the firmware image of 0000:01:00.0");
        assert_has(f->err, "'gpuptctl rom 0000:01:00.0 -o FILE'");
        (void) output_of(f, "xml -q");

        g_assert_cmpstr(output_of(f, "xml --format=libvirt --rom=/srv/apu.rom"), ==,
                        COMMENT("AMD Phoenix3") SOURCE("0x0") "  <rom file='/srv/apu.rom'/>\n"
                        GUEST("0x0", " multifunction='on'") SOURCE("0x1") GUEST("0x1", ""));
        g_assert_cmpstr(output_of(f, "xml --format=qemu --rom=/srv/apu.rom"), ==,
                        PORT "-device vfio-pci,host=0000:01:00.0" ON_PORT("0") ",multifunction=on,romfile=/srv/apu.rom"
                        " -device vfio-pci,host=0000:01:00.1" ON_PORT("1") "\n");
        g_assert_cmpint(client(f, "xml --format=proxmox --rom=/srv/apu.rom"), ==, EXIT_DONE);
        g_assert_cmpstr(f->out, ==, "qm set VMID --hostpci0 '0000:01:00.0;0000:01:00.1,pcie=1,x-vga=1,romfile=apu.rom'\n");
        assert_has(f->err, "copy /srv/apu.rom there.");
        g_assert_cmpstr(output_of(f, "xml --format=proxmox --rom=/usr/share/kvm/a/b.rom"), ==,
                        "qm set VMID --hostpci0 '0000:01:00.0;0000:01:00.1,pcie=1,x-vga=1,romfile=a/b.rom'\n");
}

/* A card has a ROM of its own. The display is function 0 of the guest's slot, wherever the rest comes from. */
static void test_radeon(Fixture *f, gconstpointer data) {
        g_assert_cmpstr(output_of(f, "xml --format=qemu"), ==,
                        PORT "-device vfio-pci,host=0000:01:00.0" ON_PORT("0") ",multifunction=on"
                        " -device vfio-pci,host=0000:00:1f.3" ON_PORT("1") "\n");
}

#define LAPTOP_SOUND SOURCE("0x1") GUEST("0x1", "") SOURCE("0x2") GUEST("0x2", "")

/* Its driver wants the subsystem ids; and it is no VGA. */
static void test_laptop(Fixture *f, gconstpointer data) {
        g_assert_cmpstr(output_of(f, "xml --format=libvirt"), ==,
                        COMMENT("NVIDIA TU106M") SOURCE("0x0") "  <alias name='ua-gpu-0000-01-00-0'/>\n"
                        GUEST("0x0", " multifunction='on'") LAPTOP_SOUND
                        "<!-- Not in <devices>, but beside it: the ids that the driver in the guest looks for. -->\n"
                        "<qemu:override xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
                        "  <qemu:device alias='ua-gpu-0000-01-00-0'>\n"
                        "    <qemu:frontend>\n"
                        "      <qemu:property name='x-pci-sub-vendor-id' type='unsigned' value='4163'/>\n"
                        "      <qemu:property name='x-pci-sub-device-id' type='unsigned' value='4255'/>\n"
                        "    </qemu:frontend>\n"
                        "  </qemu:device>\n"
                        "</qemu:override>\n");
        assert_xml(f->out, "/domain/hostdev[1]/alias/@name", "ua-gpu-0000-01-00-0");
        g_assert_cmpstr(output_of(f, "xml --format=qemu"), ==,
                        PORT "-device vfio-pci,host=0000:01:00.0" ON_PORT("0")
                        ",multifunction=on,x-pci-sub-vendor-id=0x1043,x-pci-sub-device-id=0x109f"
                        " -device vfio-pci,host=0000:01:00.1" ON_PORT("1") " -device vfio-pci,host=0000:01:00.2" ON_PORT("2") "\n");
        g_assert_cmpstr(output_of(f, "xml --format=proxmox"), ==,
                        "qm set VMID --hostpci0 '0000:01:00.0;0000:01:00.1;0000:01:00.2,pcie=1,"
                        "sub-vendor-id=0x1043,sub-device-id=0x109f'\n");
}

/* The boot VGA may need an image; a card that is not on the bus is at its address all the same. */
static void test_boot_vga(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "xml"), ==, EXIT_DONE);
        assert_has(f->err, "The host was started with 0000:01:00.0 as its display");
        (void) output_of(f, "xml --rom=/usr/share/kvm/x");
}

static void test_absent(Fixture *f, gconstpointer data) {
        g_assert_cmpstr(output_of(f, "xml --format=libvirt"), ==, COMMENT("0000:01:00.0") SOURCE("0x0") GUEST("0x0", ""));
}

static void test_json(Fixture *f, gconstpointer data) {
        json_object *all = parse(output_of(f, "xml --json=short")), *qemu = get(all, "qemu"), *qm = get(all, "proxmox");

        g_assert_cmpstr(json_object_get_string(get(all, "libvirt")), ==, FOUR_XML);
        g_assert_cmpuint(json_object_array_length(qemu), ==, 10);
        g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(qemu, 3)), ==,
                        "vfio-pci,host=0000:01:00.0" ON_PORT("0") ",multifunction=on");
        g_assert_cmpstr(json_object_get_string(json_object_array_get_idx(qm, 4)), ==,
                        "0000:01:00.0;0000:01:00.1;0000:01:00.2;0000:01:00.3,pcie=1,x-vga=1");
        json_object_put(all);

        all = parse(output_of(f, "xml -j --format=qemu"));
        g_assert_cmpint(json_object_object_length(all), ==, 1);
        json_object_put(all);
}

/* A path that every one of the three has to hide from its reader. */
static void test_rom_names(Fixture *f, gconstpointer data) {
        static const char path[] = "/srv/it's <a> & \"b\", $(reboot);.rom";
        g_auto(GStrv) words = NULL;
        g_autofree char *quoted = g_shell_quote(path), *line = g_strconcat("xml --format=libvirt --rom=", quoted, NULL);

        assert_xml(output_of(f, line), "/domain/hostdev[1]/rom/@file", path);
        assert_xml(f->out, "count(//rom)", "1");
        assert_has_not(f->out, "<a>");

        g_free(line);
        line = g_strconcat("xml --format=qemu --rom=", quoted, NULL);
        words = words_of(output_of(f, line));
        g_assert_cmpuint(g_strv_length(words), ==, 10);
        g_assert_true(g_str_has_suffix(words[3], ",romfile=/srv/it's <a> & \"b\",, $(reboot);.rom"));
}

static void test_rom_refused(Fixture *f, gconstpointer data) {
        static const char *const lines[] = { "xml --rom=a.rom", "xml --rom=", "xml --rom=/a/", "xml --rom='/a\nb'",
                                             "xml --rom='/a\033[31m'", "xml --rom='/a\342\200\256b'", "xml --rom='/a\377'",
                                             "xml --rom=/a,b", "xml --format=proxmox '--rom=/a;b'", "xml --format=xen",
                                             "xml --format=", "xml 01:00.0 01:00.0", "xml --force", "xml -o x", "list --rom=/a", "rom --format=qemu",
                                             "xml --wait=3", "guest-script --rom=/a", "guest-script --output=",
                                             "guest-script --dry-run" };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_assert_cmpint(client(f, lines[i]), ==, EXIT_USAGE);
                g_assert_cmpstr(f->out, ==, "");
                assert_has_not(f->err, "\033");
        }
        (void) output_of(f, "xml --format=qemu --rom=/a,b");
}

/* What the daemon says is not believed, whatever it is. */
static void test_not_believed(Fixture *f, gconstpointer data) {
        static const char *const lines[] = { "xml", "guest-script" };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_assert_cmpint(client(f, lines[i]), ==, EXIT_FAILED);
                g_assert_cmpstr(f->out, ==, "");
                assert_has(f->err, data == &nine ? "has more than 8 functions" : "makes no sense");
        }
}

static void test_no_gpu(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "xml 09:00.0"), ==, EXIT_NO_SUCH_GPU);
        g_assert_cmpint(client(f, "guest-script 09:00.0"), ==, EXIT_NO_SUCH_GPU);
        g_assert_cmpint(client(f, "xml"), ==, EXIT_USAGE);
        assert_has(f->err, "Which GPU?");
        kill_daemon(f);
        g_assert_cmpint(client(f, "xml 01:00.0"), ==, EXIT_NO_DAEMON);
}

/* ---- guest-script ---- */

static const char *const names[] = { "README.txt", "install.ps1", "uninstall.ps1", "enable-gpu.ps1", "disable-gpu.ps1" };

static char *path_in(const Fixture *f, const char *name) {
        return g_build_filename(f->dir, name, NULL);
}

static char *read_script(const Fixture *f, const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(f->dir, directory, name, NULL);
        g_autoptr(GError) error = NULL;
        char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, &error));
        g_assert_no_error(error);
        return text;
}

static int write_scripts(Fixture *f, const char *directory, const char *options) {
        g_autofree char *line = g_strdup_printf("guest-script %s --output=%s/%s", options, f->dir, directory);

        return client(f, line);
}

static void remove_scripts(const Fixture *f, const char *directory) {
        g_autofree char *path = path_in(f, directory);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *file = g_build_filename(path, names[i], NULL);

                (void) g_unlink(file);
        }
        g_assert_cmpint(g_rmdir(path), ==, 0);
}

/* Every line ends as on Windows, and nothing is there that needs an encoding. */
static void assert_windows_text(const char *text) {
        g_assert_true(g_str_has_suffix(text, "\r\n"));
        for (const char *p = text; *p; p++) {
                g_assert_true(*p == '\r' || *p == '\n' || (*p >= ' ' && *p < 0x7f));
                if (*p == '\n')
                        g_assert_true(p > text && p[-1] == '\r');
                if (*p == '\r')
                        g_assert_cmpint(p[1], ==, '\n');
        }
}

static void test_scripts(Fixture *f, gconstpointer data) {
        g_autofree char *path = path_in(f, "new"), *file = g_build_filename(path, "install.ps1", NULL);
        GStatBuf st;

        (void) umask(0022);
        g_assert_cmpint(write_scripts(f, "new", ""), ==, EXIT_DONE);
        g_assert_cmpstr(f->err, ==, "");
        assert_has(f->out, "/new/enable-gpu.ps1\n");
        g_assert_cmpuint(loop_count_files(path), ==, G_N_ELEMENTS(names));
        g_assert_cmpuint(loop_count_files(f->dir), ==, 1);
        g_assert_cmpint(g_stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0755);
        g_assert_cmpint(g_stat(file, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0644);
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *text = read_script(f, "new", names[i]);

                assert_windows_text(text);
        }
        remove_scripts(f, "new");
}

/* The display is the first to come and the last to go. */
static void test_scripts_order(Fixture *f, gconstpointer data) {
        g_autofree char *enable = NULL, *disable = NULL, *install = NULL;

        g_assert_cmpint(write_scripts(f, "new", "-q"), ==, EXIT_DONE);
        enable = read_script(f, "new", "enable-gpu.ps1");
        assert_has(enable, "$patterns = @(\r\n    'PCI\\VEN_1002&DEV_1900*'\r\n    'PCI\\VEN_1002&DEV_1640*'\r\n"
                           "    'HDAUDIO\\FUNC_01&VEN_1002*'\r\n)\r\n");
        assert_has(enable, "Enable-PnpDevice -InstanceId $id -Confirm:$false");
        disable = read_script(f, "new", "disable-gpu.ps1");
        assert_has(disable, "$patterns = @(\r\n    'HDAUDIO\\FUNC_01&VEN_1002*'\r\n    'PCI\\VEN_1002&DEV_1640*'\r\n"
                            "    'PCI\\VEN_1002&DEV_1900*'\r\n)\r\n");
        assert_has(disable, "Disable-PnpDevice -InstanceId $id -Confirm:$false");
        install = read_script(f, "new", "install.ps1");
        assert_has(install, "$name = 'gpuptd-1002-1900'\r\n");
        assert_has(install, "-AtStartup");
        remove_scripts(f, "new");
}

/* Which devices a card has there, as the readme lists them. */
static void test_scripts_printed(Fixture *f, gconstpointer data) {
        assert_has(output_of(f, "guest-script"),
                   "    PCI\\VEN_10DE&DEV_1E87*\n    PCI\\VEN_10DE&DEV_10F8*\n    PCI\\VEN_10DE&DEV_1AD8*\n"
                   "    PCI\\VEN_10DE&DEV_1AD9*\n    HDAUDIO\\FUNC_01&VEN_10DE*\n\n");
        assert_has_not(f->out, "\r");
        assert_has(f->out, "======== README.txt ========\n"
                           "Scripts for the Windows guest that has NVIDIA TU104 [GeForce RTX 2080]\n");
        assert_has(f->out, "\n======== disable-gpu.ps1 ========\n# disable-gpu.ps1: ");
        (void) output_of(f, "guest-script -o -");
        assert_has(f->out, "======== install.ps1 ========\n");
}

/* What is there stays unless one says otherwise, and a failure leaves nothing behind. */
static void test_scripts_exist(Fixture *f, gconstpointer data) {
        g_autofree char *path = path_in(f, "old"), *mine = g_build_filename(path, "install.ps1", NULL),
                        *other = g_build_filename(path, "notes", NULL), *text = NULL;

        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
        g_assert_cmpint(write_scripts(f, "old///", "-q"), ==, EXIT_DONE); /* an empty one is as good as none */
        g_assert_cmpstr(f->out, ==, "");
        g_assert_true(g_file_set_contents(mine, "mine", -1, NULL));
        g_assert_true(g_file_set_contents(other, "mine", -1, NULL));

        g_assert_cmpint(write_scripts(f, "old", ""), ==, EXIT_FAILED);
        assert_has(f->err, "With --force");
        g_assert_true(g_file_get_contents(mine, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "mine");
        g_assert_cmpuint(loop_count_files(f->dir), ==, 1);

        g_assert_cmpint(write_scripts(f, "old", "--force"), ==, EXIT_DONE);
        g_free(text);
        text = read_script(f, "old", "install.ps1");
        assert_has(text, "gpuptd-10de-1e87");
        g_assert_cmpuint(loop_count_files(path), ==, G_N_ELEMENTS(names) + 1);

        /* one of them cannot be replaced */
        (void) g_unlink(mine);
        g_assert_cmpint(g_mkdir(mine, 0700), ==, 0);
        g_assert_cmpint(write_scripts(f, "old", "--force"), ==, EXIT_FAILED);
        g_assert_cmpuint(loop_count_files(path), ==, G_N_ELEMENTS(names) + 1);
        g_assert_cmpint(g_rmdir(mine), ==, 0);
        (void) g_unlink(other);
        remove_scripts(f, "old");
}

/* One whose ids nobody knows cannot be found in a guest. */
static void test_scripts_absent(Fixture *f, gconstpointer data) {
        g_assert_cmpint(client(f, "guest-script"), ==, EXIT_FAILED);
        assert_has(f->err, "The ids of 0000:01:00.0 are not known");
        g_assert_cmpstr(f->out, ==, "");
}

static void test_scripts_nowhere(Fixture *f, gconstpointer data) {
        g_autofree char *file = path_in(f, "file");

        g_assert_cmpint(write_scripts(f, "no/such/directory", ""), ==, EXIT_FAILED);
        assert_has(f->err, "Cannot write the scripts to ");
        g_assert_true(g_file_set_contents(file, "mine", -1, NULL));
        g_assert_cmpint(write_scripts(f, "file", ""), ==, EXIT_FAILED);
        g_assert_cmpint(write_scripts(f, "file", "--force"), ==, EXIT_FAILED);
        g_assert_cmpuint(loop_count_files(f->dir), ==, 1);
        (void) g_unlink(file);

        /* not for root, either */
        g_assert_cmpint(client(f, "guest-script --output=/sys/scripts"), ==, EXIT_FAILED);
        assert_has(f->err, "Cannot write the scripts to /sys/scripts: ");
}

/* ---- a name that is none ---- */

#define HARMLESS "Evil? -?? ?(reboot) ?reboot? ?x y??z?????[31m???? Remove-Item C:? ??"

/* In the place of the name alone, and nothing of it works there. */
static void test_hostile(Fixture *f, gconstpointer data) {
        g_autoptr(GString) expected = g_string_new(FOUR_XML), scripts = NULL;
        g_autofree char *mark = g_strdup("NVIDIA TU104 [GeForce RTX 2080]");

        g_assert_cmpuint(g_string_replace(expected, mark, HARMLESS, 0), ==, 1);
        g_assert_cmpstr(output_of(f, "xml --format=libvirt"), ==, expected->str);
        assert_xml(f->out, "count(/domain/*)", "4");
        g_assert_cmpstr(output_of(f, "xml --format=qemu"), ==, FOUR_QEMU);
        g_assert_cmpstr(output_of(f, "xml --format=proxmox"), ==, FOUR_QM);

        scripts = g_string_new(output_of(f, "guest-script"));
        g_assert_cmpuint(g_string_replace(scripts, "\n# For the guest that has " HARMLESS ", 0000:01:00.0 in the host.\n", "", 0),
                         ==, G_N_ELEMENTS(names) - 1);
        g_assert_cmpuint(g_string_replace(scripts, "guest that has " HARMLESS "\n", "", 0), ==, 1);
        assert_has_not(scripts->str, "Evil");
        assert_has_not(f->out, "\033");
}

static void add_cases(void) {
        add("xml/four", &four, test_four);
        add("xml/apu", &apu, test_apu);
        add("xml/radeon", &radeon, test_radeon);
        add("xml/laptop", &laptop, test_laptop);
        add("xml/boot-vga", &plain, test_boot_vga);
        add("xml/absent", &absent, test_absent);
        add("xml/json", &four, test_json);
        add("xml/rom-names", &four, test_rom_names);
        add("xml/refused", &four, test_rom_refused);
        add("xml/senseless", &senseless, test_not_believed);
        add("xml/twice", &twice, test_not_believed);
        add("xml/headless", &headless, test_not_believed);
        add("xml/nine", &nine, test_not_believed);
        add("xml/no-gpu", &two, test_no_gpu);
        add("guest-script/files", &apu, test_scripts);
        add("guest-script/order", &apu, test_scripts_order);
        add("guest-script/printed", &four, test_scripts_printed);
        add("guest-script/exist", &four, test_scripts_exist);
        add("guest-script/nowhere", &four, test_scripts_nowhere);
        add("guest-script/absent", &absent, test_scripts_absent);
        add("guest-script/hostile", &hostile, test_hostile);
}

int main(int argc, char **argv) {
        return client_test_main(argc, argv, add_cases);
}
