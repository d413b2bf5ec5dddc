//! The public validators of both forms, from PyPI, in an environment of their own beside the compiled tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tier::{self, Tier};

const VALIDATE: &str = "
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
said = []
for name in sys.argv[1:]:
    if name.endswith('.spdx.json'):
        said += [f'{name}: {m.validation_message} ({m.context.spdx_id})' for m in validate_full_spdx_document(parse_file(name))]
    else:
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(name).read())
        said += [f'{name}: {error}'] if error else []
sys.exit('\\n'.join(said) or None)
";

/// An interpreter that has both; else the skip is on record.
pub fn python() -> Option<PathBuf> {
    if !tier::need(Tier::Standard) {
        return None;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("validators");
    let python = dir.join("bin/python");
    let has =
        || Command::new(&python).args(["-c", "import spdx_tools, cyclonedx.validation.json, jsonschema"]).output();
    let lacks = |output: std::io::Result<std::process::Output>| !output.is_ok_and(|output| output.status.success());
    if lacks(has()) {
        if which::which("python3").is_err() {
            tier::skip("there is no python3");
            return None;
        }
        let made = Command::new("python3").args(["-m", "venv"]).arg(&dir).output();
        let packages = ["-m", "pip", "install", "--quiet", "spdx-tools", "cyclonedx-python-lib[validation]"];
        let installed = Command::new(&python).args(packages).output();
        if lacks(made) || lacks(installed) || lacks(has()) {
            tier::skip("the validators of SPDX and CycloneDX cannot be had from PyPI");
            return None;
        }
    }
    Some(python)
}

/// All files are what they say they are: `*.spdx.json` SPDX, all others CycloneDX 1.6.
#[track_caller]
pub fn check(python: &Path, files: &[PathBuf]) {
    let ended = Command::new(python).args(["-c", VALIDATE]).args(files).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
