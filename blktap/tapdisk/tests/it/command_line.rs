//! What people type, and what they are told.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use snapbox::cmd::{Command, cargo_bin};
use snapbox::str;

use crate::served::{Served, images};

fn check(directory: &Path, arguments: &[&str], status: i32, stderr: impl snapbox::IntoData) {
    let command = Command::new(cargo_bin!("tapdisk")).current_dir(directory).args(arguments);
    command.assert().code(status).stdout_eq("").stderr_eq(stderr);
}

#[test]
fn what_cannot_be_served_is_told() {
    let images = images();
    let directory = images.path();
    fs::write(directory.join("text.vhd"), "x".repeat(5000)).unwrap();
    check(
        directory,
        &["serve", "none.vhd"],
        2,
        str![[r#"
error: cannot open `none.vhd`: No such file or directory (os error 2)

"#]],
    );
    check(
        directory,
        &["serve", "text.vhd"],
        22,
        str![[r#"
error: cannot read footer of `text.vhd`: cookie is "xxxxxxxx", not "conectix"

"#]],
    );
    fs::create_dir(directory.join("else")).unwrap();
    fs::rename(directory.join("parent.vhd"), directory.join("else/parent.vhd")).unwrap();
    std::os::unix::fs::symlink("else/parent.vhd", directory.join("parent.vhd")).unwrap();
    check(
        directory,
        &["serve", "child.vhd", "--allow-parents", "/usr"],
        13,
        str![[r#"
error: [..] is in none of the directories where parents may be
help: --allow-parents DIR names a directory where parents may be

"#]],
    );
}

#[test]
fn one_image_has_one_writer() {
    let images = images();
    let image = images.path().join("dynamic.vhd");
    let busy = || {
        str![[r#"
error: `dynamic.vhd` is being served already
help: fuser dynamic.vhd

"#]]
    };
    let served = Served::new(&image, &[]);
    check(images.path(), &["serve", "dynamic.vhd"], 16, busy());
    check(images.path(), &["serve", "dynamic.vhd", "--read-only"], 16, busy());
    drop(served);
    let _reader = Served::new(&image, &["--read-only"]);
    check(images.path(), &["serve", "dynamic.vhd"], 16, busy());
    check(
        images.path(),
        &["serve", "dynamic.vhd", "--read-only", "-s", "/no/such/directory/s"],
        2,
        str![[r#"
error: cannot listen at `/no/such/directory/s`: No such file or directory (os error 2)

"#]],
    );
}

#[test]
fn a_socket_of_somebody_else_stays() {
    let images = images();
    let socket = images.path().join("s.sock");
    let in_use = || {
        str![[r#"
error: cannot listen at `s.sock`: Address already in use (os error 98)
help: --socket s.sock.2, or stop whoever serves it: fuser s.sock

"#]]
    };
    fs::write(&socket, "no socket").unwrap();
    check(images.path(), &["serve", "dynamic.vhd", "-s", "s.sock"], 98, in_use());
    assert_eq!(fs::read(&socket).unwrap(), b"no socket");
    fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    check(images.path(), &["serve", "dynamic.vhd", "-s", "s.sock"], 98, in_use());
    drop(listener);
    // Now it is dead, once no other test's program that is just starting has it.
    while UnixStream::connect(&socket).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    fs::rename(&socket, images.path().join("dynamic.sock")).unwrap();
    let served = Served::new(&images.path().join("dynamic.vhd"), &[]);
    assert_eq!(served.client().flush(), 0);
}
