//! Real upstream sources as git repositories, and the components that build them.

use std::fs;
use std::path::PathBuf;

use crate::origin::git::git_in;
use crate::origin::servers::{Fault, Server};
pub use crate::origin::upstream::Published;

/// Plain make.
pub const LIBAIO: &str = r#"
summary = "Asynchronous I/O library"
licence = "LGPL-2.1-or-later"
homepage = "https://pagure.io/libaio"
source = "libaio"
must-exist = ["/usr/lib/libaio.so.1", "/usr/include/libaio.h"]
[build.make]
"#;

/// autogen.sh, configure, make.
pub const LIBCAP_NG: &str = r#"
summary = "POSIX capabilities made easy"
licence = "LGPL-2.1-or-later AND GPL-2.0-or-later"
homepage = "https://people.redhat.com/sgrubb/libcap-ng/"
source = "libcap-ng"
must-exist = ["/usr/lib/libcap-ng.so.0", "/usr/lib/pkgconfig/libcap-ng.pc"]
[build.autotools]
autogen = ["./autogen.sh"]
configure = ["--without-python", "--without-python3"]
[outputs]
pscap = "/usr/bin/pscap"
[packages]
debian = ["autoconf", "automake", "libtool", "pkg-config"]
"#;

/// autogen.sh, which configures too, then configure again and make.
pub const TINYPROXY: &str = r#"
summary = "Light HTTP proxy"
licence = "GPL-2.0-or-later"
homepage = "https://tinyproxy.github.io/"
source = "tinyproxy"
[build.autotools]
autogen = ["./autogen.sh", "--disable-manpage_support"]
configure = ["--disable-manpage_support"]
[outputs]
tinyproxy = "/usr/bin/tinyproxy"
[packages]
debian = ["autoconf", "automake"]
"#;

/// A directory of bare repositories, served by `git daemon`.
pub struct Forge {
    dir: tempfile::TempDir,
    pub daemon: Server,
}

impl Forge {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Server::git(dir.path().to_path_buf(), |_| Fault::None);
        Forge { dir, daemon }
    }

    /// The same repositories over HTTP, with what goes wrong there.
    pub fn http(&self, fault: impl Fn(usize) -> Fault + Send + Sync + 'static) -> Server {
        Server::http(self.dir.path().to_path_buf(), fault)
    }

    pub fn url(&self, name: &str) -> String {
        self.daemon.url("git", &format!("{name}.git"))
    }

    pub fn bare(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.git"))
    }

    /// A new, empty repository and a clone of it to work in.
    pub fn create(&self, name: &str) -> Work {
        git_in(self.dir.path(), &["init", "-q", "--bare", "-b", "main", self.bare(name).to_str().unwrap()]);
        self.work(name)
    }

    /// A clone to work in.
    pub fn work(&self, name: &str) -> Work {
        let dir = tempfile::tempdir().unwrap();
        git_in(dir.path(), &["clone", "-q", self.bare(name).to_str().unwrap(), "."]);
        Work { dir }
    }

    /// A real release, as upstream would publish it.
    pub fn publish(&self, package: &str) -> Published {
        Published::new(package, self.dir.path())
    }
}

/// A developer's clone.
pub struct Work {
    dir: tempfile::TempDir,
}

impl Work {
    pub fn git(&self, arguments: &[&str]) -> String {
        git_in(self.dir.path(), arguments)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.dir.path().join(path)).unwrap()
    }

    pub fn write(&self, path: &str, text: &str) {
        let at = self.dir.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    /// Commits everything and pushes the branch; gives the commit.
    pub fn push(&self, branch: &str, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", message]);
        self.git(&["push", "-q", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
        self.git(&["rev-parse", "HEAD"])
    }
}
