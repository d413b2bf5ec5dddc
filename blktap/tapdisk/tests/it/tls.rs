//! Disks over TCP: in the clear where that is asked for, inside TLS else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::judges::run;
use crate::served::{Served, images};

/// Writes an authority, and certificates of a server and a client that it signed.
fn certificates(directory: &Path) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(directory.join("ca-cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(directory.join(format!("{name}-cert.pem")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }
}

/// `address:port` out of what a server says.
fn address(served: &Served) -> String {
    served.line.trim_end().rsplit("://").next().unwrap().to_owned()
}

#[test]
fn libnbd_copies_through_tls() {
    let test = "libnbd_copies_through_tls";
    let (images, pki) = (images(), tempfile::tempdir().unwrap());
    certificates(pki.path());
    let pki = pki.path().to_str().unwrap();
    for verify in [&[][..], &["--verify-clients"]] {
        let arguments = [&["--tcp", "127.0.0.1:0", "--tls", pki][..], verify].concat();
        let served = Served::new(&images.path().join("child.vhd"), &arguments);
        let port = address(&served).rsplit(':').next().unwrap().to_owned();
        let raw = images.path().join("raw");
        let noise: Vec<u8> = (0..crate::served::SIZE).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        fs::write(&raw, &noise).unwrap();
        let uri = format!("nbds://localhost:{port}/?tls-certificates={pki}");
        if run(test, "nbdcopy", &[raw.to_str().unwrap(), &uri]).is_none() {
            return;
        }
        let back = images.path().join("back");
        run(test, "nbdcopy", &[&uri, back.to_str().unwrap()]);
        assert!(fs::read(back).unwrap() == noise);
        // Nothing is told, and nobody let in, in the clear.
        let said = std::process::Command::new("nbdinfo").arg(format!("nbd://localhost:{port}")).output().unwrap();
        assert!(!said.status.success());
    }
}

#[test]
fn a_stranger_gets_nothing_before_tls() {
    let (images, pki) = (images(), tempfile::tempdir().unwrap());
    certificates(pki.path());
    let arguments = ["--tcp", "127.0.0.1:0", "--tls", pki.path().to_str().unwrap()];
    let served = Served::new(&images.path().join("dynamic.vhd"), &arguments);
    // EXPORT_NAME, which cannot be refused; then TLS begun with something that is none, after a request slipped in.
    for bytes in [&b"\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\0"[..], b"\0\0\0\x03IHAVEOPT\0\0\0\x05\0\0\0\0IHAVEOPTnonsense"]
    {
        let mut stream = TcpStream::connect(address(&served)).unwrap();
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(answer.len() <= 40, "{answer:?}");
    }
    assert_eq!(served.client().flush(), 0);
}

#[test]
fn in_the_clear_only_where_that_is_said() {
    let images = images();
    let image = images.path().join("dynamic.vhd");
    let program = snapbox::cmd::cargo_bin!("tapdisk");
    let refused = std::process::Command::new(program).arg("serve").arg(&image).args(["--tcp", "127.0.0.1:0"]).output();
    assert_eq!(refused.unwrap().status.code(), Some(2));
    let served = Served::new(&image, &["--tcp", "127.0.0.1:0", "--no-tls"]);
    let uri = format!("nbd://{}", address(&served));
    run("in_the_clear_only_where_that_is_said", "nbdinfo", &[&uri]);
}
