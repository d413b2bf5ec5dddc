//! Disks that are encrypted: the key comes over the control socket, and nothing is served without it.

use std::io::Write;
use std::process::Stdio;

use crate::daemon::{Daemon, Said, command};
use crate::served::SIZE;

/// `tap-ctl open -E`.
fn open(daemon: &Daemon, key: &[u8]) -> i32 {
    let image = format!("vhd:{}", daemon.path("secret.vhd").display());
    let mut tap_ctl = command(testkit::program("tap-ctl"), &daemon.path(""));
    tap_ctl.args(["open", "-p", &daemon.pid().to_string(), "-m", "0", "-E", "-a", &image]);
    let mut child = tap_ctl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(key).unwrap();
    Said::from(child.wait_with_output().unwrap()).status
}

#[test]
fn a_disk_is_served_with_its_key_and_with_no_other() {
    let daemon = Daemon::new();
    let (key, image) = (daemon.path("secret,aes-xts-plain,256.key"), daemon.path("secret.vhd"));
    let bytes: Vec<u8> = (0..64).collect();
    let (right, wrong, longer) = (&bytes[..32], &bytes[1..33], &bytes[..]);
    std::fs::write(&key, right).unwrap();
    let run = |words: &[&str]| {
        let mut vhd_util = std::process::Command::new(testkit::program("vhd-util"));
        assert!(vhd_util.args(words).output().unwrap().status.success(), "{words:?}");
    };
    let image = image.to_str().unwrap();
    run(&["create", "-n", image, "-s", "8"]);
    run(&["key", "-s", "-n", image, "-k", key.to_str().unwrap()]);
    daemon.done("allocate");
    daemon.done("attach -p PID -m 0");
    assert_eq!(daemon.tap_ctl("open -p PID -m 0 -a vhd:DIR/secret.vhd").status, 126);
    assert_eq!(open(&daemon, wrong), 126);
    assert_eq!(open(&daemon, longer), 126);
    assert_eq!(open(&daemon, right), 0);
    let mut oracle = vec![0; SIZE];
    let mut client = daemon.client(0);
    assert!(client.read(0, SIZE).unwrap() == oracle);
    oracle[1000..70_000].fill(0x5a);
    assert_eq!(client.write(0, 1000, &oracle[1000..70_000]), 0);
    // The key is kept over a pause.
    daemon.done("pause -p PID -m 0");
    daemon.done("unpause -p PID -m 0");
    assert!(client.read(0, SIZE).unwrap() == oracle);
    daemon.done("close -p PID -m 0");
    let bytes = std::fs::read(image).unwrap();
    assert!(!bytes.windows(64).any(|bytes| bytes == [0x5a; 64]), "it lies there in the clear");
    assert_eq!(open(&daemon, right), 0);
    assert!(daemon.client(0).read(0, SIZE).unwrap() == oracle);
}
