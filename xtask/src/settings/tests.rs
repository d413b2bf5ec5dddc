//! Tables: what is said in which layer, and which of them holds.

use super::*;

/// Layers out of lines `LAYER NAME=VALUE`.
fn layers(lines: &[&str]) -> Layers {
    let mut layers = Layers::default();
    for (index, line) in lines.iter().enumerate() {
        let (layer, text) = line.split_once(' ').unwrap();
        let (name, value) = text.split_once('=').unwrap();
        let (name, value) = (name.to_owned(), value.to_owned());
        match layer {
            "arg" => layers.arguments.push((name, value)),
            "file" => layers.config_file.push((index + 1, name, value)),
            "kept" => drop(layers.kept.values.insert(name, value)),
            "env" => layers.environment.push((name, value)),
            "preset" => layers.kept.preset = Some(value),
            other => panic!("{other}"),
        }
    }
    layers
}

/// Every value as `NAME=VALUE (FROM)`, or the error.
fn check(lines: &[&str]) -> String {
    match Settings::of(&layers(lines)) {
        Ok(settings) => {
            let each = settings.iter().map(|(key, setting)| format!("{key}={} ({})", setting.value, setting.from));
            each.chain(settings.notes.iter().map(|note| format!("! {note}"))).collect::<Vec<_>>().join("\n")
        }
        Err(error) => error.report().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

#[test]
fn the_nearest_place_wins() {
    let all =
        ["arg QEMU_UPSTREAM_URL=a", "file QEMU_UPSTREAM_URL=f", "kept QEMU_UPSTREAM_URL=k", "env QEMU_UPSTREAM_URL=e"];
    for (from, wanted) in
        [(0, "a (argument)"), (1, "f (.config, line 1)"), (2, "k (configure)"), (3, "e (environment)")]
    {
        assert_eq!(check(&all[from..]), format!("QEMU_UPSTREAM_URL={wanted}"));
    }
    for (lines, wanted) in [
        // the order in which they are given does not count between places, and in one the last does
        (&["env GIT_HTTP=y", "arg GIT_HTTP=n"][..], "GIT_HTTP=n (argument)"),
        (&["arg prefix=/a", "arg PREFIX=/b"], "prefix=/b (argument)"),
        (&["file GIT_HTTP=y", "file GIT_HTTP=n"], "GIT_HTTP=n (.config, line 2)"),
        // what is empty was switched off
        (&["env ETHERBOOT_NICS="], ""),
        (&["kept with-system-qemu=no", "arg without-qemu=yes"], "with-system-qemu=without (argument)"),
        (
            &[
                "preset preset=hypervisor-only",
                "kept with-system-xen-tools=no",
                "kept with-system-xen-shim=no",
                "kept with-system-seabios=no",
                "kept with-system-qemu=no",
                "kept with-system-ovmf=no",
                "kept with-system-mini-os=no",
                "kept with-system-ipxe=no",
                "kept with-system-blktap=no",
            ],
            "with-system-blktap=no (configure)\nwith-system-blktap-c=without (configure, preset hypervisor-only)\n\
             with-system-ipxe=no (configure)\nwith-system-mini-os=no (configure)\nwith-system-ovmf=no (configure)\n\
             with-system-qemu=no (configure)\nwith-system-seabios=no (configure)\nwith-system-xen-shim=no (configure)\n\
             with-system-xen-tools=no (configure)",
        ),
    ] {
        assert_eq!(check(lines), wanted, "{lines:?}");
    }
}

#[test]
fn what_package_builds_export_for_themselves_is_not_taken_from_the_environment() {
    let exported = [
        "env PREFIX=/usr",
        "env prefix=/usr",
        "env DESTDIR=/d",
        "env COMPONENTS=xen",
        "env MAKE=gmake",
        "env GIT=/bin/false",
        "env WGET=/bin/false",
        "env CFLAGS=-O2",
        "env with-system-qemu=yes",
        "env libdir=/lib",
        "env DEB_HOST_ARCH=amd64",
    ];
    assert_eq!(check(&exported), "");
}

#[test]
fn each_name_of_old_is_taken_from_each_place() {
    let trees = [
        "QEMU_UPSTREAM",
        "QEMU_TRADITIONAL",
        "SEABIOS_UPSTREAM",
        "OVMF_UPSTREAM",
        "MINIOS_UPSTREAM",
        "BLKTAP_UPSTREAM",
    ];
    let parts = ["_URL", "_REVISION", "_LOC", "_INTREE"];
    let mut rows: Vec<(String, String, String)> = Vec::new();
    for name in trees.iter().flat_map(|tree| parts.map(|part| format!("{tree}{part}"))) {
        rows.push((name.clone(), "v".into(), format!("{name}=v")));
    }
    for (name, value, wanted) in [
        ("QEMU_TAG", "t", "QEMU_TRADITIONAL_REVISION=t"),
        ("QEMU_REMOTE", "u", "QEMU_TRADITIONAL_URL=u"),
        ("CONFIG_QEMU", "/d", "QEMU_TRADITIONAL_LOC=/d"),
        ("SEABIOS_UPSTREAM_TAG", "t", "SEABIOS_UPSTREAM_REVISION=t"),
        ("GIT_HTTP", "y", "GIT_HTTP=y"),
        ("XEN_EXTFILES_URL", "https://example.org/x", "XEN_EXTFILES_URL=https://example.org/x"),
        ("ETHERBOOT_NICS", "rtl8139 8086100e", "ETHERBOOT_NICS=rtl8139 8086100e"),
    ] {
        rows.push((name.into(), value.into(), wanted.into()));
    }
    for (name, value, wanted) in &rows {
        for (place, from) in
            [("arg", "argument"), ("file", ".config, line 1"), ("kept", "configure"), ("env", "environment")]
        {
            let read = check(&[&format!("{place} {name}={value}")]);
            let first = read.lines().next().unwrap_or_default();
            assert_eq!(first, format!("{wanted} ({from})"), "{place} {name}");
            // An old name is said once, with the new one.
            let is_old = !wanted.starts_with(name.as_str());
            let note = format!("! {name} is an old name; say {wanted}");
            assert_eq!(
                read.lines().skip(1).collect::<Vec<_>>(),
                if is_old { vec![note.as_str()] } else { vec![] },
                "{name}"
            );
        }
    }
    assert_eq!(
        check(&["env QEMU_TAG=old", "env QEMU_TRADITIONAL_REVISION=new"]).lines().next(),
        Some("QEMU_TRADITIONAL_REVISION=new (environment)"),
        "the present name goes before an old one in the same place"
    );
    assert_eq!(
        check(&["env QEMU_TRADITIONAL_REVISION=new", "env QEMU_TAG=old"]).lines().next(),
        Some("QEMU_TRADITIONAL_REVISION=new (environment)")
    );
}

#[test]
fn what_is_for_one_run_is_an_argument_only() {
    for (name, value, wanted) in [
        ("DESTDIR", "/d", "DESTDIR=/d"),
        ("COMPONENTS", "xen seabios", "COMPONENTS=xen seabios"),
        ("MAKE", "gmake", "MAKE=gmake"),
        ("GIT", "/usr/bin/git", "GIT=/usr/bin/git"),
        ("WGET", "/bin/false", "WGET=/bin/false"),
    ] {
        assert_eq!(check(&[&format!("arg {name}={value}")]), format!("{wanted} (argument)"));
        for place in ["file", "kept"] {
            let refused = check(&[&format!("{place} {name}={value}")]);
            assert!(refused.contains(&format!("`{name}` cannot be set in")) && refused.contains("help: "), "{refused}");
        }
        assert_eq!(check(&[&format!("env {name}={value}")]), "");
    }
    assert_eq!(check(&["arg PREFIX=/opt"]), "prefix=/opt (argument)");
}

#[test]
fn wrong_names_and_values_say_what_is_wanted() {
    for (line, wanted) in [
        ("arg FOO=1", "there is no setting `FOO` help: cargo xtask configure --show"),
        ("arg QEMU_UPSTREM_URL=x", "help: did you mean `QEMU_UPSTREAM_URL`?"),
        ("arg prefix=usr", "cannot use `prefix=usr` of the command line because: an absolute path is wanted"),
        ("kept libdir=/usr/../lib", "of configure because: a path without `..`"),
        ("file sysconfdir=/etc/", "of .config, line 1 because: a path without `..`"),
        ("arg prefix=/a b", "a path without spaces and signs that a shell knows is wanted"),
        ("arg prefix=/$(id)", "a path without spaces and signs that a shell knows is wanted"),
        ("arg with-system-qemu=maybe", "yes, no, auto or an absolute path is wanted"),
        ("arg with-system-qemu=usr/bin/qemu", "yes, no, auto or an absolute path is wanted"),
        ("arg with-system-qemu=", "yes, no, auto or an absolute path is wanted"),
        ("env QEMU_UPSTREAM_REVISION=--upload-pack=x", "of the environment because: a commit, tag or branch is wanted"),
        ("arg QEMU_UPSTREAM_URL=--upload-pack=x", "a URL or a directory is wanted"),
        ("arg QEMU_UPSTREAM_LOC=", "it is empty"),
        ("arg GIT_HTTP=maybe", "y or n is wanted"),
        ("arg ETHERBOOT_NICS=$(rm -r x)", "names are wanted"),
        ("arg MAKE=make -j9", "the name or the path of one program is wanted"),
    ] {
        let read = check(&[line]);
        assert!(read.starts_with("error: ") && read.contains(wanted), "{line}: {read}");
    }
    assert_eq!(
        check(&["file debug=y"]),
        "! .config, line 1: `debug` means nothing here",
        "Xen's own .config says more than ours"
    );
}

#[test]
fn a_config_file_is_read_as_make_would() {
    let read = |text: &str| match read_config_file(text) {
        Ok(lines) => {
            lines.iter().map(|(line, name, value)| format!("{line}:{name}={value}")).collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.report().split_whitespace().collect::<Vec<_>>().join(" "),
    };
    for (text, wanted) in [
        ("", ""),
        ("# no\n\nA=1\n  B := 2 # two\nC ?= x=y\nexport D=\n", "3:A=1 4:B=2 5:C=x=y 6:D="),
        ("with-system-qemu = yes", "1:with-system-qemu=yes"),
        ("A=1\r\nB=2\r\n", "1:A=1 2:B=2"),
    ] {
        assert_eq!(read(text), wanted, "{text:?}");
    }
    for (text, wanted) in [
        ("include x", "line 1: `include x` because: NAME=VALUE is wanted"),
        ("A=1\nB += 2", "line 2"),
        ("A=$(shell id)", "nothing is expanded here"),
        ("a b=1", "NAME=VALUE is wanted"),
    ] {
        assert!(read(text).contains(wanted), "{text:?}: {}", read(text));
    }
}

#[test]
fn directories_follow_the_prefix_as_autoconf_has_it() {
    let check = |lines: &[&str]| {
        let Directories { prefix, libdir, sysconfdir, localstatedir } =
            Directories::of(&Settings::of(&layers(lines)).unwrap());
        format!("{prefix} {libdir} {sysconfdir} {localstatedir}")
    };
    for (lines, wanted) in [
        (&[][..], "/usr /usr/lib /etc /var"),
        (&["arg prefix=/opt/xen"], "/opt/xen /opt/xen/lib /opt/xen/etc /opt/xen/var"),
        (&["arg prefix=/usr", "kept libdir=/usr/lib64"], "/usr /usr/lib64 /etc /var"),
        (&["kept prefix=/opt", "kept sysconfdir=/etc"], "/opt /opt/lib /etc /opt/var"),
        (&["preset preset=distro-fedora"], "/usr /usr/lib64 /etc /var"),
    ] {
        assert_eq!(check(lines), wanted, "{lines:?}");
    }
}

#[test]
fn every_preset_says_what_can_be_said() {
    for preset in PRESETS {
        let settings = Settings::of(&Layers {
            kept: Kept { preset: Some(preset.name.to_owned()), ..Kept::default() },
            ..Layers::default()
        });
        assert_eq!(settings.unwrap().iter().count(), preset.values.len(), "{}", preset.name);
    }
    assert!(
        preset("distro-debain").unwrap_err().report().contains("help: cargo xtask configure --preset distro-debian")
    );
}
