//! The commands by hand of components that find others where those were installed, that copy the sources around them, or that hand the
//! number of jobs on: a shell must make of each what the sandbox does.

use super::small::{NAME, packed, project};
use crate::build::checkout::sealed;

#[test]
fn what_needs_others_or_is_built_beside_its_source_is_built_by_hand_too() {
    if !sealed() {
        return;
    }
    let checkout = project();
    checkout.manifest(&["top", "fw", "lib", "user"], "");
    checkout.component(
        "lib",
        "[build.steps]\n[[step]]\nname = 'install'\nrun = ['sh', '-ec', '''\n\
         mkdir -p {stage}{prefix}/lib/pkgconfig\ncp lib {stage}{prefix}/lib\ncp lib.pc {stage}{prefix}/lib/pkgconfig''']\n",
    );
    checkout.write("lib/lib", "of lib\n");
    checkout.write("lib/lib.pc", "prefix=/usr\nName: lib\n");
    checkout.component(
        "user",
        r#"needs = ['lib']
env = { NOTE = "it's $HOME of {deps}" }
[extra.top]
inputs = ['**']
[tarball]
at = 'tools/user'
[build.steps]
# What pkg-config and a compiler would be told.
[[step]]
name = 'needs'
dir  = '{build}'
run  = ['sh', '-ec', '''
mkdir -p {stage}{prefix}/user
prefix=$(sed -n 's,^prefix=,,p' $PKG_CONFIG_PATH/lib.pc)
cat $prefix/lib/lib > {stage}{prefix}/user/by-prefix
set -- $LDFLAGS
cat ${{1#-L}}/lib > {stage}{prefix}/user/by-flags
echo "$NOTE" | sed 's,'{deps}',DEPS,' > {stage}{prefix}/user/note''']
# As a component does that is built in a copy of Xen.
[[step]]
name = 'copy'
dir  = '{build}'
run  = ['sh', '-ec', '''
cp -r {extra:top} top
cp -r {src} top/copy
cat top/Makefile top/copy/own > {stage}{prefix}/user/copied''']
[[step]]
name = 'jobs'
run  = ['sh', '-ec', 'test $1 -gt 0; test "$2" = "x $1"; echo fine > {stage}{prefix}/user/jobs', 'sh', '{jobs}', 'x {jobs}']
"#,
    );
    checkout.write("user/own", "of user\n");
    checkout.built(&[]);
    packed(&checkout, &[]);
    let ran = checkout.run(&["verify-tarball", &format!("{NAME}.tar.gz"), "--only", "building"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("by-hand: all 8 files are those of this checkout's build"), "{}", ran.stdout);
}
