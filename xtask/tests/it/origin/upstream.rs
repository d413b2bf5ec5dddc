//! Real upstream sources, through the machine's own apt.

use xtask::origin::CheckedOut;

use super::world::{World, origin};
use crate::tier::{self, Tier};

#[test]
fn debian_source_packages_are_fetched_from_the_machines_mirror() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let world = World::new();
    for (package, version, sha256, file) in [
        ("libaio", "0.3.113-4", "2c44d1c5fd0d43752287c9ae1eb9c023f04ef848ea8d4aafa46e9aedb678200b", "Makefile"),
        ("libcap-ng", "0.8.3-1", "bed6f6848e22bb2f83b5f764b2aef0ed393054e803a8e3a8711cb2a39e6b492d", "autogen.sh"),
        (
            "tinyproxy",
            "1.11.1-2.1+deb12u1",
            "d66388448215d0aeb90d0afdd58ed00386fb81abc23ebac9d80e194fceb40f7c",
            "autogen.sh",
        ),
    ] {
        let mut world = world.another_checkout();
        let apt = origin(&format!("apt = {{ package = \"{package}\", version = \"{version}\" }}"));
        let pin = world.update(&apt);
        assert_eq!(pin.files.len(), 1);
        assert_eq!(pin.files[0].sha256.to_string(), sha256);
        assert!(world.tree().join(file).is_file());
        // Now that the store has it nothing is asked for.
        world.offline = true;
        std::fs::remove_dir_all(world.tree()).unwrap();
        assert_eq!(world.fetch(&apt, Some(&pin)).unwrap(), CheckedOut::Fetched);
    }
}
