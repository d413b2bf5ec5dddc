//! Configuration that Debian's package of a name has and ours has not, and what Debian's own start of services leaves: an upgrade takes it out
//! of use and keeps what somebody changed beside it, as `.dpkg-bak`; a purge takes that too.

use crate::package::Package;

/// The links in /etc/rc?.d of a script that is no more.
const UNLINK: &str = "[ -e \"$file\" ] || update-rc.d \"${file##*/}\" remove >/dev/null || true\n";

/// Of dpkg, in each of its scripts: away if nobody changed it, and back if the upgrade does not come to its end.
pub(super) fn taken_away(package: &Package) -> String {
    each(&package.obsolete, "dpkg-maintscript-helper rm_conffile \"$file\" -- \"$@\"\n")
}

/// Of ucf, which keeps files that Debian's scripts made, and of the links that start what went.
pub(super) fn forgotten(package: &Package) -> String {
    let ucf = "\
if command -v ucfq >/dev/null; then
		case \"$(ucfq -w \"$file\")\" in
		*:\"$DPKG_MAINTSCRIPT_PACKAGE\":Yes:No) rm -f \"$file\" ;;
		*:\"$DPKG_MAINTSCRIPT_PACKAGE\":Yes:Yes) mv -f \"$file\" \"$file.dpkg-bak\" ;;
		*) continue ;;
		esac
		ucf --purge \"$file\"
		ucfr --purge \"$DPKG_MAINTSCRIPT_PACKAGE\" \"$file\"
		rm -f \"$file.ucf-new\" \"$file.ucf-old\" \"$file.ucf-dist\"
	fi
";
    let scripts: Vec<String> = package.obsolete.iter().filter(|path| is_init(path)).cloned().collect();
    format!("{}{}", each(&package.obsolete, ucf), each(&scripts, UNLINK))
}

/// Links that start a script outlive it, whoever made them.
pub(super) fn purged(package: &Package) -> String {
    let own = package.files.keys().map(|path| format!("/{path}"));
    let scripts: Vec<String> = own.chain(package.obsolete.iter().cloned()).filter(|path| is_init(path)).collect();
    let all = each(&scripts, UNLINK);
    if all.is_empty() { all } else { format!("if [ \"$1\" = purge ]; then\n{all}fi\n") }
}

fn is_init(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(dir, _)| dir.ends_with("/init.d"))
}

/// A loop over files; nothing where there are none.
fn each(files: &[String], body: &str) -> String {
    match files {
        [] => String::new(),
        files => format!("for file in {}; do\n\t{body}done\n", files.join(" ")),
    }
}
