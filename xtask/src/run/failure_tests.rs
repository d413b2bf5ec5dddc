//! Messages as tools wrote them, which line of each is the cause, and what it says is missing.

use super::failure::{first_error, hints};
use crate::machine::Family;

fn check(log: &str) -> Option<String> {
    first_error(log).map(|excerpt| excerpt.lines[excerpt.error].clone())
}

/// Log, a part of the line that is the cause, and the hint on Debian: empty when nothing is missing.
const MESSAGES: [(&str, &str, &str); 27] = [
    // gcc
    (
        "gcc -Werror -c a.c\na.c:1:10: fatal error: yajl/yajl_gen.h: No such file or directory\n    1 | #include <yajl/yajl_gen.h>\n      |          ^~~~~~~~~~~~~\ncompilation terminated.\nmake: *** [Makefile:2: a.o] Error 1\n",
        "fatal error: yajl/yajl_gen.h",
        " libyajl-dev ",
    ),
    (
        "a.c: In function 'f':\na.c:3:7: error: unused variable 'x' [-Werror=unused-variable]\ncc1: all warnings being treated as errors\n",
        "a.c:3:7: error: unused variable",
        "",
    ),
    ("x.c:2:1: warning: 'error: ' is odd [-Wall]\nx.c:9:1: error: expected ';'\n", "x.c:9:1: error:", ""),
    ("gcc: error: unrecognized command-line option '-mnothing'\n", "unrecognized command-line option", ""),
    ("gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.\n", "Killed signal", ""),
    (
        "In file included from a.c:1:\n./b.h:4:10: fatal error: 'openssl/evp.h' file not found\n",
        "openssl/evp.h",
        "libssl-dev",
    ),
    (
        "a.c:1:10: fatal error: nowhere/x.h: No such file or directory\n",
        "nowhere/x.h",
        "apt-file search include/nowhere/x.h",
    ),
    // ld
    (
        "/usr/bin/ld: cannot find -laio: No such file or directory\ncollect2: error: ld returned 1 exit status\n",
        "cannot find -laio",
        " libaio-dev ",
    ),
    ("/usr/bin/ld: cannot find -lz\ncollect2: error: ld returned 1 exit status\n", "cannot find -lz", "zlib1g-dev"),
    (
        "/usr/bin/ld: /tmp/b.o: in function `main':\nb.c:(.text+0x5): undefined reference to `f'\ncollect2: error: ld returned 1 exit status\n",
        "undefined reference to `f'",
        "",
    ),
    (
        "/usr/bin/ld: d.o:(.bss+0x0): multiple definition of `x'; c.o:(.bss+0x0): first defined here\ncollect2: error: ld returned 1 exit status\n",
        "multiple definition of `x'",
        "",
    ),
    (
        "/usr/bin/ld: e.o: relocation R_X86_64_32 against symbol `g' can not be used when making a shared object; recompile with -fPIC\n/usr/bin/ld: failed to set dynamic section sizes: bad value\ncollect2: error: ld returned 1 exit status\n",
        "recompile with -fPIC",
        "",
    ),
    // configure
    (
        "checking for nowhere >= 2.0... no\nconfigure: error: Package requirements (glib-2.0 >= 2.56 pixman-1) were not met:\n\nPackage 'pixman-1', required by 'virtual:world', not found\n\nConsider adjusting\n",
        "Package 'pixman-1', required by",
        "libpixman-1-dev",
    ),
    (
        "configure: error: Package requirements (yajl >= 2.0) were not met:\n\nNo package 'yajl' found\n",
        "No package 'yajl' found",
        "libyajl-dev",
    ),
    (
        "checking for iasl... no\nconfigure: error: Unable to find iasl, please install iasl\n",
        "Unable to find iasl",
        "acpica-tools",
    ),
    (
        "checking for uuid/uuid.h... no\nconfigure: error: cannot find uuid/uuid.h\n",
        "cannot find uuid/uuid.h",
        "uuid-dev",
    ),
    (
        "checking for gcc... no\nconfigure: error: in `/b/build':\nconfigure: error: no acceptable C compiler found in $PATH\nSee `config.log' for more details\n",
        "no acceptable C compiler",
        "",
    ),
    (
        "./configure: line 4321: syntax error near unexpected token `glib,'\n./configure: line 4321: `PKG_CHECK_MODULES(glib, glib-2.0)'\n",
        "syntax error near unexpected token",
        "",
    ),
    // meson
    (
        "Found CMake: /usr/bin/cmake (3.25.1)\nRun-time dependency glib-2.0 found: NO (tried pkgconfig and cmake)\n\nmeson.build:2:0: ERROR: Dependency \"glib-2.0\" not found, tried pkgconfig and cmake\n\nA full log can be found at /b/build/meson-logs/meson-log.txt\n",
        "ERROR: Dependency \"glib-2.0\"",
        "libglib2.0-dev",
    ),
    ("meson.build:2:0: ERROR: Program 'bison' not found or not executable\n", "Program 'bison'", " bison "),
    ("meson.build:2:24: ERROR: C shared or static library 'fdt' not found\n", "library 'fdt'", "libfdt-dev"),
    ("meson.build:2:24: ERROR: C header 'linux/vhost.h' not found\n", "C header", "linux-libc-dev"),
    // cargo
    (
        "   Compiling x v0.1.0\nwarning: unused variable: `error`\nerror[E0425]: cannot find value `y` in this scope\n --> src/main.rs:1:13\nerror: could not compile `x` (bin \"x\") due to 1 previous error\n",
        "error[E0425]",
        "",
    ),
    (
        "error: linking with `cc` failed: exit status: 1\n  |\n  = note:  \"cc\" \"-lxxhash\"\n  = note: rust-lld: error: unable to find library -luring\n          collect2: error: ld returned 1 exit status\n\nerror: could not compile `x` (bin \"x\") due to 1 previous error\n",
        "unable to find library -luring",
        "liburing-dev",
    ),
    (
        "error: failed to run custom build command for `openssl-sys v0.9`\n\nCaused by:\n  process didn't exit successfully: `build-script-main` (exit status: 101)\n  --- stdout\n  cargo:rerun-if-changed=x\n  --- stderr\n  thread 'main' (3) panicked at build.rs:1:12:\n  The system library `openssl` required by crate `openssl-sys` was not found.\n",
        "The system library `openssl`",
        "libssl-dev",
    ),
    // make, shells, Python
    ("/bin/sh: 1: iasl: not found\nmake[2]: *** [Makefile:2: all] Error 127\n", "iasl: not found", "acpica-tools"),
    (
        "fatal: not a git repository (or any of the parent directories): .git\nTraceback (most recent call last):\n  File \"setup.py\", line 1, in <module>\nModuleNotFoundError: No module named 'distutils'\nmake: *** [Makefile:9: build] Error 1\n",
        "No module named 'distutils'",
        "python3-distutils",
    ),
];

#[test]
fn messages_of_real_tools() {
    for (log, cause, hint) in MESSAGES {
        let found = check(log).unwrap_or_default();
        assert!(found.contains(cause), "found `{found}` in:\n{log}");
        let hints = hints(log, Some(Family::Debian));
        match hint {
            "" => assert_eq!(hints, [""; 0], "{log}"),
            hint => assert!(hints.len() == 1 && hints[0].contains(hint), "{hints:?}, not `{hint}`:\n{log}"),
        }
    }
}

#[test]
fn what_is_missing_is_named_as_each_distribution_names_it() {
    let log = "a.c:1:10: fatal error: uuid/uuid.h: No such file or directory\n";
    let unknown = "No package 'nowhere' found\n";
    for (family, package, search) in [
        (Family::Debian, "uuid-dev", "apt-file search /nowhere.pc"),
        (Family::Fedora, "libuuid-devel", "dnf provides 'pkgconfig(nowhere)'"),
        (Family::OpenSuse, "libuuid-devel", "zypper search --provides 'pkgconfig(nowhere)'"),
        (Family::Alpine, "util-linux-dev", "apk search pc:nowhere"),
        (Family::Arch, "util-linux-libs", "pacman -Fx '/nowhere.pc$'"),
    ] {
        assert!(hints(log, Some(family))[0].contains(&format!(" {package}   #")), "{family:?}");
        assert!(hints(unknown, Some(family))[0].starts_with(search), "{family:?}");
    }
    assert!(hints(log, None)[0].contains("the file include/uuid/uuid.h"));
}

#[test]
fn the_cause_is_found_among_consequences() {
    let log = "gcc -Werror -c a.c\nchecking for error.h... no\na.c:3:1: error: expected `;'\nmake[1]: *** [a.o] Error 1\nmake: *** [all] Error 2\n";
    assert_eq!(check(log).as_deref(), Some("a.c:3:1: error: expected `;'"));
    assert_eq!(check("all is well\nmake: *** [all] Error 2\n").as_deref(), Some("make: *** [all] Error 2"));
    assert_eq!(check("sh: 1: foo: not found\nerror: later\n").as_deref(), Some("sh: 1: foo: not found"));
    assert_eq!(check("one\ntwo\n\n").as_deref(), Some("two"), "the last words of a silent failure");
    assert_eq!(check(""), None);
}

#[test]
fn neighbours_are_numbered() {
    let log = "1\n2\n3\n4\nx: error: y\n6\n";
    assert_eq!(first_error(log).unwrap().render().lines().nth(3), Some("  >     5 | x: error: y"));
    assert_eq!(first_error(log).unwrap().first, 2);
}
