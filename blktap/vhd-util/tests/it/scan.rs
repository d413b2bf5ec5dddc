//! `scan`: lines as C blktap 4 gave them, and every image looked at, whatever the others are.

use snapbox::str;

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers};

fn over(parent: &str) -> Vec<u8> {
    child(parent.as_ref(), BASE_UUID, &LIBVHD_CODES)
}

/// `d` on `c` on hidden `p`, a broken image, an empty file, and one whose parent is gone.
fn bench() -> Bench {
    let mut parent = dynamic(64);
    edit_footers(&mut parent, |footer| footer.hidden = 1);
    Bench::with(&[
        ("p.vhd", &parent),
        ("c.vhd", &over("./p.vhd")),
        ("d.vhd", &over("./c.vhd")),
        ("y.vhd", &[]),
        ("z.vhd", &[0; 4096]),
        ("lost.vhd", &over("../nope.vhd")),
    ])
}

#[test]
fn why_an_image_cannot_be_read_goes_to_standard_error() {
    bench().run(["scan", "-f", "-c", "y.vhd", "z.vhd", "gone"]).code(0).stderr_eq(str![[r#"
error: cannot read footer of `y.vhd`: file of 0 bytes has no room for a footer
error: cannot read footer of `z.vhd`: cookie is "/x00/x00/x00/x00/x00/x00/x00/x00", not "conectix"

"#]]);
}

fn check(options: &[&str], status: i32, stdout: impl snapbox::IntoData) {
    bench().run(["scan"].iter().chain(options)).code(status).stdout_eq(stdout);
}

#[test]
fn broken_images_have_a_line_of_their_own() {
    check(
        &["-f", "-c", "-m", "*.vhd"],
        0,
        str![[r#"
vhd=c.vhd capacity=67108864 size=5120 hidden=0 parent=p.vhd
vhd=d.vhd capacity=67108864 size=5120 hidden=0 parent=c.vhd
vhd=lost.vhd capacity=67108864 size=5120 hidden=0 parent=nope.vhd
vhd=p.vhd capacity=67108864 size=3584 hidden=1 parent=none
vhd=y.vhd scan-error=-32 error-message='opening file'
vhd=z.vhd scan-error=-22 error-message='opening file'

"#]],
    );
}

#[test]
fn without_c_the_first_failure_ends_it() {
    check(
        &["p.vhd", "y.vhd", "c.vhd"],
        32,
        str![[r#"
vhd=p.vhd capacity=67108864 size=3584 hidden=1 parent=none
vhd=y.vhd scan-error=-32 error-message='opening file'

"#]],
    );
    check(&["p.vhd", "gone"], 2, "vhd=gone scan-error=-2 error-message='failure scanning target'\n");
}

#[test]
fn parents_are_scanned_and_make_a_tree() {
    check(
        &["-a", "-p", "d.vhd"],
        0,
        str![[r#"
vhd=p.vhd capacity=67108864 size=3584 hidden=1 parent=none
   vhd=c.vhd capacity=67108864 size=5120 hidden=0 parent=p.vhd
      vhd=d.vhd capacity=67108864 size=5120 hidden=0 parent=c.vhd

"#]],
    );
    check(&["-p", "d.vhd"], 0, "vhd=d.vhd capacity=67108864 size=5120 hidden=0 parent=c.vhd (not found in scan)\n");
    let bench = bench();
    std::os::unix::fs::symlink("d.vhd", bench.path("link")).unwrap();
    let stdout = "vhd=d.vhd capacity=67108864 size=5120 hidden=0 parent=c.vhd (not found in scan)\n";
    bench.run(["scan", "-p", "link"]).code(0).stdout_eq(stdout);
    check(
        &["-a", "lost.vhd"],
        0,
        str![[r#"
vhd=lost.vhd capacity=67108864 size=5120 hidden=0 parent=nope.vhd
vhd=../nope.vhd scan-error=-2 error-message='failure scanning target'

"#]],
    );
}

#[test]
fn v_prints_paths_and_markers_are_asked_for() {
    let bench = bench();
    let parent = bench.path("p.vhd");
    let expected = format!("vhd=./c.vhd capacity=67108864 size=5120 hidden=0 parent={}\n", parent.display());
    bench.run(["scan", "-v", "./c.vhd"]).code(0).stdout_eq(expected);
    check(&["-M", "p.vhd"], 0, "vhd=p.vhd capacity=67108864 size=3584 hidden=1 marker=0 keyhash= parent=none\n");
}

#[test]
fn numbers_of_one_byte_have_no_sign_here() {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.hidden = 255);
    image[2048 + 28] = 200;
    let stdout = "vhd=t.vhd capacity=67108864 size=3584 hidden=255 marker=200 keyhash= parent=none\n";
    Bench::with(&[("t.vhd", &image)]).run(["scan", "-M", "t.vhd"]).code(0).stdout_eq(stdout);
}

#[test]
fn patterns_may_have_braces() {
    check(&["-m", "{p,x}.vhd"], 0, "vhd=p.vhd capacity=67108864 size=3584 hidden=1 parent=none\n");
}

#[test]
fn parents_in_a_loop_are_shown_once() {
    let bench = Bench::with(&[("a.vhd", &over("./b.vhd")), ("b.vhd", &over("./a.vhd"))]);
    bench.run(["scan", "-a", "-p", "a.vhd"]).code(0).stdout_eq(str![[r#"
vhd=a.vhd capacity=67108864 size=5120 hidden=0 parent=b.vhd
   vhd=b.vhd capacity=67108864 size=5120 hidden=0 parent=a.vhd

"#]]);
}

#[test]
fn json_is_a_line_per_image() {
    check(
        &["--json", "-c", "p.vhd", "z.vhd"],
        0,
        str![[r#"
{"vhd":"p.vhd","capacity":67108864,"size":3584,"hidden":1,"marker":0,"keyhash":"","parent":null}
{"vhd":"z.vhd","errno":22,"error":"cannot read footer of `z.vhd`: cookie is /"//x00//x00//x00//x00//x00//x00//x00//x00/", not /"conectix/""}

"#]],
    );
}

#[test]
fn what_cannot_be_scanned_is_told() {
    check(&["-m", "nothing*"], 0, "");
    bench().run(["scan", "-f"]).code(22);
}
